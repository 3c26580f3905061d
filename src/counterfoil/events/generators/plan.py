"""When each story is told: at a rate, or whenever a customer's own calendar gives the occasion."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.generators.columns import blank_rows
from counterfoil.events.generators.draws import Lots, subject_key
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.population import PHONE_MS, Rows, World, phone_phase
from counterfoil.events.generators.stories import BOOK, Occasion, Story, Telling
from counterfoil.events.generators.stories.business_trip import LEAD_MS
from counterfoil.events.generators.whereabouts import DAY_MS, PERIOD_MS, departure_phase

INNOCENT_SHARE = 0.005
"""Innocent stories are told as if this were the share of fraud, whatever it is."""

_FIRST_TELLING = 1 << 30
"""Tellings are numbered from the start of the stream on; those before it need numbers too."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Something that happens to every customer once in a period, always at the same point of it.

    Parameters
    ----------
    period
        In milliseconds.
    phase
        (people,): when within the period; sorted.
    person
        (people,): to whom.
    """

    period: int
    phase: npt.NDArray[np.int64]
    person: npt.NDArray[np.int32]

    def within(self, begin: int, past: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return to whom and when it happens in [begin, past)."""
        people, times = [], []
        for turn in range(begin // self.period, past // self.period + 1):
            base = turn * self.period
            low, high = np.searchsorted(self.phase, [begin - base, past - base])
            people.append(self.person[low:high].astype(np.int64))
            times.append(base + self.phase[low:high])
        return np.concatenate(people), np.concatenate(times)


@nb.njit(nogil=True, cache=True)
def _phases(world: World, departures: bool) -> npt.NDArray[np.int64]:
    phases = np.empty(world.people, np.int64)
    for person in range(world.people):
        phases[person] = departure_phase(world, person) if departures else phone_phase(world, person)
    return phases


def _cycle(world: World, period: int, *, departures: bool) -> Cycle:
    phases = _phases(world, departures)
    order = np.argsort(phases, kind="stable")
    return Cycle(period, phases[order], order.astype(np.int32))


class Plan:
    """When which story is told in one bank.

    Parameters
    ----------
    world
        The bank.
    seed
        Of the draws.
    start
        When the stream begins, in milliseconds since 1970.
    payments_a_day
        How many transactions there are.
    fraud_share
        How many of them shall be fraudulent.
    """

    def __init__(self, world: World, seed: int, start: int, payments_a_day: float, fraud_share: float) -> None:
        self._world = world
        self._start = start
        homes = world.customers["home"][: world.people]
        order = np.argsort(homes, kind="stable")
        self._residents = (order, np.searchsorted(homes[order], np.arange(ONLINE + 1)))
        self._cycles = {
            Occasion.DEPARTURE: _cycle(world, PERIOD_MS, departures=True),
            Occasion.PHONE: _cycle(world, PHONE_MS, departures=False),
        }
        self._keys = {story.name: subject_key(seed, story.name) for story in BOOK}
        self._intervals = {
            story.name: _interval(story, payments_a_day, fraud_share)
            for story in BOOK
            if story.occasion is Occasion.CHANCE
        }

    def before(self) -> Rows:
        """Return what stories that began before the start of the stream still have in store for it."""
        rows = [self._tell(story, self._start - story.days * DAY_MS, self._start) for story in BOOK]
        told = np.concatenate(rows)
        return told[told["time"] >= self._start]

    def within(self, begin: int, past: int) -> Rows:
        """Return everything that the stories beginning in [begin, past) will bring, then or later."""
        return np.concatenate([self._tell(story, begin, past) for story in BOOK])

    def _tell(self, story: Story, begin: int, past: int) -> Rows:
        key = self._keys[story.name]
        if story.occasion is Occasion.CHANCE:
            lots, start = self._by_chance(story, key, begin, past)
            person = lots.whole(0, self._world.people - 1, 1000)
        else:
            lead = LEAD_MS if story.occasion is Occasion.DEPARTURE else 0
            cycle = self._cycles[story.occasion]
            person, start = cycle.within(begin + lead, past + lead)
            lots = Lots(key, (person * 4096 + start // cycle.period).astype(np.uint64))
            start = start - lead
        if not len(lots):
            return blank_rows(0)
        telling = Telling(self._world, self._residents, story, lots, start, person)
        story.tell(telling)
        return telling.finish()

    def _by_chance(self, story: Story, key: np.uint64, begin: int, past: int) -> tuple[Lots, npt.NDArray[np.int64]]:
        """Return the tellings whose beginning, one in each interval at a random point of it, lies in [begin, past)."""
        interval = self._intervals[story.name]
        if interval is None:
            return Lots(key, np.zeros(0, np.uint64)), np.zeros(0, np.int64)
        low = int((begin - self._start) // interval) - 1
        high = int((past - self._start) // interval) + 2
        turns = np.arange(low, high)
        lots = Lots(key, (turns + _FIRST_TELLING).astype(np.uint64))
        times = self._start + ((turns + lots.unit(1001)) * interval).astype(np.int64)
        kept = (times >= begin) & (times < past)
        return Lots(key, lots.number[kept]), times[kept]


def _interval(story: Story, payments_a_day: float, fraud_share: float) -> float | None:
    """Return the milliseconds between two tellings; None where it is never told."""
    share = fraud_share if story.fraud else INNOCENT_SHARE
    tellings_a_day = payments_a_day * share * story.share / story.payments
    return DAY_MS / tellings_a_day if tellings_a_day > 0 else None
