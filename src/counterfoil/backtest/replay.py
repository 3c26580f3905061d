"""History through the very same decoders and program that decide live events, at full speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.backtest.frames import decision_frame, decision_schema, feature_frame, feature_schema
from counterfoil.backtest.labels import MISSING, LabelReader, Labels, WordReader
from counterfoil.backtest.measures import Comparison, Measures
from counterfoil.config import LimitsConfig, SourceConfig
from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.decisions.feature_words import feature_words
from counterfoil.destinations import check_destinations
from counterfoil.errors import ConfigurationError, nearest
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import TIME_MAX, FieldType
from counterfoil.events.mapping import detector_names
from counterfoil.models.fixed_serving import fixed_serving
from counterfoil.program import Program
from counterfoil.runtimes.local.inputs import open_input
from counterfoil.runtimes.special_kernels import Specialising

if TYPE_CHECKING:
    from counterfoil.connectors.source import Chunk
    from counterfoil.decisions.decided import Decided
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch
    from counterfoil.events.decoding import Decoded
    from counterfoil.runtimes.local.inputs import ChunkDecoder

_SHOWN = 5
"""Dead letters that a result describes."""


@dataclass(frozen=True, slots=True)
class Period:
    """The part of history that is measured.

    Everything before it is replayed as well, so that features at its beginning are what they would have been live;
    everything after it is replayed, too, and measured as little: an event that arrives late may still lie within.

    Parameters
    ----------
    start
        Its first instant, in microseconds since 1970; None for the beginning.
    end
        The first instant after it; None for the end.
    """

    start: int | None = None
    end: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ConfigurationError("period: found an end that is not after its start; allowed: --from before --to")

    def contains(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which times lie in it."""
        inside = np.ones(len(times), np.bool_)
        if self.start is not None:
            inside &= times >= self.start
        if self.end is not None:
            inside &= times < self.end
        return inside


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a back-test is."""

    file: str
    done: float
    """The share of all files, 0 to 1, by size."""
    events: int


@dataclass(slots=True)
class Totals:
    """What became of everything that was read."""

    events: int = 0
    decided: int = 0
    observed: int = 0
    duplicates: int = 0
    dead: int = 0
    before: int = 0
    """Decided before the period: they only warmed the state up."""
    after: int = 0
    """Decided after it."""
    unknown_fields: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    """Dead letters by reason."""
    dead_examples: list[str] = field(default_factory=list)
    first_time: int | None = None
    last_time: int | None = None


@dataclass(slots=True)
class Result:
    """What one detector did."""

    detector: Detector
    measures: Measures
    totals: Totals
    seconds: float
    labels: str | None
    value: str | None
    groups: str | None
    period: Period
    other: Result | None = None
    comparison: Comparison | None = None
    files: tuple[str, ...] = ()

    @property
    def events_per_second(self) -> float:
        """Records read a second."""
        return self.totals.events / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON; the first keys are those that scripts rely on."""
        totals = self.totals
        found: dict[str, Any] = {
            "events": totals.events,
            "decided": totals.decided,
            "observed": totals.observed,
            "duplicates": totals.duplicates,
            "dead_letters": totals.dead,
            "alerts": self.measures.alerts,
            "seconds": round(self.seconds, 6),
            "events_per_second": round(self.events_per_second, 1),
            "detector": self.detector.version,
            "files": list(self.files),
            "excluded": {"before": totals.before, "after": totals.after},
            "dead_letter_reasons": totals.reasons,
            "unknown_fields": totals.unknown_fields,
            "label_column": self.labels,
            "value_field": self.value,
            **self.measures.as_dict(),
        }
        if self.other is not None and self.comparison is not None:
            found["against"] = self.other.as_dict()
            found["comparison"] = self.comparison.as_dict()
        return found


