"""What runs in Spark's Python workers: packing, parts with their state, the join.

Spark pickles these functions by name; what they know comes as a job's bytes. A part's state in Spark is a log and a
snapshot (``runtimes/engine/parts.py``); its arrays live in the worker, under the token of the state that they stand
for, and follow by the log where another worker has gone on, or are made again from all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from counterfoil.runtimes.engine.blob import Piece
from counterfoil.runtimes.engine.episodes import EpisodesPart
from counterfoil.runtimes.engine.job import DUPLICATES, Job
from counterfoil.runtimes.engine.joining import Joiner
from counterfoil.runtimes.engine.packing import Packer, topic_packer
from counterfoil.runtimes.engine.parts import (
    LOG_BYTES,
    Part,
    compaction_due,
    log_entry,
    make_part,
    replay,
    restore_chunks,
    snapshot_chunks,
)
from counterfoil.runtimes.engine.pressing import pressed
from counterfoil.runtimes.engine.results import Splits
from counterfoil.runtimes.local.allocation import keep_freed_memory
from counterfoil.runtimes.spark.keys import keys_of

if TYPE_CHECKING:
    from pyspark.sql.streaming.stateful_processor import TimerValues

PIECES = "key int, part int, batch bigint, data binary"
"""The columns of everything that travels."""
RESULTS, RAISED = 0, 1
"""Parts behind the join."""

_ENTRY_BYTES = 8 << 20
"""Most bytes of one value of Spark's state."""
_CACHED_MAX = 4_096
"""Parts that a worker keeps; there are never so many but in tests that make many jobs."""

# In each worker, once: batches of the same size come again and again.
keep_freed_memory()

ROW_SCHEMA = pa.schema([("key", pa.int32()), ("part", pa.int32()), ("batch", pa.int64()), ("data", pa.binary())])


