"""What comes every month: salaries, rents, subscriptions, bills, and money put aside.

Each person has some entries, each on a day of the month at a time of day; they are kept sorted by it, so what is due
in a stretch of time is a range of the list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.generators import habits
from counterfoil.events.generators.columns import TRANSACTION, blank_rows
from counterfoil.events.generators.draws import Lots, subject_key
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.population import (
    CARDS,
    DEVICES,
    EXTERNAL,
    EXTERNAL_COUNT,
    Rows,
    World,
    employer_of,
)

SALARY, RENT, SUBSCRIPTION, BILL, SAVING = range(5)
NUMBERS = 1 << 60
"""Regular payments are numbered from here on."""
ENTRIES_MEAN = 3.5
"""How many entries a person has, on average."""

_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
_UTILITIES = 60
"""Accounts of electricity, water and telephone companies."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Calendar:
    """Everything that is paid every month.

    Parameters
    ----------
    moment
        (entries,): milliseconds into the month; sorted.
    person, reason
        (entries,): whose it is, and what.
    key
        What the amounts are drawn with.
    """

    moment: npt.NDArray[np.uint32]
    person: npt.NDArray[np.int32]
    reason: npt.NDArray[np.int8]
    key: np.uint64


def make_calendar(world: World, seed: int, share: float) -> Calendar:
    """Return the regular payments of a bank.

    Parameters
    ----------
    world
        The bank.
    seed
        Of the draws.
    share
        How many of them there are: 1 for a usual bank.
    """
    key = subject_key(seed, "calendar")
    moments, people, reasons = [], [], []
    for first in range(0, world.people, _BLOCK):
        lots = Lots.of(key, first, min(first + _BLOCK, world.people))
        for reason, (kept, moment) in enumerate(_entries(world, lots, share)):
            chosen = np.flatnonzero(kept)
            moments.append(moment[chosen].astype(np.uint32))
            people.append((first + chosen).astype(np.int32))
            reasons.append(np.full(len(chosen), reason, np.int8))
    due_at: npt.NDArray[np.uint32] = np.concatenate(moments)
    order = np.argsort(due_at, kind="stable")
    return Calendar(due_at[order], np.concatenate(people)[order], np.concatenate(reasons)[order], key)


def _entries(world: World, lots: Lots, share: float) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]]:
    """Return who has an entry of each reason, and when in the month it is due."""
    people = world.customers[lots.number.astype(np.int64)]
    payday = people["payday"].astype(np.int64)
    after = np.minimum(payday + lots.whole(1, 3, 0), 28)
    student = people["persona"] == habits.STUDENT
    hours = lots.between(0, 1, 1)
    payroll = Lots(lots.key, employers(world, lots.number.astype(np.int64)).astype(np.uint64))
    salary = (payday - 1) * _DAY_MS + (5 * _HOUR_MS + payroll.unit(2) * 4 * _HOUR_MS + lots.unit(3) * 120_000)
    return [
        (lots.chance(share, 4) & ~(student & (lots.unit(5) < 0.5)), salary.astype(np.int64)),
        (lots.chance(0.62 * share, 6), _at(after, 5.5 + 2 * hours)),
        (lots.chance(0.75 * share, 7), _at(lots.whole(1, 28, 8), 24 * lots.unit(9))),
        (lots.chance(0.9 * share, 10), _at(lots.whole(1, 28, 11), 4 + 3 * hours)),
        (lots.chance(0.4 * share, 12), _at(np.minimum(payday + 1, 28), 6 + 12 * lots.unit(13))),
    ]


