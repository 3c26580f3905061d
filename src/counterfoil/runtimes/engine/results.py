"""What goes out: decisions as lines, with what a sink needs to know beside them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from counterfoil.decisions.model_scoring import Serving
from counterfoil.runtimes.engine.blob import Blob, decode, encode
from counterfoil.runtimes.engine.episodes import Alert
from counterfoil.runtimes.engine.job import place_of
from counterfoil.runtimes.engine.packing import letters_of
from counterfoil.runtimes.local.arrays import Lengths, gathered, offsets_of
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.messages import Messages, OutgoingAlert, identifiers, packed_lines, single_lines
from counterfoil.runtimes.local.messages import alert_messages as told_alerts
from counterfoil.runtimes.local.messages import letter_messages as told_letters
from counterfoil.runtimes.local.records import make_records

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.events.batch import Batch, Words
    from counterfoil.program import Program
    from counterfoil.runtimes.engine.job import Job
    from counterfoil.runtimes.local.store import NewDeadLetter

RESULT = "result"
_NEWLINE = 10

_COUNTS = ("records", "decided", "observed", "duplicates", "dead", "late", "approve", "review", "block", "alerts")


@dataclass(slots=True)
class Judge:
    """Turns decisions of a batch into a result.

    Parameters
    ----------
    job
        The job.
    program
        Explains hits; any program of the job's detector.
    """

    job: Job
    program: Program
    serving: Serving | None = field(init=False)
    """The models of the job; None for a detector without."""
    _encoder: LineEncoder = field(init=False)

    def __post_init__(self) -> None:
        names = list(zip(self.program.feature_names, self.program.feature_types, strict=True))
        self._encoder = LineEncoder(names if self.job.features else None)
        self.serving = _serving(self.job)

    def result(
        self,
        batch: Batch,
        decided: Decided,
        meta: dict[str, Any],
        duplicates: int,
        alerts: Sequence[Alert] = (),
    ) -> bytes:
        """Return the result of a batch.

        Parameters
        ----------
        batch
            Its events, without duplicates.
        decided
            Their decisions.
        meta
            What the packer noted of the batch.
        duplicates
            How many duplicates there were.
        alerts
            The alerts that they opened and extended, where they are known already.
        """
        records = make_records(batch, decided, self.program, self.job.features)
        decided_at = self.job.clock if self.job.clock is not None else time.time_ns() // 1000
        lines = self._encoder.encode(records, decided_at, self.job.detector.version)
        outcomes = np.bincount(decided.outcome, minlength=3).tolist()
        late = int(np.count_nonzero(decided.late))
        counts = [meta["records"], len(decided), decided.observed, duplicates, len(meta["dead"]), late, *outcomes]
        return encode(
            RESULT,
            {
                "position": records.position,
                "digest": records.digest,
                "id_length": records.id_length,
                "id_heap": gathered(records.id_heap, records.id_offset[None], records.id_length[None]),
                "lines": np.frombuffer(lines, np.uint8),
            },
            {
                "counts": dict(zip(_COUNTS, [*counts, len(alerts)], strict=True)),
                "unknown_fields": meta["unknown_fields"],
                "dead": meta["dead"],
                "alerts": list(alerts),
            },
        )


def _serving(job: Job) -> Serving | None:
    """Return what scores with the job's pinned models."""
    if not job.detector.models:
        return None
    from counterfoil.models.mapping import IDENTITY  # noqa: PLC0415 - a detector without models needs no library
    from counterfoil.models.model import load_model  # noqa: PLC0415
    from counterfoil.models.model_files import ModelFiles  # noqa: PLC0415
    from counterfoil.models.serving_model import ServingModel  # noqa: PLC0415
    from counterfoil.models.signature import Signature  # noqa: PLC0415
    from counterfoil.runtimes.engine.serving import PinnedServing  # noqa: PLC0415

    files = ModelFiles(None, job.words)
    lineup: list[ServingModel | None] = []
    for use in job.detector.models:
        pinned = job.models.get(use.name)
        if pinned is None:
            lineup.append(None)
            continue
        model = load_model(pinned.onnx, Signature.decode(pinned.signature), probed=True)
        lineup.append(files.keep(model, pinned.reference, IDENTITY, None))
    return PinnedServing(job.detector.models, tuple(lineup))


