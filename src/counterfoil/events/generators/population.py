"""The people of the bank and the merchants they go to: everything that stays the same while time passes.

What can be computed from a number is not stored: a customer's favourite shops, payees, devices, employer and journeys
are draws of his or her number (``habits.py``, ``whereabouts.py``). Stored are 20 bytes a customer and a few slots that
make lively people more likely to be drawn.
"""

from __future__ import annotations

from math import cos, radians
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.generators import habits
from counterfoil.events.generators.draws import Lots, Unit, below, draw, subject_key
from counterfoil.events.generators.places import (
    CITIES,
    COUNTRIES,
    COUNTRY_OF_CITY,
    CURRENCY_OF_CITY,
    OFFSET_MS,
    ONLINE,
    distances_km,
)

Rows = npt.NDArray[np.void]

CUSTOMER = np.dtype(
    [
        ("latitude", "i4"),
        ("longitude", "i4"),
        ("level", "i4"),
        ("home", "i2"),
        ("persona", "i1"),
        ("country", "i1"),
        ("currency", "i1"),
        ("payday", "i1"),
        ("cards", "i1"),
        ("spare", "i1"),
    ]
)
"""A customer: the home in 1/100,000 degree, how freely money is spent in thousandths, city, pay day, cards."""

MERCHANT = np.dtype(
    [
        ("latitude", "i4"),
        ("longitude", "i4"),
        ("level", "i4"),
        ("city", "i2"),
        ("country", "i1"),
        ("category", "i1"),
    ]
)
"""A merchant: place (none online), price level in thousandths, city, country, category."""

DEGREE = 100_000
"""Positions are whole numbers of 1/100,000 degree: about a metre."""
NOWHERE = 2**31 - 1
"""The latitude and longitude of what has no place."""
EXTERNAL = 1_000_000_000
"""Accounts from this number on are kept at other banks."""
EXTERNAL_COUNT = 8_000_000_000
FAVOURITES = 4
"""How many shops of a category a customer goes back to."""
PAYEES = 5
"""How many accounts a customer sends money to again and again."""
DEVICES = 64
"""Device numbers a customer: phones one after the other, and a laptop, the last."""
PHONE_MS = 700 * 86_400_000
"""How long a phone is kept."""
CARDS = 4

_CITY_RADIUS_KM = 7.0
_KM_PER_DEGREE = 111.2
_BLOCK = 1 << 20
"""Customers drawn at once, so that a large bank needs no large temporaries."""

# How many shops of each category there are, as weights; ``subscription`` and the like exist online only.
_PRESENCE = {
    "grocery": 14, "restaurant": 26, "cafe": 14, "fuel": 6, "transport": 3, "pharmacy": 6, "clothing": 12,
    "electronics": 4, "household": 8, "entertainment": 6, "hotel": 5, "cash": 9,
    "marketplace": 40, "digital": 25, "delivery": 20, "travel": 15, "subscription": 12,
}  # fmt: skip


class World(NamedTuple):
    """Everything the kernels read. Few arrays, because each one costs time whenever a kernel is compiled."""

    people: int
    companies: int
    customers: Rows
    """People first, then companies."""
    slots: npt.NDArray[np.int32]
    """Each person as often as he or she is lively."""
    merchants: Rows
    """By city, online last, and category."""
    groups: npt.NDArray[np.int32]
    """(cities and online, categories, 2): the first merchant, and how many."""
    cities: npt.NDArray[np.int64]
    """(cities, 2): milliseconds ahead of UTC, and the country."""
    journey_ms: npt.NDArray[np.int64]
    """(cities, cities): from door to door."""
    destinations: npt.NDArray[np.int16]
    """(countries and abroad, 256): where people go, each city as often as it is visited."""
    purchases: npt.NDArray[np.int64]
    """(purchases, 2): mode and ending."""
    quantiles: npt.NDArray[np.int64]
    hours: npt.NDArray[np.int64]
    mix: npt.NDArray[np.uint8]
    habit_key: np.uint64
    payee_key: np.uint64
    phase_key: np.uint64
    journey_key: np.uint64
    event_key: np.uint64


