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
    blank_row,
)
from counterfoil.events.generators.draws import below, draw
from counterfoil.events.generators.habits import (
    ATM_CHANNEL,
    CONTACTLESS,
    ENDING,
    HOLIDAY,
    LIVELIEST,
    MIX_SLOTS,
    MODE,
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

FOLLOW_UPS_MAX = 1
PAUSE_MS = 240_000
"""Nobody stands at two tills within four minutes: a city is 20 km wide, and people do not fly through it."""
REPORT_DAYS_MAX = 45

_LOGIN_SHARE = int(0.215 * 65536)
_CHANGE_SHARE = int(0.0035 * 65536)
_FAILED_SHARE = int(0.034 * 65536)
_DISPUTED_SHARE = int(65536 / 1500)

_PRESENT, _INTERNET, _ATM = int(Mode.PRESENT), int(Mode.ONLINE), int(Mode.ATM)
_NINETY_NINE, _TENS, _FIVES = int(Ending.NINETY_NINE), int(Ending.TENS), int(Ending.FIVES)


@nb.njit(inline="always")
def typical_amount(world: World, purchase: int, word: np.uint64, per_mille: int) -> int:
    """Return an amount in cents: a draw from the purchase's log-normal, times a factor, with a likely ending."""
    step = np.int64(word >> np.uint64(54))
    rest = np.int64((word >> np.uint64(38)) & np.uint64(0xFFFF))
    low = world.quantiles[purchase, step]
    high = world.quantiles[purchase, step + 1]
    cents = max(np.int64(50), (low + ((high - low) * rest >> 16)) * per_mille // 1000)
    ending = ENDING[purchase]
    if ending == _NINETY_NINE:
        return cents // 100 * 100 + 99 if word & np.uint64(1) else cents
    if ending == _TENS:
        return min(np.int64(100_000), max(np.int64(1), (cents + 500) // 1000) * 1000)
    if ending == _FIVES and word & np.uint64(3):
        return max(np.int64(1), (cents + 250) // 500) * 500
    return cents


@nb.njit(inline="always")
def _amount(world: World, customer: int, merchant: int, purchase: int, factor: int, word: np.uint64) -> int:
    per_mille = np.int64(world.customers[customer].level) * factor // 1000
    if merchant >= 0:
        per_mille = per_mille * world.merchants[merchant].level // 1000
    return typical_amount(world, purchase, word, per_mille)


@nb.njit(inline="always")
def _pay_factor(payday: int, day_of_month: int) -> int:
    return PAY_FACTOR[(day_of_month - payday) % 31]


@nb.njit(inline="always")
def _shop(world: World, customer: int, city: int, category: int, word: np.uint64) -> int:
    """Return where a customer buys: mostly where he or she always does."""
    luck = np.int64(word & np.uint64(0xFF))
    if luck < 200:
        slot = 0 if luck < 100 else (1 if luck < 150 else (2 if luck < 180 else 3))
        return favourite_merchant(world, customer, city, category, slot)
    return pick_merchant(world, city, category, word)


@nb.njit(inline="always")
def _begin(world: World, rows: Rows, row: int, time: int, number: np.uint64, customer: int, kind: int) -> None:
    blank_row(rows, row)
    rows[row].time = time
    rows[row].number = number
    rows[row].customer = customer
    rows[row].kind = kind


@nb.njit(inline="always")
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


@nb.njit(nogil=True, cache=True)
def _pay_here(
    world: World, rows: Rows, row: int, customer: int, city: int, purchase: int, factor: int, key: np.uint64
) -> None:
    """Complete a payment at a till or a cash machine."""
    choice = draw(key, np.uint64(0))
    merchant = _shop(world, customer, city, purchase, choice)
    _pay_with_card(world, rows, row, customer, merchant, choice)
    event = rows[row]
    event.amount = _amount(world, customer, merchant, purchase, factor, draw(key, np.uint64(1)))
    event.country = world.city_country[city]
    event.latitude = world.merchants[merchant].latitude
    event.longitude = world.merchants[merchant].longitude
    if MODE[purchase] == _ATM:
        event.channel = ATM_CHANNEL
    elif event.amount <= 5000 and choice & np.uint64(0x3000):
        event.channel = CONTACTLESS
    else:
        event.channel = POS


@nb.njit(nogil=True, cache=True)
def _pay_online(
    world: World, rows: Rows, row: int, customer: int, city: int, purchase: int, factor: int, key: np.uint64
) -> None:
    """Complete a payment on the internet; the country is that of the customer's connection."""
    choice = draw(key, np.uint64(0))
    merchant = _shop(world, customer, ONLINE, purchase, choice)
    _pay_with_card(world, rows, row, customer, merchant, choice)
    event = rows[row]
    event.amount = _amount(world, customer, merchant, purchase, factor, draw(key, np.uint64(1)))
    event.country = world.city_country[city]
    event.device = _device(world, customer, event.time, choice)
    event.channel = ONLINE_CHANNEL
    if (choice >> np.uint64(16)) & np.uint64(0xFFFF) < np.uint64(_DISPUTED_SHARE):
        days = 3 + np.int64((choice >> np.uint64(32)) & np.uint64(0xFF)) * (REPORT_DAYS_MAX - 4) // 256
        event.report = days * 1440 + below(choice, 1440)


@nb.njit(inline="always")
def _device(world: World, customer: int, time: int, word: np.uint64) -> int:
    return phone_of(world, customer, time) if word & np.uint64(0x30000000) else laptop_of(customer)


@nb.njit(nogil=True, cache=True)
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
    event.amount = _amount(world, customer, -1, TRANSFER, factor, draw(key, np.uint64(1)))
    event.currency = person.currency
    event.country = world.city_country[city]
    event.channel = TRANSFER_CHANNEL


@nb.njit(nogil=True, cache=True)
def _log_in(
    world: World, rows: Rows, row: int, customer: int, city: int, device: int, success: bool
) -> None:
    event = rows[row]
    event.device = device
    event.country = world.city_country[city]
    event.flag = success


@nb.njit(inline="always")
def _profile_field(word: np.uint64) -> int:
    luck = np.int64(word & np.uint64(0xFF))
    if luck < 110:
        return habits.PASSWORD
    if luck < 160:
        return habits.EMAIL
    return habits.PHONE if luck < 210 else habits.ADDRESS


@nb.njit(nogil=True, cache=True)
def live_ordinary_life(
    world: World,
    first: int,
    start: int,
    step_ms: float,
    first_day: int,
    seasons: npt.NDArray[np.int64],
    days_of_month: npt.NDArray[np.int64],
    last_seen: npt.NDArray[np.int64],
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
    rows, extra
        Filled with the events in time order, and with those that follow them, in any order.

    Returns
    -------
    tuple
        How many rows of both are filled.
    """
    count = 0
    more = 0
    for candidate in range(first, first + len(rows)):
        counter = np.uint64(candidate) * np.uint64(4)
        word = draw(world.event_key, counter)
        time = start + np.int64((candidate + np.float64(word & np.uint64(0xFFFFFFFF)) * 2.0**-32) * step_ms)
        customer = np.int64(world.slots[below(word, len(world.slots))])
        luck = draw(world.event_key, counter + np.uint64(1))
        city, reason = whereabouts(world, customer, time)
        if city < 0:
            continue
        local = time + world.offsets[city]
        day = local // DAY_MS
        hour = (local - day * DAY_MS) // 3_600_000
        weekend = 1 if (day + 3) % 7 >= 5 else 0
        persona = np.int64(world.customers[customer].persona)
        lively = world.hours[persona, weekend, hour] * seasons[day - first_day]
        if np.int64(luck >> np.uint64(40)) * LIVELIEST >= lively << 24:
            continue
        number = counter
        key = draw(world.event_key, counter + np.uint64(2))
        share = np.int64(luck & np.uint64(0xFFFF))
        if share < _LOGIN_SHARE:
            device = _device(world, customer, time, key)
            success = np.int64(key & np.uint64(0xFFFF)) >= _FAILED_SHARE
            _begin(world, rows, count, time, number, customer, AUTHENTICATION)
            _log_in(world, rows, count, customer, city, device, success)
            count += 1
            if not success:
                _begin(world, extra, more, time + 6_000 + below(key, 40_000), number + np.uint64(1), customer, AUTHENTICATION)
                _log_in(world, extra, more, customer, city, device, True)
                more += 1
            continue
        if share < _LOGIN_SHARE + _CHANGE_SHARE:
            _begin(world, rows, count, time, number, customer, AUTHENTICATION)
            _log_in(world, rows, count, customer, city, _device(world, customer, time, key), True)
            count += 1
            _begin(world, extra, more, time + 30_000 + below(key, 200_000), number + np.uint64(1), customer, CUSTOMER_CHANGE)
            extra[more].field = _profile_field(key)
            more += 1
            continue
        purchase = np.int64(
            world.mix[
                HOLIDAY if reason == ON_HOLIDAY else persona,
                weekend,
                hour // 3,
                np.int64((luck >> np.uint64(16)) & np.uint64(MIX_SLOTS - 1)),
            ]
        )
        factor = _pay_factor(world.customers[customer].payday, days_of_month[day - first_day])
        mode = MODE[purchase]
        if mode == _PRESENT or mode == _ATM:
            if time - last_seen[customer] < PAUSE_MS:
                continue
            last_seen[customer] = time
            _begin(world, rows, count, time, number, customer, TRANSACTION)
            _pay_here(world, rows, count, customer, city, purchase, factor, key)
            if reason != 0:
                rows[count].story = FAMILY_HOLIDAY if reason == ON_HOLIDAY else BUSINESS_TRIP
        elif mode == _INTERNET:
            _begin(world, rows, count, time, number, customer, TRANSACTION)
            _pay_online(world, rows, count, customer, city, purchase, factor, key)
        else:
            device = _device(world, customer, time, key)
            _begin(world, rows, count, time, number, customer, AUTHENTICATION)
            _log_in(world, rows, count, customer, city, device, True)
            _begin(world, extra, more, time + 20_000 + below(key, 160_000), number + np.uint64(1), customer, TRANSACTION)
            _send_money(world, extra, more, customer, city, device, factor, key)
            more += 1
        count += 1
    return count, more
