"""The engine's core as a slow runtime in this process: parts, logs and snapshots without any engine around them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import numpy as np

from counterfoil.detector import Detector
from counterfoil.events.batch import Batch
from counterfoil.events.kinds import FieldType
from counterfoil.runtimes.engine.blob import Piece, decode
from counterfoil.runtimes.engine.episodes import Alert, EpisodesPart
from counterfoil.runtimes.engine.job import DUPLICATES, FIRST_SHARD, WHOLE, Job
from counterfoil.runtimes.engine.joining import Joiner
from counterfoil.runtimes.engine.packing import pack_batch
from counterfoil.runtimes.engine.parts import (
    Part,
    compaction_due,
    log_entry,
    make_part,
    replay,
    restore_chunks,
    snapshot_chunks,
)
from counterfoil.runtimes.engine.results import Result


@dataclass
class Kept:
    """One part as an engine keeps it: a snapshot, what came after it, and the arrays as a cache of both."""

    job: Job
    number: int
    compact_bytes: int
    snapshot: list[bytes] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)
    cache: Part | None = None
    rebuilt: int = 0

    def part(self) -> Part:
        """Return the arrays, made again where they are missing."""
        if self.cache is None:
            self.rebuilt += 1
            self.cache = make_part(self.job, self.number)
            if self.snapshot:
                restore_chunks(self.cache, self.snapshot)
            for entry in self.log:
                replay(self.cache, entry)
        return self.cache

    def feed(self, pieces: list[Piece]) -> list[Piece]:
        answers = self.part().feed(pieces)
        self.log.append(log_entry(pieces))
        snapshot_bytes = sum(map(len, self.snapshot))
        if compaction_due(sum(map(len, self.log)), snapshot_bytes, self.compact_bytes):
            self.snapshot, self.log = list(snapshot_chunks(self.part())), []
        return answers


@dataclass
class InProcess:
    """A job, micro-batch by micro-batch."""

    job: Job
    compact_bytes: int = 1 << 20
    kept: dict[int, Kept] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.joiner = None if self.job.whole else Joiner(self.job)
        self.episodes = EpisodesPart(self.job)

    def forget(self) -> None:
        """Lose every cache, as a killed worker does."""
        for kept in self.kept.values():
            kept.cache = None

    def run(self, batches: Iterable[Batch], at_once: int = 1) -> None:
        """Carry batches through, so many in one micro-batch."""
        waiting: list[Piece] = []
        for count, batch in enumerate(batches, start=1):
            waiting += pack_batch(self.job, batch, int(batch.position[0]))
            if count % at_once == 0:
                self.micro_batch(waiting)
                waiting = []
        if waiting:
            self.micro_batch(waiting)

    def micro_batch(self, pieces: list[Piece]) -> None:
        if self.job.whole:
            self.results += [Result(piece.data) for piece in self._feed(WHOLE, pieces)]
            self.alerts += [alert for result in self.results[-len(pieces) :] for alert in result.alerts]
            return
        first = [piece for piece in pieces if piece.part == DUPLICATES]
        pieces = [piece for piece in pieces if piece.part != DUPLICATES] + self._feed(DUPLICATES, first)
        joining: defaultdict[int, list[bytes]] = defaultdict(list)
        for number in range(FIRST_SHARD, FIRST_SHARD + self.job.shards):
            own = sorted((each for each in pieces if each.part == number), key=lambda each: each.batch)
            for answer in self._feed(number, own):
                joining[answer.batch].append(answer.data)
        for piece in pieces:
            if piece.part < 0:
                joining[piece.batch].append(piece.data)
        assert self.joiner is not None
        for batch in sorted(joining):
            joined = self.joiner.join(joining[batch])
            self.results.append(Result(joined.result))
            if joined.raised is not None:
                [answer] = self.episodes.feed([Piece(0, batch, joined.raised)])
                self.alerts += decode(answer.data).meta["alerts"]

    def _feed(self, number: int, pieces: list[Piece]) -> list[Piece]:
        if not pieces:
            return []
        kept = self.kept.setdefault(number, Kept(self.job, number, self.compact_bytes))
        return kept.feed(pieces)


def in_batches(batch: Batch, size: int) -> Iterator[Batch]:
    """Yield a batch in parts."""
    for start in range(0, len(batch), size):
        yield batch.take(np.arange(start, min(start + size, len(batch))))


def sample_records(detector: Detector, count: int, seed: int = 3, pool: int = 12) -> list[bytes]:
    """Return events of any detector as JSON: few entities, so that every window and every rule has something to see."""
    random = Random(seed)
    kinds, found = detector.schema.kinds, []
    time = 1_767_225_600_000
    for number in range(count):
        kind = random.choices(kinds, [6 if kind.decide else 1 for kind in kinds])[0]
        time += random.randrange(200, 400_000)
        event: dict[str, object] = {} if len(kinds) == 1 else {"kind": kind.name}
        if kind.id is not None:
            event[kind.id] = f"{kind.name}-{number}"
        late = random.randrange(7_200_000) if random.random() < 0.1 else 0
        event[kind.time] = datetime.fromtimestamp((time - late) / 1000, UTC).isoformat()
        for field_ in kind.fields:
            if field_.required or random.random() < 0.95:
                event[field_.name] = _value(field_.type, field_.name, random, pool)
        found.append(json.dumps(event).encode())
    return found


def _value(kind: FieldType, name: str, random: Random, pool: int) -> object:
    match kind:
        case FieldType.MONEY:
            return round(min(random.lognormvariate(4, 1.5), 60_000), 2)
        case FieldType.FLOAT:
            return random.uniform(-60, 60)
        case FieldType.BOOL:
            return random.random() < 0.4
        case FieldType.INTEGER:
            return random.randrange(10)
        case FieldType.TIME:
            return "2026-01-01T00:00:00Z"
        case FieldType.CARD:
            return "4111111111111111"
        case _:
            return f"{name[:4]}{random.randrange(pool)}"
