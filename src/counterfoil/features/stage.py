"""Stages: the state of one entity kind each, in shards, behind one kernel call a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from counterfoil.errors import LimitError, StorageError
from counterfoil.events.batch import Bytes, Words
from counterfoil.features import index, layout
from counterfoil.features import stage_kernel as kernel
from counterfoil.features.addresses import address_of
from counterfoil.features.planner import StagePlan
from counterfoil.features.special import Special
from counterfoil.features.views import Events
from counterfoil.memory import Frontier, reserve

STATE_BYTES_DEFAULT = 1 << 36
"""Address space for the records and rings of one shard: memory is used only where it is written."""


@dataclass(slots=True)
class Shard:
    """The state of one shard of a stage."""

    table: Words
    arena: Words
    meta: Words
    larger_table: Words | None = None
    """The index that comes after this one, once that is nearly full: its pages are touched before it is needed."""

    @classmethod
    def empty(cls, plan: StagePlan, state_bytes: int) -> Shard:
        """Return a shard that knows no entity."""
        words = state_bytes // 8
        meta = np.zeros(layout.META_FREE + layout.FREE_CAPACITIES * max(len(plan.tracks), 1), np.int64)
        meta[layout.META_ARENA] = layout.ARENA_START
        meta[layout.META_VERSION] = layout.VERSION
        return cls(
            reserve(2 * index.CAPACITY_FIRST),
            reserve(words),
            meta,
        )

    @property
    def entities(self) -> int:
        """How many entities it knows."""
        return int(self.meta[layout.META_ENTITIES])

    def room(self) -> int:
        """Return how many more events it can take whatever they bring."""
        return (int(len(self.table) // 2 * index.FILL_MAX) - self.entities) // _NEW_MAX


@dataclass(frozen=True, slots=True)
class StageBatch:
    """What stages read of a batch and where they write: see ``stage_kernel.run_stages``."""

    keys: Words
    kinds: npt.NDArray[np.int16]
    times: Words
    decided: Words
    inputs: Words
    input_nulls: Bytes
    outputs: Words
    output_nulls: Bytes
    late: Bytes


class Stages:
    """All stages of a detector.

    Parameters
    ----------
    plans
        One a stage.
    key_rows
        For each plan: the rows of the keys under which it is read and fed.
    shards
        How many parts each stage's state is divided into, by hash of the key.
    threads
        How many of them run at once.
    lateness
        Microseconds by which an event may be older than its entity's newest.
    state_bytes
        Limit on the bytes of records and rings of one shard.
    """

    def __init__(
        self,
        plans: Sequence[StagePlan],
        key_rows: Sequence[tuple[int, int]],
        shards: int,
        threads: int,
        lateness: int,
        state_bytes: int = STATE_BYTES_DEFAULT,
    ) -> None:
        self.plans = tuple(plans)
        self._key_rows = tuple(key_rows)
        self._shards = shards
        self._threads = threads
        self._lateness = lateness
        self._state_bytes = state_bytes
        self.pool = ThreadPoolExecutor(threads, "stage") if threads > 1 else None
        """The threads that share a batch's work; None for one."""
        self._state = [[Shard.empty(plan, state_bytes) for _ in range(shards)] for plan in self.plans]
        self._special: dict[int, Special] = {}
        self._filling = Lock()
        self._room = 0
        self._toucher: ThreadPoolExecutor | None = None
        self._follow_growth()
        self._directory = np.zeros((len(self.plans) * shards, kernel.DIRECTORY_COLUMNS), np.int64)
        self._fill_directory()
        self._order = self._costly_first()
        self._taken = np.zeros(1, np.int64)

    def update(self, batch: StageBatch) -> None:
        """Carry a batch through every stage.

        Raises
        ------
        LimitError
            When a stage's state would outgrow its limit. What the batch had done by then stays done: start again from
            the last snapshot.
        """
        self._make_room(len(batch.times))
        helpers: list[Future[int]] = []
        self._taken[0] = 0
        if self.pool is not None and len(batch.times) >= _PARALLEL_MIN:
            # This thread is one of them: the less it waits for others to wake up, the better.
            wanted = min(self._threads, len(self._order)) - 1
            helpers = [self.pool.submit(self._run, batch) for _ in range(wanted)]
        statuses = [self._run(batch)]
        statuses += [helper.result() for helper in helpers]
        self._check(max(statuses))
        self._unseen += len(batch.times)
        if self._unseen >= _GROWTH_EVENTS:
            # Now, and not while threads of this one wake up: they would wait for a core behind it.
            self._stay_ahead()

    def _follow_growth(self) -> None:
        """Watch the arrays that there are now."""
        self._unseen = 0
        self._frontiers = [(shard, Frontier(shard.arena)) for shards in self._state for shard in shards]

    def _stay_ahead(self) -> None:
        """Have the pages touched that records, rings and indexes will soon grow into."""
        self._unseen = 0
        for shard, arena in self._frontiers:
            if shard.larger_table is None and index.is_nearly_full(shard.table, shard.entities):
                shard.larger_table = reserve(2 * len(shard.table), dense=True)
                self._touch(Frontier(shard.larger_table), 0, len(shard.larger_table))
            pages = arena.next_pages(int(shard.meta[layout.META_ARENA]))
            if pages is not None:
                self._touch(arena, *pages)

    def _touch(self, frontier: Frontier, first: int, last: int) -> None:
        self._toucher = self._toucher or ThreadPoolExecutor(1, "pages")
        self._toucher.submit(frontier.touch, first, last)

    def _costly_first(self) -> Words:
        """Return the directory's rows, costly stages first, so that the last to end is a short one."""
        cost = [len(plan.operations) + 4 * len(plan.tracks) for plan in self.plans]
        return np.array(sorted(range(len(self._directory)), key=lambda row: -cost[row // self._shards]), np.int64)

    def _run(self, batch: StageBatch) -> int:
        events = Events(
            batch.keys,
            batch.kinds,
            batch.times,
            batch.decided,
            batch.inputs,
            batch.inputs.view(np.float64),
            batch.input_nulls,
            batch.outputs,
            batch.outputs.view(np.float64),
            batch.output_nulls,
            batch.late,
        )
        return int(kernel.run_stages(self._directory, self._order, self._taken, events, self._lateness))

    def _check(self, status: int) -> None:
        if status != layout.STATUS_DONE:
            message = (
                f"the state of one shard has reached its limit of {self._state_bytes:,} bytes; raise "
                "limits.state_bytes, use more shards, shorter windows, or a resolution"
            )
            raise LimitError(message)

    def _make_room(self, events: int) -> None:
        """See to it that indexes can take whatever a batch brings.

        How many events there is room for is reckoned once and then counted down: for a single event the reckoning
        would cost more than the event.
        """
        if events <= self._room:
            self._room -= events
            return
        changed = False
        new = _NEW_MAX * max(events, _ROOM_MIN)
        for shards in self._state:
            for shard in shards:
                table = index.with_room(shard.table, shard.entities, new, shard.larger_table)
                if table is not shard.table:
                    shard.table, shard.larger_table = table, None
                    changed = True
        if changed:
            self._fill_directory()
        self._room = min(
            (shard.room() for shards in self._state for shard in shards),
            default=events,
        )
        if self._room < events:
            self._check(layout.STATUS_ARENA_FULL)
        self._room -= events

    def _fill_directory(self) -> None:
        with self._filling:
            self._fill_rows()

    def _fill_rows(self) -> None:
        for number, (plan, keys) in enumerate(zip(self.plans, self._key_rows, strict=True)):
            for place, shard in enumerate(self._state[number]):
                row = self._directory[number * self._shards + place]
                row[kernel.TRACKS], row[kernel.TRACKS_ROWS] = address_of(plan.tracks), len(plan.tracks)
                row[kernel.EDGES], row[kernel.EDGES_ROWS] = address_of(plan.edges), len(plan.edges)
                row[kernel.MEASURES], row[kernel.MEASURES_ROWS] = address_of(plan.measures), len(plan.measures)
                row[kernel.TALLIES], row[kernel.TALLIES_ROWS] = address_of(plan.tallies), len(plan.tallies)
                row[kernel.OPERATIONS], row[kernel.OPERATIONS_ROWS] = address_of(plan.operations), len(plan.operations)
                row[kernel.DIVISORS] = plan.divisors.ctypes.data
                row[kernel.TABLE], row[kernel.TABLE_WORDS] = address_of(shard.table), len(shard.table)
                row[kernel.ARENA], row[kernel.ARENA_WORDS] = address_of(shard.arena), len(shard.arena)
                row[kernel.META], row[kernel.META_WORDS] = address_of(shard.meta), len(shard.meta)
                row[kernel.RECORD_WORDS] = plan.record_words
                row[kernel.READ_KEY], row[kernel.FEED_KEY] = keys
                row[kernel.SHARD], row[kernel.SHARDS] = place, self._shards
                row[kernel.SPECIAL] = self._special[number].address if number in self._special else 0

    def use_special(self, number: int, special: Special) -> None:
        """Run a stage from now on with the kernel that was compiled for it; answers and state stay the same.

        Parameters
        ----------
        number
            Which of the plans.
        special
            From ``special.load``.
        """
        rows = slice(number * self._shards, (number + 1) * self._shards)
        with self._filling:
            self._special[number] = special
            # One word at a time, and no more: a batch may be running.
            self._directory[rows, kernel.SPECIAL] = special.address

    def entities(self) -> dict[str, int]:
        """Return how many entities each stage knows."""
        return {
            plan.name: sum(shard.entities for shard in shards)
            for plan, shards in zip(self.plans, self._state, strict=True)
        }

    def state_bytes(self) -> int:
        """Return the bytes that are in use."""
        return sum(array.nbytes for array in self.snapshot().values())

    def snapshot(self) -> dict[str, Words]:
        """Return the state as named arrays: views, valid until the next batch."""
        arrays: dict[str, Words] = {}
        for plan, shards in zip(self.plans, self._state, strict=True):
            for place, shard in enumerate(shards):
                prefix = f"{plan.name}/{place}"
                arrays[f"{prefix}/table"] = shard.table
                arrays[f"{prefix}/arena"] = shard.arena[: int(shard.meta[layout.META_ARENA])]
                arrays[f"{prefix}/meta"] = shard.meta
        return arrays

    def restore(self, arrays: Mapping[str, Words]) -> None:
        """Take over a state that ``snapshot`` gave, of the same detector and number of shards.

        Raises
        ------
        StorageError
            When an array is missing, there are more shards than here, or another version of this program wrote them.
        """
        if sum(name.endswith("/table") for name in arrays) != len(self.plans) * self._shards:
            message = f"the snapshot was not taken with {self._shards} shards of {len(self.plans)} stages"
            raise StorageError(message)
        for plan, shards in zip(self.plans, self._state, strict=True):
            for place, shard in enumerate(shards):
                fresh = Shard.empty(plan, self._state_bytes)
                for name in ("table", "arena", "meta"):
                    stored = arrays.get(f"{plan.name}/{place}/{name}")
                    if stored is None:
                        message = f"the snapshot lacks {plan.name}/{place}/{name}"
                        raise StorageError(message)
                    if name == "table":
                        setattr(fresh, name, reserve(len(stored), dense=True))
                    getattr(fresh, name)[: len(stored)] = stored
                if fresh.meta[layout.META_VERSION] != layout.VERSION:
                    raise StorageError(
                        "the snapshot was written by another version of counterfoil, whose state lies in memory in "
                        "another way; go on with that version, or begin with a new state"
                    )
                shard.table, shard.arena, shard.meta = fresh.table, fresh.arena, fresh.meta
        self._room = 0
        self._follow_growth()
        self._fill_directory()


_NEW_MAX = 2
"""Entities that one event can bring to a stage: the one it is judged for, and the one it is fed to."""

_ROOM_MIN = 256
"""Events for which room is made at least, so that single events do not ask for it one by one."""

_GROWTH_EVENTS = 1 << 14
"""Events after which the growth of the state is looked at."""

_PARALLEL_MIN = 256
"""Events in a batch below which handing it to threads costs more than it gains."""