class Result:
    """A result as sinks see it.

    Parameters
    ----------
    data
        The blob, or what was read of it.
    batch
        The number of the batch that it answers.
    """

    def __init__(self, data: bytes | bytearray | memoryview | Blob, batch: int = 0) -> None:
        blob = data if isinstance(data, Blob) else decode(data, RESULT)
        self.split = place_of(batch)[0]
        """The split of the source that the batch comes from."""
        self._arrays, self._meta = blob.arrays, blob.meta
        self.positions: Words = blob.arrays["position"]
        """(m,): the input position of each decision."""
        self.digests: Words = blob.arrays["digest"]
        """(m,): a hash of everything that was computed for it."""
        self.counts: dict[str, int] = blob.meta["counts"]
        """What the batch had: records, decided, observed, duplicates, dead, late, outcomes, alerts."""
        self.unknown_fields: int = blob.meta["unknown_fields"]
        """How many fields there were that the detector does not know."""
        self.alerts: list[Alert] = blob.meta["alerts"]
        """Alerts as they stand after the batch; where state is in shards, they come apart from it."""

    def since(self, first: int) -> Result | None:
        """Return what does not stand before a position of the batch's split; None where nothing is left.

        Alerts are told as they stand, and whole: what raised them now may stand behind the position.
        """
        cut = int(np.searchsorted(self.positions, first))
        dead = [row for row in self._meta["dead"] if row[0] >= first]
        if cut == 0 and len(dead) == len(self._meta["dead"]):
            return self
        if cut == len(self.positions) and not dead:
            return None
        found = copy(self)
        found._meta = {**self._meta, "dead": dead}
        if cut:
            ends = np.flatnonzero(self._arrays["lines"] == _NEWLINE)
            lengths = self._arrays["id_length"]
            found._arrays = {
                "lines": self._arrays["lines"][int(ends[cut - 1]) + 1 :],
                "id_heap": self._arrays["id_heap"][int(np.maximum(lengths[:cut], 0).sum()) :],
                "id_length": lengths[cut:],
            }
            found.positions, found.digests = self.positions[cut:], self.digests[cut:]
        if not len(found.positions):
            found.alerts = []
        return found

    @property
    def data(self) -> bytes:
        """The decisions as JSON lines, in order of arrival."""
        return self._arrays["lines"].tobytes()

    @property
    def dead(self) -> list[NewDeadLetter]:
        """What could not be decoded."""
        return letters_of(self._meta["dead"])

    @property
    def texts(self) -> tuple[bytes, Lengths]:
        """The ids of decided events one behind the other, and the length of each: -1 where its kind has none."""
        return self._arrays["id_heap"].tobytes(), self._arrays["id_length"]

    def identifiers(self, splits: Splits) -> list[bytes]:
        """Return the id of each decided event; where its kind has none, where it comes from."""
        heap, lengths = self.texts
        return identifiers(heap, offsets_of(lengths).tolist(), lengths.tolist(), splits.names(self.positions))


@dataclass(frozen=True, slots=True)
class Splits:
    """The names of a source's splits.

    Parameters
    ----------
    topics
        The topics, in the order of the configuration; empty for a file.
    """

    topics: tuple[str, ...] = ()

    def number(self, topic: str, partition: int) -> int:
        """Return the number of a partition: it stays the same when topics grow.

        Examples
        --------
        >>> Splits(("a", "b")).number("b", 3), Splits(("a",)).number("a", 3)
        (7, 3)
        """
        return partition * len(self.topics) + self.topics.index(topic)

    def name(self, position: int) -> bytes:
        """Return where a position comes from: ``topic/partition/offset``, or the position of a file."""
        if not self.topics:
            return b"%d" % position
        split, offset = place_of(position)
        topic = self.topics[split % len(self.topics)]
        return f"{topic}/{split // len(self.topics)}/{offset}".encode()

    def names(self, positions: Words) -> list[bytes]:
        """Return where positions come from."""
        if not self.topics:
            return [b"%d" % position for position in positions.tolist()]
        if not len(positions):
            return []
        split, offset = place_of(int(positions[0]))
        # A batch comes from one split.
        prefix = self.name(int(positions[0])).removesuffix(b"%d" % offset)
        shift = split << 40
        return [b"%b%d" % (prefix, position - shift) for position in positions.tolist()]


def decision_messages(result: Result, splits: Splits) -> Messages:
    """Return a message for each decision: as the local runtime writes them."""
    return single_lines(result.data, result.identifiers(splits), splits.names(result.positions))


def packed_messages(result: Result, splits: Splits) -> Messages:
    """Return messages of many lines each."""
    sources = splits.names(result.positions)
    # A batch comes from one split: what goes furthest in it is the last.
    return packed_lines(result.data, sources, lambda first, count: sources[first + count - 1])


def alert_messages(alerts: Iterable[Alert], splits: Splits) -> Messages:
    """Return a message for each alert, as it stands after the last of these changes."""
    outgoing = (
        OutgoingAlert(each["alert"], each["position"], {**each["content"], "position": each["position"]})
        for each in alerts
    )
    return told_alerts((each, splits.name(each.position)) for each in outgoing)


def letter_messages(letters: Iterable[NewDeadLetter], splits: Splits) -> Messages:
    """Return a message for each dead letter."""
    return told_letters((each, splits.name(each.position)) for each in letters)
