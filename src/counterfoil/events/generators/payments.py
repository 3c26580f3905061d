"""The payments stream of a believable bank: ordinary life, regular payments and stories, merged in time order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError
from counterfoil.events.generators import habits
from counterfoil.events.generators.cards import replace_cards
from counterfoil.events.generators.columns import BLANK, EVENT, EventColumns, in_time_order, merge
from counterfoil.events.generators.draws import subject_key
from counterfoil.events.generators.ordinary import live_ordinary_life
from counterfoil.events.generators.outcomes import outcomes_of
from counterfoil.events.generators.plan import Plan
from counterfoil.events.generators.population import CARDS, Rows, World, build_world
from counterfoil.events.generators.regular import due, make_calendar
from counterfoil.events.generators.whereabouts import DAY_MS
from counterfoil.events.generators.writing import write_ahead

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday: when the stream begins unless told otherwise."""
CUSTOMERS_MAX = 50_000_000
"""More would not fit the eight digits of a customer's id beside the companies."""
CHUNK_EVENTS = 16_384
"""Their lines fit a buffer that the allocator keeps: chunks four times as large cost a quarter more time each event."""

_SLICE_CANDIDATES = 262_144
"""Candidates of ordinary life gone through at once: about 90,000 events, 9 MB. With very many customers more, so that
merging what is pending, which grows with the customers, stays cheap beside it."""
_USUAL_EVENTS = 1.5
_PAYMENT_SHARE = 0.72
"""How many of all events are transactions."""
_ORDINARY_SHARE = 0.86
"""How much of all events begins as a candidate of ordinary life; the rest follows from it or is regular or a story."""