@dataclass(slots=True)
class Backtest:
    """A detector, the history it is tried on, and what is wanted of it.

    Parameters
    ----------
    detector
        The detector.
    files
        What to replay, in this order.
    source
        How the files hold events; its ``path`` is left out.
    against
        Another detector to decide the same events.
    labels
        The column that says what was fraud; None where nothing is known.
    groups
        A column by whose words the result is broken down.
    value
        The money field that is counted as value; None for the first of the deciding kinds.
    period
        What is measured.
    features, decisions
        Parquet files to write.
    limits
        Bounds, shards and threads.
    key
        Hashes ids.
    models
        The registry that the detector's models come from; None for the usual place.
    on_progress
        Called after every batch.
    on_decided
        Called with every batch, what the detector made of it, and the labels of its decisions.

    Examples
    --------
    >>> from counterfoil.detector_file import load_detector
    >>> from counterfoil.detectors import example_path
    >>> backtest = Backtest(load_detector("payments"), (example_path("payments"),), labels="fraud")
    >>> result = backtest.run()  # doctest: +SKIP
    """

    detector: Detector
    files: Sequence[Path]
    source: SourceConfig = field(default_factory=SourceConfig)
    against: Detector | None = None
    labels: str | None = None
    groups: str | None = None
    value: str | None = None
    period: Period = field(default_factory=Period)
    features: Path | None = None
    decisions: Path | None = None
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    key: IdentityKey = field(default_factory=IdentityKey)
    models: str | None = None
    on_progress: Callable[[Progress], None] | None = None
    on_decided: Callable[[Batch, Decided, Labels], None] | None = None

    def run(self) -> Result:
        """Replay everything once and return what was found.

        Raises
        ------
        ConfigurationError
            If a column that was named does not exist, or a file to write is one that is read.
        InputError
            If a file cannot be read.
        """
        if not self.files:
            raise ConfigurationError("FILES: found none; allowed: one or more files of events")
        written = {"--features": self.features, "--decisions": self.decisions}
        check_destinations(
            [("FILES", path) for path in self.files],
            [(name, path) for name, path in written.items() if path is not None],
        )
        with ExitStack() as stack:
            lanes = [_Lane(self, self.detector, stack, main=True)]
            if self.against is not None:
                lanes.append(_Lane(self, self.against, stack, main=False))
            comparison = Comparison() if self.against is not None else None
            started = time.perf_counter()
            self._replay(lanes, comparison)
            seconds = time.perf_counter() - started
            for lane in lanes:
                lane.finish()
        results = [lane.result(seconds) for lane in lanes]
        result = results[0]
        result.files = tuple(str(path) for path in self.files)
        if comparison is not None:
            result.other, result.comparison = results[1], comparison
        return result

    def _replay(self, lanes: list[_Lane], comparison: Comparison | None) -> None:
        files = [_File.of(path, self.source.format) for path in self.files]
        whole = max(sum(file.size for file in files), 1)
        first = events = before = 0
        for file in files:
            records = 0
            for chunk, reads in self._decoded(lanes, file.path, first):
                judged = [lane.take(each) for lane, each in zip(lanes, reads, strict=True)]
                if comparison is not None:
                    _compare(comparison, *judged)
                events += chunk.next_position - chunk.position
                records = chunk.next_position
                if self.on_progress is not None:
                    done = (before + file.size * min(chunk.next_offset / max(file.length, 1), 1.0)) / whole
                    self.on_progress(Progress(file.path.name, min(done, 1.0), events))
            # Positions go on counting from file to file, so that no two records have the same.
            first += records
            before += file.size

    def _decoded(self, lanes: list[_Lane], path: Path, first: int) -> Iterator[tuple[Chunk, list[_Read]]]:
        """Yield the chunks of a file, decoded for every lane; the next is decoded while one is being decided."""
        source = open_input(replace(self._source(path), fields={}), self.limits, self.detector, self.key).source
        for lane in lanes:
            lane.open(self._source(path))

        def read() -> tuple[Chunk, list[_Read]] | None:
            chunk = source.read(lambda: False)
            return None if chunk is None else (chunk, [lane.decode(chunk, chunk.position + first) for lane in lanes])

        try:
            with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
                waiting = pool.submit(read)
                while (ready := waiting.result()) is not None:
                    waiting = pool.submit(read)
                    yield ready
        finally:
            source.close()

    def _source(self, path: Path) -> SourceConfig:
        return replace(self.source, type="file", path=str(path))