def build_world(seed: int, people: int) -> World:
    """Return the bank of a seed with a number of customers."""
    companies = max(20, people // 40)
    customers = np.zeros(people + companies, CUSTOMER)
    weights = np.empty(people, np.int64)
    key = subject_key(seed, "population")
    for first in range(0, people + companies, _BLOCK):
        past = min(first + _BLOCK, people + companies)
        _settle(customers[first:past], Lots.of(key, first, past), people)
    for first in range(0, people, _BLOCK):
        past = min(first + _BLOCK, people)
        weights[first:past] = _liveliness(customers[first:past], Lots.of(key, first, past))
    merchants, groups = _open_shops(subject_key(seed, "merchants"), customers[:people])
    return World(
        people,
        companies,
        customers,
        np.repeat(np.arange(people, dtype=np.int32), weights),
        merchants,
        groups,
        np.stack([OFFSET_MS, COUNTRY_OF_CITY.astype(np.int64)], axis=1),
        # An hour and a half to get there and through, then 750 km/h: no honest journey is faster than an airliner.
        5_400_000 + distances_km() * 4_800,
        _destinations(),
        np.array([(each.mode, each.ending) for each in habits.PURCHASES], np.int64),
        habits.amount_quantiles(),
        habits.HOURS,
        habits.purchase_mix(),
        subject_key(seed, "habits"),
        subject_key(seed, "payees"),
        subject_key(seed, "phases"),
        subject_key(seed, "journeys"),
        subject_key(seed, "events"),
    )


def _destinations() -> npt.NDArray[np.int16]:
    """Return where people of each country go at home, and, in the last row, where everybody goes abroad."""
    table = np.zeros((len(COUNTRIES) + 1, 256), np.int16)
    steps = (np.arange(256) + 0.5) / 256
    visits = np.array([city.visits for city in CITIES], np.float64)
    for country in range(len(COUNTRIES)):
        table[country] = _choose(steps, list(visits * (country == COUNTRY_OF_CITY)))
    table[-1] = _choose(steps, list(visits))
    return table


def _choose(unit: Unit, weights: list[float] | tuple[float, ...]) -> npt.NDArray[np.int64]:
    edges = np.cumsum(np.array(weights, np.float64))
    return np.minimum(np.searchsorted(edges, unit * edges[-1], side="right"), len(weights) - 1)


def _scatter(rows: Rows, city: npt.NDArray[np.int64], lots: Lots, label: int) -> None:
    """Put things about their cities: two draws a direction, so that most are near the centre."""
    north = lots.unit(label) + lots.unit(label + 1) - 1.0
    east = lots.unit(label + 2) + lots.unit(label + 3) - 1.0
    latitudes = np.array([round(each.latitude * DEGREE) for each in CITIES])
    longitudes = np.array([round(each.longitude * DEGREE) for each in CITIES])
    radius = _CITY_RADIUS_KM / _KM_PER_DEGREE * DEGREE
    widths = np.array([round(radius / cos(radians(each.latitude))) for each in CITIES])
    rows["latitude"] = latitudes[city] + (north * radius).astype(np.int64)
    rows["longitude"] = longitudes[city] + (east * widths[city]).astype(np.int64)


def _level(lots: Lots, label: int, spread: float) -> npt.NDArray[np.int64]:
    """Return factors in thousandths about 1000: the sum of three draws, nearly a bell."""
    bell = lots.unit(label) + lots.unit(label + 1) + lots.unit(label + 2) - 1.5
    return (1000 * (1.0 + spread * bell)).astype(np.int64)


def _settle(rows: Rows, lots: Lots, people: int) -> None:
    home = _choose(lots.unit(0), [city.homes for city in CITIES])
    persona = _choose(lots.unit(1), habits.PERSONA_SHARES)
    persona[lots.number >= people] = habits.COMPANY
    rows["home"] = home
    rows["persona"] = persona
    rows["country"] = COUNTRY_OF_CITY[home]
    rows["currency"] = CURRENCY_OF_CITY[home]
    rows["level"] = _level(lots, 2, 0.55) * np.array(habits.PERSONA_LEVELS)[persona] // 1000
    rows["payday"] = np.array([1, 15, 25, 27, 28, 28])[_choose(lots.unit(5), (3, 2, 3, 2, 1, 3))]
    rows["cards"] = np.where(lots.unit(6) < 0.4, 2, 1)
    _scatter(rows, home, lots, 8)


def _liveliness(rows: Rows, lots: Lots) -> npt.NDArray[np.int64]:
    activity = np.array(habits.PERSONA_ACTIVITY)[rows["persona"]]
    return np.maximum(1, (_level(lots, 12, 0.6) * activity * 4 / 1000 + lots.unit(15)).astype(np.int64))


def _open_shops(key: np.uint64, people: Rows) -> tuple[Rows, npt.NDArray[np.int32]]:
    residents = np.bincount(people["home"], minlength=ONLINE)
    presence = np.array([_PRESENCE[name] for name in habits.CATEGORIES])
    online = np.array([each.mode is habits.Mode.ONLINE for each in habits.PURCHASES[: len(presence)]])
    counts = np.zeros((ONLINE + 1, len(habits.CATEGORIES)), np.int64)
    # One shop for about 12 residents; even a city where nobody lives has some, for visitors.
    counts[:ONLINE] = np.where(online, 0, 3 + presence // 3 + residents[:, None] * presence // (12 * 113))
    counts[ONLINE] = np.where(online, presence * (3 + len(people) // 40_000), 0)
    flat = counts.ravel()
    start = np.cumsum(flat) - flat
    total = int(flat.sum())
    group = np.repeat(np.arange(len(flat)), flat)
    city = group // counts.shape[1]
    lots = Lots.of(key, 0, total)
    rows = np.zeros(total, MERCHANT)
    rows["city"] = city
    rows["category"] = group % counts.shape[1]
    seat = _choose(lots.unit(0), [each.homes for each in CITIES])
    place = np.where(city == ONLINE, seat, city)
    rows["country"] = COUNTRY_OF_CITY[place]
    rows["level"] = _level(lots, 1, 0.5)
    _scatter(rows, place, lots, 4)
    rows["latitude"][city == ONLINE] = NOWHERE
    rows["longitude"][city == ONLINE] = NOWHERE
    return rows, np.stack([start.reshape(counts.shape), counts], axis=2).astype(np.int32)


@nb.njit(nogil=True, cache=True, _nrt=False)
def pick_merchant(world: World, city: int, category: int, word: np.uint64) -> int:
    """Return a merchant of a city and category: the first of them are the most popular."""
    share = np.float64(word >> np.uint64(40)) * 2.0**-24
    share = share * (0.4 + 0.6 * share)
    return world.groups[city, category, 0] + np.int64(share * world.groups[city, category, 1])


@nb.njit(nogil=True, cache=True, _nrt=False)
def favourite_merchant(world: World, customer: int, city: int, category: int, slot: int) -> int:
    """Return a shop that a customer goes back to: where there is a choice, the one nearer to the home."""
    counter = (np.uint64(customer) << np.uint64(16)) + np.uint64(city * 128 + category * 4 + slot) * np.uint64(2)
    best = pick_merchant(world, city, category, draw(world.habit_key, counter))
    if city != world.customers[customer].home:
        return best
    other = pick_merchant(world, city, category, draw(world.habit_key, counter + np.uint64(1)))
    return best if _nearness(world, customer, best) <= _nearness(world, customer, other) else other


@nb.njit(nogil=True, cache=True, _nrt=False)
def _nearness(world: World, customer: int, merchant: int) -> int:
    person = world.customers[customer]
    shop = world.merchants[merchant]
    return abs(person.latitude - shop.latitude) + abs(person.longitude - shop.longitude)


@nb.njit(nogil=True, cache=True, _nrt=False)
def account_of(customer: int) -> int:
    """Return a customer's current account."""
    return 2 * np.int64(customer)


@nb.njit(nogil=True, cache=True, _nrt=False)
def savings_of(customer: int) -> int:
    """Return a customer's savings account."""
    return 2 * np.int64(customer) + 1


@nb.njit(nogil=True, cache=True, _nrt=False)
def external_account(word: np.uint64) -> int:
    """Return an account at another bank."""
    return np.int64(EXTERNAL) + np.int64(word % np.uint64(EXTERNAL_COUNT))


@nb.njit(nogil=True, cache=True, _nrt=False)
def payee_of(world: World, customer: int, slot: int) -> int:
    """Return an account that a customer sends money to again and again; half are other customers'."""
    word = draw(world.payee_key, (np.uint64(customer) << np.uint64(16)) + np.uint64(slot))
    if word & np.uint64(1) and world.people > 1:
        return account_of((customer + 1 + below(word, world.people - 1)) % world.people)
    return external_account(word >> np.uint64(1))


@nb.njit(nogil=True, cache=True, _nrt=False)
def employer_of(world: World, customer: int) -> int:
    """Return the company that pays a customer."""
    share = np.float64(draw(world.payee_key, (np.uint64(customer) << np.uint64(16)) + np.uint64(1000)) >> np.uint64(11))
    share *= 2.0**-53
    return world.people + np.int64(share * share * world.companies)


@nb.njit(nogil=True, cache=True, _nrt=False)
def phone_phase(world: World, customer: int) -> int:
    """Return when, within the cycle of ``PHONE_MS``, a customer gets a new phone."""
    word = draw(world.phase_key, np.uint64(customer) * np.uint64(4) + np.uint64(1))
    return np.int64(np.float64(word >> np.uint64(11)) * 2.0**-53 * PHONE_MS)


@nb.njit(nogil=True, cache=True, _nrt=False)
def phone_of(world: World, customer: int, time: int) -> int:
    """Return the phone that a customer has at a time in milliseconds since 1970."""
    generation = (time - phone_phase(world, customer)) // PHONE_MS + 1
    return np.int64(customer) * DEVICES + generation % (DEVICES - 1)


@nb.njit(nogil=True, cache=True, _nrt=False)
def laptop_of(customer: int) -> int:
    """Return a customer's laptop."""
    return np.int64(customer) * DEVICES + DEVICES - 1


@nb.njit(nogil=True, cache=True)
def _phones(world: World, people: npt.NDArray[np.int64], times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    phones = np.empty(len(people), np.int64)
    for row in range(len(people)):
        phones[row] = phone_of(world, people[row], times[row])
    return phones


def phones_of(world: World, people: npt.NDArray[np.int64], times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return ``phone_of`` of many; people and times have the same shape."""
    flat = _phones(world, np.ascontiguousarray(people).ravel(), np.ascontiguousarray(times).ravel())
    return np.asarray(flat.reshape(people.shape))


def laptops_of(people: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return ``laptop_of`` of many."""
    return people * DEVICES + DEVICES - 1


@nb.njit(nogil=True, cache=True)
def regular_payees(world: World, people: npt.NDArray[np.int64], slots: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return ``payee_of`` of many."""
    payees = np.empty(len(people), np.int64)
    for row in range(len(people)):
        payees[row] = payee_of(world, people[row], slots[row])
    return payees