class PaymentsGenerator:
    r"""Generates the events of a bank: transactions, log-ins, profile changes and outcomes, with labelled fraud.

    The stream is endless and a pure function of the parameters: neither the size of the chunks nor how many of them
    are taken changes a byte of it.

    Parameters
    ----------
    seed
        Another seed is another bank.
    customers
        How many people bank there, 1 to 50,000,000. Together with ``events_per_customer_day`` they fix how fast
        time goes by in the stream.
    start
        When it begins; naive times are UTC.
    days
        How long it lasts; endless where None.
    fraud_share
        The share of transactions that are fraudulent, 0 to 0.05.
    events_per_customer_day
        How much happens, of all kinds, 0.01 to 100.

    Examples
    --------
    >>> generator = PaymentsGenerator(seed=7, customers=500)
    >>> events = next(generator.chunks(count=3))
    >>> len(events), events.to_ndjson().count(b"\n")
    (3, 3)
    """

    def __init__(
        self,
        seed: int = 0,
        customers: int = 10_000,
        start: datetime = START,
        days: float | None = None,
        fraud_share: float = 0.005,
        events_per_customer_day: float = 1.5,
    ) -> None:
        _check("seed", seed, 0, 2**63 - 1)
        _check("customers", customers, 1, CUSTOMERS_MAX)
        _check("fraud_share", fraud_share, 0.0, 0.05)
        _check("events_per_customer_day", events_per_customer_day, 0.01, 100.0)
        if days is not None:
            _check("days", days, 0.0, 36_525.0)
        self.seed = seed
        self.customers = customers
        self.start = start if start.tzinfo else start.replace(tzinfo=UTC)
        if not datetime(1971, 1, 1, tzinfo=UTC) <= self.start <= datetime(2200, 1, 1, tzinfo=UTC):
            raise ConfigurationError(f"start: found {start.isoformat()}; allowed: 1971-01-01 to 2200-01-01")
        self.days = days
        self.fraud_share = fraud_share
        self.events_per_customer_day = events_per_customer_day

    def chunks(self, count: int | None = None, size: int = CHUNK_EVENTS) -> Iterator[EventColumns]:
        """Yield the stream from its beginning.

        Parameters
        ----------
        count
            Stop after so many events; None goes on until ``days`` are over, or for ever.
        size
            The largest number of events in a chunk.
        """
        _check("size", size, 1, 2**31)
        if count is not None:
            _check("count", count, 0, 2**62)
        left = count
        for events in self._slices():
            at = 0
            while at < len(events) and left != 0:
                past = min(len(events), at + size, at + (left if left is not None else size))
                yield events[at:past]
                if left is not None:
                    left -= past - at
                at = past
            if left == 0:
                return

    def ndjson(self, count: int | None = None, size: int = CHUNK_EVENTS) -> Iterator[memoryview]:
        """Yield the stream as bytes of NDJSON lines: ``chunks``, written by a second thread."""
        return write_ahead(self.chunks(count, size))

    def _slices(self) -> Iterator[EventColumns]:
        world = build_world(self.seed, self.customers)
        start = int((self.start - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
        end = None if self.days is None else start + round(self.days * DAY_MS)
        key = subject_key(self.seed, "ids")
        last_seen = np.zeros(self.customers, np.int64)
        calendar = make_calendar(world, self.seed, min(1.0, self.events_per_customer_day / _USUAL_EVENTS))
        payments_a_day = self.customers * self.events_per_customer_day * _PAYMENT_SHARE
        plan = Plan(world, self.seed, start, payments_a_day, self.fraud_share)
        before = plan.before()
        series = np.zeros(len(world.customers) * CARDS, np.uint8)
        pending = np.concatenate([before, outcomes_of(before)])
        candidates = max(_SLICE_CANDIDATES, self.customers // 20)
        step_ms = DAY_MS / self._candidates_a_day(world)
        room = np.empty((2, candidates), EVENT)
        begin, first = start, 0
        while end is None or begin < end:
            past = start + int((first + candidates) * step_ms)
            rows, extra = _live(world, first, start, step_ms, begin, past, last_seen, room)
            new = np.concatenate([extra, due(world, calendar, begin, past), plan.within(begin, past)])
            pool = np.concatenate([pending, new, outcomes_of(rows), outcomes_of(new)])
            pool = in_time_order(pool)
            ready = int(np.searchsorted(pool["time"], past))
            merged = merge(rows, pool[:ready])
            pending = pool[ready:]
            replace_cards(merged, pending, series)
            if end is not None and past >= end:
                merged = merged[: int(np.searchsorted(merged["time"], end))]
            yield EventColumns(merged, key)
            begin, first = past, first + candidates

    def _candidates_a_day(self, world: World) -> float:
        """Return how many candidates it takes for the wanted number of events.

        Sums of whole numbers and one division: the same on every machine, to the last bit.
        """
        week = world.hours.sum(axis=2) * np.array([5, 2])
        lively = int((week.sum(axis=1)[world.customers["persona"][world.slots]]).sum())
        kept = lively * int(habits.WEEKDAYS.sum()) * int(habits.MONTHS.sum())
        possible = len(world.slots) * 7 * 24 * 7 * 12 * habits.LIVELIEST
        return self.customers * self.events_per_customer_day * _ORDINARY_SHARE * possible / kept


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f"{name}: found {value}; allowed: {low} to {high}")


def _live(
    world: World,
    first: int,
    start: int,
    step_ms: float,
    begin: int,
    past: int,
    last_seen: npt.NDArray[np.int64],
    room: Rows,
) -> tuple[Rows, Rows]:
    first_day = begin // DAY_MS - 1
    days = np.arange(first_day, past // DAY_MS + 2)
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    seasons = habits.WEEKDAYS[(days + 3) % 7] * habits.MONTHS[months.astype(np.int64) % 12]
    days_of_month = (days.astype("datetime64[D]") - months).astype(np.int64) + 1
    rows, extra = room
    count, more = live_ordinary_life(
        world, first, start, step_ms, first_day, seasons, days_of_month, last_seen, BLANK, rows, extra
    )
    return rows[:count], extra[:more]