@dataclass(slots=True)
class _Read:
    """A chunk as one lane sees it."""

    decoded: Decoded
    first: int
    labels: Labels | None
    words: npt.NDArray[np.object_] | None


@dataclass(slots=True)
class _Judged:
    """The decided payments of a chunk that lie in the period."""

    position: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.uint8]
    labels: Labels


class _Lane:
    """One detector's way through history."""

    def __init__(self, backtest: Backtest, detector: Detector, stack: ExitStack, main: bool) -> None:
        self.backtest = backtest
        self.detector = detector
        self.program = Program(detector, backtest.key, backtest.limits.shards, backtest.limits.threads)
        self._specialising = Specialising(self.program, backtest.limits.specialise_events)
        stack.callback(self._specialising.close)
        words = feature_words(detector.features) if detector.models else None
        self.serving = fixed_serving(detector.models, self.program.models, backtest.models, words)
        self.value, self._value_row, scale = _value_field(detector, backtest.value)
        self.measures = Measures(self.program.rule_names, scale)
        self.totals = Totals()
        self._decide: ChunkDecoder | None = None
        self._labels: LabelReader | None = None
        self._words: WordReader | None = None
        self._columns = tuple(zip(self.program.feature_names, self.program.feature_types, strict=True))
        self._on_decided = backtest.on_decided if main else None
        self._features = self._decisions = None
        if main and backtest.features is not None:
            self._features = stack.enter_context(ParquetOutput(backtest.features))
        if main and backtest.decisions is not None:
            self._decisions = stack.enter_context(ParquetOutput(backtest.decisions))

    def open(self, source: SourceConfig) -> None:
        """Make the decoders for a file."""
        backtest, key = self.backtest, self.backtest.key
        # Names of columns that only the readers of labels know would be strange to the detector's decoder.
        known = {name for kind in self.detector.schema.kinds for name in detector_names(kind)}
        asked = {backtest.labels, backtest.groups} - known
        own = {name: foreign for name, foreign in source.fields.items() if name not in asked}
        opened = open_input(replace(source, fields=own), backtest.limits, self.detector, key)
        opened.source.close()
        self._decide = opened.decode
        if backtest.labels is not None:
            self._labels = LabelReader(backtest.labels, source, backtest.limits, self.detector, key)
        if backtest.groups is not None:
            self._words = WordReader(backtest.groups, source, backtest.limits, self.detector, key)

    def decode(self, chunk: Chunk, first: int) -> _Read:
        """Decode a chunk, and beside it what the detector must not see."""
        assert self._decide is not None
        # History has no arrival times: nothing in it is from the future.
        arrival = TIME_MAX - self.detector.max_skew
        labels = None if self._labels is None else self._labels.labels(chunk, first, arrival)
        words = None if self._words is None else self._words.words(chunk, first, arrival)
        return _Read(self._decide(chunk, first, arrival), first, labels, words)

    def take(self, read: _Read) -> _Judged:
        """Decide a chunk and count what came of it."""
        batch = read.decoded.batch
        decided = self.program.process(batch, self.serving)
        self._specialising.after(len(batch))
        self._count(read.decoded, decided)
        rows = decided.rows
        times, records = batch.time[rows], batch.position[rows] - read.first
        labels = np.full(len(rows), MISSING, np.int8) if read.labels is None else read.labels[records]
        words = None if read.words is None else read.words[records]
        inside = self.backtest.period.contains(times)
        chosen = np.flatnonzero(inside)
        start = self.backtest.period.start
        before = 0 if start is None else int(np.count_nonzero(times < start))
        self.totals.before += before
        self.totals.after += len(rows) - len(chosen) - before
        amounts = None if self._value_row is None else batch.values[self._value_row, rows]
        self.measures.add(decided, chosen, times, labels, amounts, words)
        if self._on_decided is not None:
            self._on_decided(batch, decided, labels)
        if self._features is not None:
            self._features.write(feature_frame(batch, decided, chosen, self._columns))
        if self._decisions is not None:
            known = None if read.labels is None else labels
            self._decisions.write(decision_frame(batch, decided, chosen, self.program, known))
        return _Judged(batch.position[rows[chosen]], decided.outcome[chosen], labels[chosen])

    def _count(self, decoded: Decoded, decided: Decided) -> None:
        totals, batch = self.totals, decoded.batch
        totals.events += len(batch) + len(decoded.dead)
        totals.decided += len(decided)
        totals.observed += decided.observed
        totals.duplicates += len(decided.duplicates)
        totals.dead += len(decoded.dead)
        assert totals.events == totals.decided + totals.observed + totals.duplicates + totals.dead
        for name, count in decoded.unknown_fields.items():
            totals.unknown_fields[name] = totals.unknown_fields.get(name, 0) + count
        for letter in decoded.dead:
            totals.reasons[letter.reason.value] = totals.reasons.get(letter.reason.value, 0) + 1
            if len(totals.dead_examples) < _SHOWN:
                totals.dead_examples.append(f"record {letter.position}: {letter.detail}")
        if len(batch):
            first, last = int(batch.time.min()), int(batch.time.max())
            totals.first_time = first if totals.first_time is None else min(first, totals.first_time)
            totals.last_time = last if totals.last_time is None else max(last, totals.last_time)

    def finish(self) -> None:
        """See to it that files without a single row have their columns, too."""
        if self._features is not None and self._features.rows == 0:
            self._features.write(pl.DataFrame(schema=feature_schema(self._columns)))
        if self._decisions is not None and self._decisions.rows == 0:
            self._decisions.write(pl.DataFrame(schema=decision_schema(self.backtest.labels is not None)))

    def result(self, seconds: float) -> Result:
        """Return what came of it."""
        backtest = self.backtest
        return Result(
            self.detector,
            self.measures,
            self.totals,
            seconds,
            backtest.labels,
            self.value,
            backtest.groups,
            backtest.period,
        )


