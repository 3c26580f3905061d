"""The parts of a detector that have state: each is fed pieces in order and answers pieces.

A part is deterministic: the same pieces in the same order give the same answers and the same state, however they are
cut into calls. So an engine keeps what a part was fed since its last snapshot, and the snapshot; arrays live in a
worker's memory, are a cache of these two, and are made again from them when they are missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from counterfoil.decisions.decided import Decided
from counterfoil.errors import CorruptionError
from counterfoil.events.batch import Batch, Words
from counterfoil.events.duplicates import Duplicates
from counterfoil.events.kinds import Schema
from counterfoil.features import layout
from counterfoil.features.stage import StageBatch, Stages
from counterfoil.runtimes.engine.batches import batch_of, dense_rows
from counterfoil.runtimes.engine.blob import (
    Array,
    Blob,
    Piece,
    decode,
    decode_pieces,
    encode,
    encode_pieces,
    pack_bits,
    unpack_bits,
)
from counterfoil.runtimes.engine.episodes import Alert, EpisodesPart, raised_blob
from counterfoil.runtimes.engine.job import DUPLICATES, FIRST_SHARD, Job, carrier_of
from counterfoil.runtimes.engine.packing import FEED
from counterfoil.runtimes.engine.results import Judge

CHUNK_BYTES = 4 << 20
"""Most bytes of one chunk of a snapshot: engines keep them as records, and records have limits."""
SNAPSHOT, MASK, ANSWERS = "snapshot", "mask", "answers"

LOG_BYTES = 256 << 20
"""A log is kept until it is longer than the snapshot before it and than this: so snapshots write no more than logs do,
and a rebuild reads no more than twice the state and this."""
_STATE_BYTES = 1 << 34
_AHEAD = 2
"""Batches that wait between two threads, at most: each is megabytes."""

Finish = Callable[[bytes], bytes]
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Part(Protocol):
    """Something with state."""

    def feed(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Take pieces, in order, and return the answers.

        Parameters
        ----------
        pieces
            Of this part alone, pressed or not; batches of one split in their order, and pieces of one batch next to
            each other.
        """
        ...

    def snapshot(self) -> dict[str, Array]:
        """Return the state as named arrays: views, valid until the next ``feed``."""
        ...

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over what ``snapshot`` gave, of the same job."""
        ...


def replay(part: Part, entry: bytes) -> None:
    """Feed a part what it was fed before: an entry of its log."""
    part.feed(decode_pieces(entry))


def log_entry(pieces: Sequence[Piece]) -> bytes:
    """Return what a part was fed in one call as an entry of its log."""
    return encode_pieces(pieces)


def compaction_due(log_bytes: int, snapshot_bytes: int, least: int = LOG_BYTES) -> bool:
    """Return whether a log should give way to a snapshot.

    Parameters
    ----------
    log_bytes
        How long the log is.
    snapshot_bytes
        How large the snapshot before it is; 0 where there is none.
    least
        Bytes below which it never is.
    """
    return log_bytes > max(least, snapshot_bytes)


def snapshot_chunks(part: Part) -> Iterator[bytes]:
    """Yield a part's state as chunks of bounded size."""
    for name, array in part.snapshot().items():
        flat = np.ascontiguousarray(array).reshape(-1)
        step = max(CHUNK_BYTES // max(flat.itemsize, 1), 1)
        for start in range(0, max(len(flat), 1), step):
            meta = {"name": name, "start": start, "shape": list(array.shape)}
            yield encode(SNAPSHOT, {"array": flat[start : start + step]}, meta)


def restore_chunks(part: Part, chunks: Iterable[bytes]) -> None:
    """Give a part a state that ``snapshot_chunks`` yielded.

    Raises
    ------
    CorruptionError
        If a chunk is damaged or missing.
    """
    arrays: dict[str, Array] = {}
    filled: dict[str, int] = {}
    for chunk in chunks:
        blob = decode(chunk, SNAPSHOT)
        name, piece = blob.meta["name"], blob.arrays["array"]
        if name not in arrays:
            arrays[name], filled[name] = np.zeros(int(np.prod(blob.meta["shape"], dtype=np.int64)), piece.dtype), 0
        start = blob.meta["start"]
        arrays[name][start : start + len(piece)] = piece
        filled[name] += len(piece)
        arrays[name] = arrays[name].reshape(blob.meta["shape"]) if filled[name] == arrays[name].size else arrays[name]
    if any(filled[name] != array.size for name, array in arrays.items()):
        raise CorruptionError("a snapshot lacks a chunk; restart from an earlier checkpoint")
    part.restore(arrays)


def make_part(job: Job, number: int, threads: int = 1, finish: Finish | None = None) -> Part:
    """Return an empty part of a job by its number; see ``job``.

    Parameters
    ----------
    job, number
        The job and the part.
    threads, finish
        See ``WholePart``; other parts take no notice, because as many run at once as there are tasks.
    """
    if job.whole:
        return WholePart(job, threads, finish)
    if number == DUPLICATES:
        return DuplicatesPart(job)
    assert FIRST_SHARD <= number < FIRST_SHARD + job.shards
    return StagesPart(job, number)


class WholePart:
    """A whole detector: it is given batches and answers results.

    It is one part, so one task has it, and all other cores of an engine's worker would wait for that one. With threads
    the next batch is read while one is decided and the one before is told, each step in a thread of its own, and the
    stages of a batch are shared between threads. The order of deciding, and so every decision, is the same.

    Parameters
    ----------
    job
        The job.
    threads
        How many threads decide.
    finish
        What becomes of a result before it leaves, so that it can be done beside the next one; None for nothing.
    """

    def __init__(self, job: Job, threads: int = 1, finish: Finish | None = None) -> None:
        self._schema = job.detector.schema
        self._program = job.fresh_program(threads)
        self._judge = Judge(job, self._program)
        self._episodes = EpisodesPart(job) if job.alerts else None
        self._finish = finish
        # One thread for each of the two steps beside the one that decides: neither is ever done twice at once.
        self._reader = ThreadPoolExecutor(1, "read") if threads > 1 else None
        self._teller = ThreadPoolExecutor(1, "tell") if threads > 1 else None

    def feed(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Take batches; see ``Part.feed``."""
        if self._reader is None or self._teller is None or len(pieces) < 2:
            return [self._tell(self._decide(self._read(piece))) for piece in pieces]
        decided = map(self._decide, _ahead(self._reader, self._read, pieces))
        return list(_ahead(self._teller, self._tell, decided))

    def _read(self, piece: Piece) -> _Read:
        blob = decode(piece.data)
        return _Read(piece, batch_of(blob.arrays, self._schema), blob.meta)

    def _decide(self, read: _Read) -> _Decided:
        batch = read.batch
        decided = self._program.process(batch, self._judge.serving)
        duplicates = len(decided.duplicates)
        kept = batch
        if duplicates:
            fresh = np.ones(len(batch), np.bool_)
            fresh[decided.duplicates] = False
            kept = batch.take(np.flatnonzero(fresh))
            decided.rows = np.searchsorted(np.flatnonzero(fresh), decided.rows)
        raised = raised_blob(kept, decided) if self._episodes is not None else None
        alerts = self._episodes.extend(raised) if self._episodes is not None and raised is not None else []
        return _Decided(read, kept, decided, duplicates, alerts)

    def _tell(self, done: _Decided) -> Piece:
        piece = done.read.piece
        result = self._judge.result(done.kept, done.decided, done.read.meta, done.duplicates, done.alerts)
        return Piece(piece.part, piece.batch, result if self._finish is None else self._finish(result))

    def snapshot(self) -> dict[str, Array]:
        """Return the state; see ``Part.snapshot``."""
        arrays: dict[str, Array] = dict(self._program.snapshot())
        if self._episodes is not None:
            arrays |= {f"alerts:{name}": array for name, array in self._episodes.snapshot().items()}
        return arrays

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over a state; see ``Part.restore``."""
        self._program.restore({name: each for name, each in arrays.items() if not name.startswith("alerts:")})
        if self._episodes is not None:
            own = {name.removeprefix("alerts:"): each for name, each in arrays.items() if name.startswith("alerts:")}
            self._episodes.restore(own)


class _Read(NamedTuple):
    """A batch that is to be decided."""

    piece: Piece
    batch: Batch
    meta: dict[str, Any]


class _Decided(NamedTuple):
    """A batch that is decided."""

    read: _Read
    kept: Batch
    """Its events without duplicates."""
    decided: Decided
    duplicates: int
    alerts: list[Alert]


def _ahead(thread: ThreadPoolExecutor, step: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[_Made]:
    """Yield what a step makes of items, in their order; a thread is some items ahead of who takes them."""
    waiting: deque[Future[_Made]] = deque()
    for item in items:
        waiting.append(thread.submit(step, item))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class DuplicatesPart:
    """Finds events that came before. One part for all of them: its clock is the newest time of the whole stream.

    It answers only where a batch has duplicates: then a mask to everyone who has to do with the batch.

    Parameters
    ----------
    job
        The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._duplicates = Duplicates(job.detector.dedupe)

    def feed(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Take identities; see ``Part.feed``."""
        found: list[Piece] = []
        for piece in pieces:
            marked = self._duplicates.mark(_identities(decode(piece.data)))
            if marked is None:
                continue
            rows = np.flatnonzero(marked[0])
            mask = encode(MASK, {"row": rows.astype(np.int32), "first": marked[1][rows]})
            found += [Piece(FIRST_SHARD + shard, piece.batch, mask) for shard in range(self._job.shards)]
            found.append(Piece(carrier_of(piece.batch), piece.batch, mask))
        return found

    def snapshot(self) -> dict[str, Array]:
        """Return the state; see ``Part.snapshot``."""
        return dict(self._duplicates.snapshot())

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over a state; see ``Part.restore``."""
        self._duplicates.restore(arrays["log"], arrays["clock"])


_NO_SCHEMA = Schema(())


def _identities(blob: Blob) -> Batch:
    size = len(blob.arrays["identity"])
    batch = Batch.empty(_NO_SCHEMA, size)
    batch.identity, batch.time, batch.position = (blob.arrays[name] for name in ("identity", "time", "position"))
    return batch


class StagesPart:
    """One shard of every stage.

    Parameters
    ----------
    job
        The job.
    number
        Its number.
    """

    def __init__(self, job: Job, number: int) -> None:
        self._number = number
        program = job.program
        self._plans = program.stage_plans
        used = sorted({row for pair in program.stage_keys for row in pair})
        self._keys = [(used.index(read), used.index(feed)) for read, feed in program.stage_keys]
        self._outputs = [np.unique(plan.operations[:, layout.OPERATION_OUTPUT]) for plan in self._plans]
        self._rows = len(program.feature_names)
        self._inputs = program.input_rows
        # Keys of other shards are blanked where the feed is packed: to these stages there is one shard.
        self._stages = Stages(self._plans, self._keys, 1, 1, job.detector.max_lateness, _STATE_BYTES)

    def feed(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Take feeds and masks; see ``Part.feed``."""
        found = []
        for number, group in groupby(pieces, key=lambda piece: piece.batch):
            feed, masked = None, None
            for piece in group:
                blob = decode(piece.data)
                if blob.kind == FEED:
                    feed = blob
                else:
                    assert blob.kind == MASK
                    masked = blob.arrays["row"]
            # A mask goes to every shard; where the batch has nothing for this one, it says nothing.
            if feed is not None:
                found.append(Piece(carrier_of(number), number, self._update(feed.arrays, masked)))
        return found

    def _update(self, feed: dict[str, Array], masked: Array | None) -> bytes:
        count = len(feed["row"])
        keep = np.arange(count)
        if masked is not None:
            keep = np.flatnonzero(~np.isin(feed["row"], masked))
        decides = feed["decides"][keep]
        columns = np.flatnonzero(decides)
        m = len(columns)
        column = np.full(len(keep), -1, np.int64)
        column[columns] = np.arange(m)
        keys = _taken(feed["keys"], keep)
        nulls = np.zeros((self._inputs, count), np.uint8)
        nulls[feed["inputs_rows"]] = unpack_bits(feed["inputs_nulls"], count)
        outputs = np.zeros((max(self._rows, 1), m), np.int64)
        output_nulls = np.ones((max(self._rows, 1), m), np.uint8)
        late = np.zeros(m, np.uint8)
        self._stages.update(
            StageBatch(
                keys,
                np.ascontiguousarray(feed["kind"][keep]),
                np.ascontiguousarray(feed["time"][keep]),
                column,
                _taken(dense_rows("inputs", feed, self._inputs, count), keep),
                _taken(nulls, keep),
                outputs,
                output_nulls,
                late,
            )
        )
        rows = feed["row"][keep][columns]
        answers: dict[str, Array] = {"late": rows[late != 0]}
        for number, (key, asked) in enumerate(zip(self._keys, self._outputs, strict=True)):
            own = np.flatnonzero(keys[key[0], columns])
            if len(own) and len(asked):
                answers[f"row:{number}"] = rows[own]
                answers[f"words:{number}"] = outputs[np.ix_(asked, own)]
                answers[f"nulls:{number}"] = pack_bits(output_nulls[np.ix_(asked, own)])
        return encode(ANSWERS, answers, {"part": self._number})

    def snapshot(self) -> dict[str, Array]:
        """Return the state; see ``Part.snapshot``."""
        return dict(self._stages.snapshot())

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take over a state; see ``Part.restore``."""
        self._stages.restore(arrays)


def _taken(matrix: Array, keep: Words) -> Any:
    """Return some columns; all of them as they are."""
    return matrix if len(keep) == matrix.shape[1] else np.ascontiguousarray(matrix[:, keep])
