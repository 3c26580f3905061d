"""Ordinary life: payments, log-ins and profile changes of people who do what they always do.

Candidates come at even steps of time with a jitter inside the step; each draws a person and a reason, and is kept as
often as that person is lively at that hour. So the stream is in time order without sorting, and follows hours,
weekdays and seasons exactly. What follows an event (the transfer after its log-in) goes to a second list.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.generators import habits
from counterfoil.events.generators.columns import (
    AUTHENTICATION,
    BUSINESS_TRIP,
    CUSTOMER_CHANGE,
    FAMILY_HOLIDAY,
    TRANSACTION,
)
from counterfoil.events.generators.draws import below, draw
from counterfoil.events.generators.habits import (
    ATM_CHANNEL,
    CONTACTLESS,
    HOLIDAY,
    LIVELIEST,
    MIX_SLOTS,
    ONLINE_CHANNEL,
    PAY_FACTOR,
    POS,
    TRANSFER,
    TRANSFER_CHANNEL,
    Ending,
    Mode,
)
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.population import (
    CARDS,
    Rows,
    World,
    account_of,
    external_account,
    favourite_merchant,
    laptop_of,
    payee_of,
    phone_of,
    pick_merchant,
)
from counterfoil.events.generators.whereabouts import DAY_MS, ON_HOLIDAY, whereabouts

PAUSE_MS = 240_000
"""Nobody stands at two tills within four minutes: a city is 20 km wide, and people do not fly through it."""
REPORT_DAYS_MAX = 45

_LOGIN_SHARE = int(0.215 * 65536)
_CHANGE_SHARE = int(0.0035 * 65536)
_FAILED_SHARE = int(0.008 * 65536)
_DISPUTED_SHARE = int(65536 / 1500)

# As numpy scalars: of Python's, numba would compile a kernel for each value.
_PAYMENT, _ENTRY, _PROFILE = np.int64(TRANSACTION), np.int64(AUTHENTICATION), np.int64(CUSTOMER_CHANGE)
_SENDING, _NO_MERCHANT, _SUCCESS = np.int64(TRANSFER), np.int64(-1), np.bool_(True)
_INTERNET, _ATM, _TRANSFER = int(Mode.ONLINE), int(Mode.ATM), int(Mode.TRANSFER)
_FAIL, _LOG_IN, _CHANGE = -1, -2, -3
"""What people do beside paying: a log-in that fails at first, one to look at the balance, a change of the profile."""
_NINETY_NINE, _TENS, _FIVES = int(Ending.NINETY_NINE), int(Ending.TENS), int(Ending.FIVES)


@nb.njit(nogil=True, cache=True, _nrt=False)
def typical_amount(world: World, purchase: int, word: np.uint64, per_mille: int) -> int:
    """Return an amount in cents: a draw from the purchase's log-normal, times a factor, with a likely ending."""
    step = np.int64(word >> np.uint64(54))
    rest = np.int64((word >> np.uint64(38)) & np.uint64(0xFFFF))
    low = world.quantiles[purchase, step]
    high = world.quantiles[purchase, step + 1]
    cents = max(np.int64(50), (low + ((high - low) * rest >> 16)) * per_mille // 1000)
    ending = world.purchases[purchase, 1]
    if ending == _NINETY_NINE:
        return cents // 100 * 100 + 99 if word & np.uint64(1) else cents
    if ending == _TENS:
        return min(np.int64(100_000), max(np.int64(1), (cents + 500) // 1000) * 1000)
    if ending == _FIVES and word & np.uint64(3):
        return max(np.int64(1), (cents + 250) // 500) * 500
    return cents


@nb.njit(nogil=True, cache=True, _nrt=False)
def _amount(world: World, customer: int, merchant: int, purchase: int, factor: int, word: np.uint64) -> int:
    per_mille = np.int64(world.customers[customer].level) * factor // 1000
    if merchant >= 0:
        per_mille = per_mille * world.merchants[merchant].level // 1000
    return typical_amount(world, purchase, word, per_mille)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _shop(world: World, customer: int, city: int, category: int, word: np.uint64) -> int:
    """Return where a customer buys: mostly where he or she always does."""
    luck = np.int64(word & np.uint64(0xFF))
    if luck < 200:
        slot = 0 if luck < 100 else (1 if luck < 150 else (2 if luck < 180 else 3))
        return favourite_merchant(world, customer, city, category, slot)
    return pick_merchant(world, city, category, word)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _begin(rows: Rows, row: int, blank: Rows, time: int, number: np.uint64, customer: int, kind: int) -> None:
    rows[row] = blank[0]
    event = rows[row]
    event.time = time
    event.number = number
    event.customer = customer
    event.kind = kind


@nb.njit(nogil=True, cache=True, _nrt=False)
def _pay_with_card(world: World, rows: Rows, row: int, customer: int, merchant: int, word: np.uint64) -> None:
    person = world.customers[customer]
    event = rows[row]
    card = 1 if person.cards > 1 and word & np.uint64(0x700) == np.uint64(0) else 0
    event.card = np.int64(customer) * CARDS + card
    event.account = account_of(customer)
    event.merchant = merchant
    event.category = world.merchants[merchant].category
    event.currency = person.currency
    event.card_country = person.country


@nb.njit(nogil=True, cache=True, _nrt=False)
def _pay(
    world: World, rows: Rows, row: int, customer: int, city: int, purchase: int, factor: int, key: np.uint64
) -> None:
    """Complete a payment with a card, at a till, at a cash machine or on the internet.

    The country is where the customer is: on the internet, that of the connection.
    """
    choice = draw(key, np.uint64(0))
    mode = world.purchases[purchase, 0]
    merchant = _shop(world, customer, ONLINE if mode == _INTERNET else city, purchase, choice)
    _pay_with_card(world, rows, row, customer, merchant, choice)
    event = rows[row]
    event.amount = _amount(world, customer, merchant, purchase, factor, draw(key, np.uint64(1)))
    event.country = world.cities[city, 1]
    if mode == _INTERNET:
        event.device = _device(world, customer, event.time, choice)
        event.channel = ONLINE_CHANNEL
        event.report = _dispute(choice)
        return
    event.latitude = world.merchants[merchant].latitude
    event.longitude = world.merchants[merchant].longitude
    if mode == _ATM:
        event.channel = ATM_CHANNEL
    elif event.amount <= 5000 and choice & np.uint64(0x3000):
        event.channel = CONTACTLESS
    else:
        event.channel = POS


@nb.njit(nogil=True, cache=True, _nrt=False)
def _dispute(word: np.uint64) -> int:
    """Return after how many minutes a customer disputes an honest payment; 0, as nearly always, for never."""
    if (word >> np.uint64(16)) & np.uint64(0xFFFF) >= np.uint64(_DISPUTED_SHARE):
        return 0
    days = 3 + np.int64((word >> np.uint64(32)) & np.uint64(0xFF)) * (REPORT_DAYS_MAX - 4) // 256
    return days * 1440 + below(word, 1440)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _device(world: World, customer: int, time: int, word: np.uint64) -> int:
    return phone_of(world, customer, time) if word & np.uint64(0x30000000) else laptop_of(customer)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _send_money(
    world: World, rows: Rows, row: int, customer: int, city: int, device: int, factor: int, key: np.uint64
) -> None:
    """Complete a transfer: six of seven to an account that the customer has sent money to before."""
    choice = draw(key, np.uint64(0))
    person = world.customers[customer]
    event = rows[row]
    event.account = account_of(customer)
    if choice & np.uint64(7):
        event.counterparty = payee_of(world, customer, below(choice, 5))
    else:
        event.counterparty = external_account(choice >> np.uint64(3))
    event.device = device
    event.amount = _amount(world, customer, _NO_MERCHANT, _SENDING, factor, draw(key, np.uint64(1)))
    event.currency = person.currency
    event.country = world.cities[city, 1]
    event.channel = TRANSFER_CHANNEL


@nb.njit(nogil=True, cache=True, _nrt=False)
def _log_in(world: World, rows: Rows, row: int, city: int, device: int, success: bool) -> None:
    event = rows[row]
    event.device = device
    event.country = world.cities[city, 1]
    event.flag = success


@nb.njit(nogil=True, cache=True, _nrt=False)
def _profile_field(word: np.uint64) -> int:
    luck = np.int64(word & np.uint64(0xFF))
    if luck < 110:
        return habits.PASSWORD
    if luck < 160:
        return habits.EMAIL
    return habits.PHONE if luck < 210 else habits.ADDRESS


@nb.njit(nogil=True, cache=True, _nrt=False)
def _reason_to_act(world: World, persona: int, reason: int, weekend: int, hour: int, luck: np.uint64) -> int:
    """Return a purchase, or what else somebody does."""
    share = np.int64(luck & np.uint64(0xFFFF))
    if share < _FAILED_SHARE:
        return _FAIL
    if share < _LOGIN_SHARE:
        return _LOG_IN
    if share < _LOGIN_SHARE + _CHANGE_SHARE:
        return _CHANGE
    slot = np.int64((luck >> np.uint64(16)) & np.uint64(MIX_SLOTS - 1))
    return np.int64(world.mix[HOLIDAY if reason == ON_HOLIDAY else persona, weekend, hour // 3, slot])


@nb.njit(nogil=True, cache=True, _nrt=False)
def live_ordinary_life(
    world: World,
    first: int,
    start: int,
    step_ms: float,
    first_day: int,
    seasons: npt.NDArray[np.int64],
    days_of_month: npt.NDArray[np.int64],
    last_seen: npt.NDArray[np.int64],
    blank: Rows,
    rows: Rows,
    extra: Rows,
) -> tuple[int, int]:
    """Go through the candidates from ``first`` on, as many as ``rows`` has room for.

    Parameters
    ----------
    world
        Who lives where, and how.
    first
        The first candidate.
    start, step_ms
        When candidate 0 comes, in milliseconds since 1970, and how long until the next.
    first_day
        The day since 1970 that the next two tables begin with.
    seasons, days_of_month
        (days,): liveliness of weekday and month (the product of hundredths), and the day of the month.
    last_seen
        (people,): when each last stood at a till; changed.
    blank
        An event that says nothing.
    rows, extra
        Filled with the events in time order, and with those that follow them, in any order.

    Returns
    -------
    tuple
        How many rows of both are filled.
    """
    count = np.int64(0)
    more = np.int64(0)
    for candidate in range(first, first + len(rows)):
        counter = np.uint64(candidate) * np.uint64(4)
        word = draw(world.event_key, counter)
        time = start + np.int64((candidate + np.float64(word & np.uint64(0xFFFFFFFF)) * 2.0**-32) * step_ms)
        customer = np.int64(world.slots[below(word, len(world.slots))])
        city, reason = whereabouts(world, customer, time)
        if city < 0:
            continue
        person = world.customers[customer]
        local = time + world.cities[city, 0]
        day = local // DAY_MS
        hour = (local - day * DAY_MS) // 3_600_000
        weekend = 1 if (day + 3) % 7 >= 5 else 0
        luck = draw(world.event_key, counter + np.uint64(1))
        lively = world.hours[person.persona, weekend, hour] * seasons[day - first_day]
        if np.int64(luck >> np.uint64(40)) * LIVELIEST >= lively << 24:
            continue
        key = draw(world.event_key, counter + np.uint64(2))
        purchase = _reason_to_act(world, person.persona, reason, weekend, hour, luck)
        mode = world.purchases[purchase, 0] if purchase >= 0 else _TRANSFER
        if mode != _TRANSFER:
            here = mode != _INTERNET
            if here:
                if time - last_seen[customer] < PAUSE_MS:
                    continue
                last_seen[customer] = time
            factor = PAY_FACTOR[(days_of_month[day - first_day] - person.payday) % 31]
            _begin(rows, count, blank, time, counter, customer, _PAYMENT)
            _pay(world, rows, count, customer, city, purchase, factor, key)
            if here and reason != 0:
                rows[count].story = FAMILY_HOLIDAY if reason == ON_HOLIDAY else BUSINESS_TRIP
            count += 1
            continue
        # Everything else happens in the bank's app, and so begins with a log-in.
        device = _device(world, customer, time, key)
        success = purchase != _FAIL
        _begin(rows, count, blank, time, counter, customer, _ENTRY)
        _log_in(world, rows, count, city, device, success)
        count += 1
        if purchase == _LOG_IN:
            continue
        later = time + 6_000 + below(key, 40_000)
        if purchase == _FAIL:
            _begin(extra, more, blank, later, counter + np.uint64(1), customer, _ENTRY)
            _log_in(world, extra, more, city, device, _SUCCESS)
        elif purchase == _CHANGE:
            _begin(extra, more, blank, later, counter + np.uint64(1), customer, _PROFILE)
            extra[more].field = _profile_field(key)
        else:
            factor = PAY_FACTOR[(days_of_month[day - first_day] - person.payday) % 31]
            _begin(extra, more, blank, later, counter + np.uint64(1), customer, _PAYMENT)
            _send_money(world, extra, more, customer, city, device, factor, key)
        more += 1
    return count, more