def _at(day: npt.NDArray[np.int64], hour: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.asarray((day - 1) * _DAY_MS + (hour * _HOUR_MS).astype(np.int64))


@nb.njit(nogil=True, cache=True)
def employers(world: World, people: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the companies that pay some people."""
    found = np.empty(len(people), np.int64)
    for row in range(len(people)):
        found[row] = employer_of(world, people[row])
    return found


def due(world: World, calendar: Calendar, begin: int, past: int) -> Rows:
    """Return what is paid in [begin, past), in milliseconds since 1970."""
    day = np.array([begin, past]).astype("datetime64[ms]").astype("datetime64[M]")
    parts = []
    for month in range(int(day[0].astype(np.int64)), int(day[1].astype(np.int64)) + 1):
        base = int(np.datetime64(month, "M").astype("datetime64[ms]").astype(np.int64))
        low, high = np.searchsorted(calendar.moment, np.clip([begin - base, past - base], 0, 2**32 - 1))
        parts.append(_payments(world, calendar, slice(int(low), int(high)), base, month))
    return np.concatenate(parts)


def _payments(world: World, calendar: Calendar, entries: slice, base: int, month: int) -> Rows:
    person = calendar.person[entries].astype(np.int64)
    reason = calendar.reason[entries]
    lots = Lots(calendar.key, person.astype(np.uint64))
    people = world.customers[person]
    rows = blank_rows(len(person))
    rows["time"] = base + calendar.moment[entries].astype(np.int64)
    rows["number"] = NUMBERS + (month << 40) + person * 8 + reason
    rows["kind"] = TRANSACTION
    rows["customer"] = person
    rows["account"] = 2 * person
    rows["amount"] = _amounts(people["level"].astype(np.int64), reason, lots)
    rows["currency"] = people["currency"]
    rows["country"] = people["country"]
    rows["channel"] = habits.TRANSFER_CHANNEL
    rows["counterparty"] = _counterparties(person, reason, lots)
    paid = np.flatnonzero(reason == SALARY)
    company = employers(world, person[paid])
    rows["customer"][paid] = company
    rows["account"][paid] = 2 * company
    rows["counterparty"][paid] = 2 * person[paid]
    rows["device"][paid] = company * DEVICES + DEVICES - 1
    rows["country"][paid] = world.customers["country"][company]
    _subscribe(world, rows, np.flatnonzero(reason == SUBSCRIPTION), lots)
    return rows


def _amounts(level: npt.NDArray[np.int64], reason: npt.NDArray[np.int8], lots: Lots) -> npt.NDArray[np.int64]:
    """Return amounts in cents; the same every month but for the bills."""
    unit = lots.unit(20)
    salary = level * (170_000 + (unit * 160_000).astype(np.int64)) // 1000
    rent = level * (55_000 + (unit * 60_000).astype(np.int64)) // 1000 // 500 * 500
    subscription = np.array([499, 799, 999, 1199, 1499, 1799])[(unit * 6).astype(np.int64)]
    bill = 2_500 + (unit * 9_000).astype(np.int64)
    saving = level * (5_000 + (unit * 30_000).astype(np.int64)) // 1000 // 1000 * 1000 + 1000
    return np.choose(reason, [salary, rent, subscription, bill, saving])


def _counterparties(person: npt.NDArray[np.int64], reason: npt.NDArray[np.int8], lots: Lots) -> npt.NDArray[np.int64]:
    landlord = EXTERNAL + (lots.words(21) % np.uint64(EXTERNAL_COUNT)).astype(np.int64)
    utility = EXTERNAL + lots.whole(0, _UTILITIES - 1, 22) * 1_000_003
    return np.choose(reason, [person, landlord, np.full(len(person), -1), utility, 2 * person + 1])


def _subscribe(world: World, rows: Rows, chosen: npt.NDArray[np.int64], lots: Lots) -> None:
    """Turn payments into charges of a card that its owner once gave to a merchant."""
    category = habits.CATEGORY["subscription"]
    start, count = world.groups[ONLINE, category]
    pick = lots.unit(23)[chosen]
    rows["merchant"][chosen] = start + (pick * pick * count).astype(np.int64)
    rows["card"][chosen] = rows["customer"][chosen].astype(np.int64) * CARDS
    rows["card_country"][chosen] = rows["country"][chosen]
    rows["category"][chosen] = category
    rows["channel"][chosen] = habits.ONLINE_CHANNEL