def _compare(comparison: Comparison, first: _Judged, other: _Judged) -> None:
    """Count the payments that both have decided; a record that one of them cannot decode has no counterpart."""
    if len(first.position) == len(other.position) and (first.position == other.position).all():
        comparison.add(first.outcome, other.outcome, first.labels)
        return
    _, left, right = np.intersect1d(first.position, other.position, assume_unique=True, return_indices=True)
    comparison.add(first.outcome[left], other.outcome[right], first.labels[left])


def _value_field(detector: Detector, wanted: str | None) -> tuple[str | None, int | None, int | None]:
    """Return name, row and digits of the money field that counts as value."""
    money = {
        each.name: each
        for kind in detector.schema.kinds
        if kind.decide
        for each in kind.fields
        if each.type is FieldType.MONEY
    }
    if wanted is None:
        wanted = next(iter(money), None)
        if wanted is None:
            return None, None, None
    if wanted not in money:
        message = (
            f'--value: found "{wanted}"; allowed: {", ".join(money) or "no money field"}; {nearest(wanted, money)}'
        )
        raise ConfigurationError(message.rstrip("; "))
    row = detector.schema.column_index[wanted]
    return wanted, row, detector.schema.columns[row].scale


@dataclass(frozen=True, slots=True)
class _File:
    """A file and how long it is, for the progress."""

    path: Path
    size: int
    """In bytes."""
    length: int
    """In what its chunks count: bytes, or rows of a table."""

    @classmethod
    def of(cls, path: Path, form: str) -> _File:
        try:
            size = path.stat().st_size
            if form != "parquet":
                return cls(path, size, size)
            return cls(path, size, int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()))
        except (OSError, pl.exceptions.PolarsError):
            # Opening it says what is wrong, in better words.
            return cls(path, 0, 0)