def rows_of(pieces: list[Piece], keys: dict[int, int]) -> pa.RecordBatch:
    """Return pieces, pressed, as a batch of Arrow."""
    columns = [
        pa.array([keys.get(piece.part, piece.part) for piece in pieces], pa.int32()),
        pa.array([piece.part for piece in pieces], pa.int32()),
        pa.array([piece.batch for piece in pieces], pa.int64()),
        pa.array([pressed(piece.data) for piece in pieces], pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA)


def packer(data: bytes, partitions: int) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the step that turns records of topics into pieces."""

    def pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        job = Job.decode(data)
        keys = keys_of(job.shards, partitions)
        splits = Splits(tuple(topic.name for topic in job.source.topics))
        packers: dict[str, Packer] = {}
        for batch in batches:
            for topic, partition, run in _runs(batch):
                known = packers.get(topic) or packers.setdefault(topic, topic_packer(job, topic))
                offsets = run.column("offset").to_numpy()
                arrival = int(run.column("timestamp").cast(pa.int64()).to_numpy().max())
                split = splits.number(topic, partition)
                yield rows_of(known.pack(split, offsets, run.column("value").to_pylist(), arrival), keys)

    return pack


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """Yield the records of each partition; nearly always, a batch has those of one."""
    topics, partitions = batch.column("topic"), batch.column("partition").to_numpy()
    names = topics.dictionary_encode()
    numbers = names.indices.to_numpy()
    changes = np.flatnonzero((np.diff(partitions) != 0) | (np.diff(numbers) != 0)) + 1
    bounds = [0, *changes.tolist(), len(partitions)]
    for start, end in pairwise(bounds):
        if end > start:
            yield topics[start].as_py(), int(partitions[start]), batch.slice(start, end - start)


def joiner(data: bytes) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the step that turns batches and answers into results."""

    def join(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        job = Job.decode(data)
        known = _joiner(data)
        waiting: dict[int, list[bytes]] = {}
        for rows in batches:
            for batch, piece in zip(rows.column("batch").to_pylist(), rows.column("data").to_pylist(), strict=True):
                waiting.setdefault(batch, []).append(piece)
        keys = {RESULTS: 0, RAISED: 1}
        for batch in sorted(waiting):
            joined = known.join(waiting.pop(batch))
            pieces = [Piece(RESULTS, batch, joined.result)]
            if job.alerts and joined.raised is not None:
                pieces.append(Piece(RAISED, batch, joined.raised))
            yield rows_of(pieces, keys)

    return join


_joiners: dict[int, Joiner] = {}


def _joiner(data: bytes) -> Joiner:
    number = xxhash.xxh3_64_intdigest(data)
    if number not in _joiners:
        _joiners[number] = Joiner(Job.decode(data))
    return _joiners[number]


def _made(job: Job, number: int) -> Part:
    return make_part(job, number, job.limits.threads, pressed)


@dataclass(slots=True)
class _Cached:
    """A part in this worker's memory."""

    part: Part
    version: int
    token: int
    """What it was fed since the beginning, as a hash: equal tokens are equal states."""


_cache: OrderedDict[tuple[int, str, int], _Cached] = OrderedDict()
rebuilt = 0
"""Parts that this worker has made again from snapshot and log."""


@dataclass(slots=True)
class _Head:
    """What Spark's state says of a part."""

    version: int = 0
    token: int = 0
    first: int = 0
    """The version that the snapshot stands for; the log holds what came after it."""
    chunks: int = 0
    """How many chunks the snapshot has."""
    log_bytes: int = 0
    snapshot_bytes: int = 0

    def row(self) -> tuple[int, ...]:
        return (self.version, self.token, self.first, self.chunks, self.log_bytes, self.snapshot_bytes)


class PartProcessor(StatefulProcessor):
    """One step of parts with state, as Spark calls it: all pieces of one key in a micro-batch at once.

    Parameters
    ----------
    data
        The job.
    step
        ``whole``, ``duplicates``, ``shards`` or ``episodes``.
    partitions
        How many tasks a shuffle ends in.
    log_bytes
        Bytes below which a log is never compacted.
    """

    def __init__(self, data: bytes, step: str, partitions: int, log_bytes: int = LOG_BYTES) -> None:
        self._data, self._step, self._partitions, self._log_bytes = data, step, partitions, log_bytes

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state: where a part stands, what it was fed, its snapshot."""
        head = "version bigint, token bigint, first bigint, chunks int, log_bytes bigint, snapshot_bytes bigint"
        self._head = handle.getValueState("head", head)
        self._log = handle.getMapState("log", "version bigint, chunk int", "chunks int, data binary")
        self._snapshot = handle.getMapState("snapshot", "chunk int", "data binary")

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: Any,
        rows: Iterator[Any],
        timerValues: TimerValues,  # noqa: N803
    ) -> Iterator[Any]:
        """Take pieces; see ``Part.feed``."""
        del key, timerValues
        pieces = [Piece(row.part, row.batch, bytes(row.data)) for row in rows]
        keys = keys_of(Job.decode(self._data).shards, self._partitions)
        answers: list[Piece] = []
        for number, group in groupby(sorted(pieces, key=lambda each: (each.part, each.batch)), lambda each: each.part):
            own = list(group)
            # What is not this step's passes by it: it has no state, and several such parts may share a key.
            answers += self._fed(number, own) if self._is_own(number) else own
        from pyspark.sql import Row  # noqa: PLC0415 - the driver draws the job without it

        return iter(
            [
                Row(key=keys.get(each.part, each.part), part=each.part, batch=each.batch, data=each.data)
                for each in answers
            ]
        )

    def close(self) -> None:
        """Do nothing: arrays outlive the task."""

    def _is_own(self, number: int) -> bool:
        match self._step:
            case "duplicates":
                return number == DUPLICATES
            case "shards":
                return number > DUPLICATES
            case "episodes":
                return number == RAISED
            case _:
                return True

    def _fed(self, number: int, pieces: list[Piece]) -> list[Piece]:
        stored = self._head.get()
        head = _Head() if stored is None else _Head(*stored)
        # As they came: the log is pressed, too.
        entry = log_entry(pieces)
        place = (xxhash.xxh3_64_intdigest(self._data), self._step, number)
        cached = self._cached(place, head)
        head.version += 1
        head.token = _next_token(head.token, entry)
        try:
            # What goes into the log is known before the answers are. Nobody else speaks to Spark's state meanwhile, and
            # where either fails, the task does: then Spark forgets what was written.
            with ThreadPoolExecutor(1, "log") as thread:
                noted = thread.submit(self._append, head, entry)
                answers = [each._replace(data=pressed(each.data)) for each in cached.part.feed(pieces)]
                noted.result()
        except BaseException:
            # Half-fed, or fed what was not noted: it stands for nothing any more.
            _cache.pop(place, None)
            raise
        cached.version, cached.token = head.version, head.token
        if compaction_due(head.log_bytes, head.snapshot_bytes, self._log_bytes):
            self._compact(head, cached.part)
        self._head.update(head.row())
        return answers

    def _cached(self, place: tuple[int, str, int], head: _Head) -> _Cached:
        """Return a part whose arrays stand where the state does."""
        cached = _cache.get(place)
        if cached is None or not self._follow(cached, head):
            cached = self._rebuilt(place, head)
        _cache[place] = cached
        _cache.move_to_end(place)
        while len(_cache) > _CACHED_MAX:
            _cache.popitem(last=False)
        return cached

    def _follow(self, cached: _Cached, head: _Head) -> bool:
        """Bring arrays to where the state is by what the log has more; return whether that was possible."""
        if cached.version == head.version:
            return cached.token == head.token
        if not head.first <= cached.version < head.version:
            return False
        token, entries = cached.token, []
        for version in range(cached.version + 1, head.version + 1):
            entry = self._entry(version)
            token = _next_token(token, entry)
            entries.append(entry)
        if token != head.token:
            return False
        for entry in entries:
            replay(cached.part, entry)
        cached.version, cached.token = head.version, head.token
        return True

    def _rebuilt(self, place: tuple[int, str, int], head: _Head) -> _Cached:
        global rebuilt  # noqa: PLW0603 - a counter for tests
        job = Job.decode(self._data)
        part: Part = EpisodesPart(job) if self._step == "episodes" else _made(job, place[2])
        if head.version:
            rebuilt += 1
        if head.chunks:
            chunks = (bytes(self._snapshot.getValue((at,))[0]) for at in range(head.chunks))
            restore_chunks(part, chunks)
        for version in range(head.first + 1, head.version + 1):
            replay(part, self._entry(version))
        return _Cached(part, head.version, head.token)

    def _entry(self, version: int) -> bytes:
        chunks, data = self._log.getValue((version, 0))
        return b"".join([bytes(data), *(bytes(self._log.getValue((version, at))[1]) for at in range(1, chunks))])

    def _append(self, head: _Head, entry: bytes) -> None:
        starts = range(0, len(entry), _ENTRY_BYTES)
        for chunk, start in enumerate(starts):
            self._log.updateValue((head.version, chunk), (len(starts), entry[start : start + _ENTRY_BYTES]))
        head.log_bytes += len(entry)

    def _compact(self, head: _Head, part: Part) -> None:
        """Put a snapshot in the place of the log."""
        self._log.clear()
        self._snapshot.clear()
        head.first, head.chunks, head.log_bytes, head.snapshot_bytes = head.version, 0, 0, 0
        for chunk in map(pressed, snapshot_chunks(part)):
            self._snapshot.updateValue((head.chunks,), (chunk,))
            head.chunks += 1
            head.snapshot_bytes += len(chunk)


def _next_token(token: int, entry: bytes) -> int:
    return xxhash.xxh3_64_intdigest(entry, seed=token & 0xFFFF_FFFF_FFFF_FFFF) >> 1
