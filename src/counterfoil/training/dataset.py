"""Training tables: point-in-time features by replay through the detector, labels as of when they were known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from counterfoil.backtest.frames import column, column_type, identifiers
from counterfoil.backtest.labels import MISSING, label_of_text
from counterfoil.backtest.replay import Backtest, Period, Progress, Totals
from counterfoil.config import LimitsConfig, SourceConfig
from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.destinations import check_destinations
from counterfoil.errors import ConfigurationError, nearest
from counterfoil.events.identity import IdentityKey, hash_pair
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.program import Program
from counterfoil.rules.types import Base, ValueType
from counterfoil.runtimes.local.arrays import texts_of
from counterfoil.runtimes.local.recovery import read_blocks
from counterfoil.runtimes.local.store import Store
from counterfoil.runtimes.special_kernels import attach
from counterfoil.training.table import EVENT_TIME, FIRST_COLUMNS, ID, KNOWN_AT, LABEL, Content, write_table

if TYPE_CHECKING:
    from counterfoil.backtest.labels import Labels
    from counterfoil.decisions.decided import Decided
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch, Words

_IDENTITY = "identity of the event"
"""A column while labels wait to be joined; a blank keeps it apart from every field and feature."""
_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Labelling:
    """Where labels come from, and when they were known.

    Parameters
    ----------
    source
        A column of the decided events (``TX_FRAUD``), or a field of another kind (``outcome.fraud``).
    delay
        Microseconds after which the label of an event is known. Of a column: always. Of another kind, whose events are
        known when they happen: how long to wait for one; an event of which nothing was heard by then counts as genuine.
        None of another kind: what was never reported stays without a label.
    subject
        Of another kind: its field that holds the decided event's id; None for the field that is called like it.
    as_of
        Labels that became known later do not exist, in microseconds since 1970; None for the end of history.
    """

    source: str
    delay: int | None = None
    subject: str | None = None
    as_of: int | None = None

    def __post_init__(self) -> None:
        if self.delay is not None and self.delay < 0:
            raise ConfigurationError(f"--label-delay: found {self.delay} us; allowed: 0 or more")


@dataclass(slots=True)
class Written:
    """What a training table holds."""

    path: Path
    rows: int
    frauds: int
    genuine: int
    unknown: int
    """Rows whose label was not known yet."""
    totals: Totals
    content: Content

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "table": str(self.path),
            "rows": self.rows,
            "labels": {"fraud": self.frauds, "genuine": self.genuine, "not_known_yet": self.unknown},
            "columns": len(self.content.types),
            "detector": self.content.detector,
            "events": self.totals.events,
            "decided": self.totals.decided,
            "observed": self.totals.observed,
            "duplicates": self.totals.duplicates,
            "dead_letters": self.totals.dead,
        }


@dataclass(slots=True)
class Dataset:
    """A detector, the history that it is replayed over, and where labels come from.

    Parameters
    ----------
    detector
        The detector.
    files
        What to replay, in this order; or one state folder of a run, whose journal is replayed.
    out
        The Parquet file to write.
    labelling
        Where labels come from; None for a table without labels, for models that need none.
    source
        How the files hold events.
    period
        Of which events rows are written; everything before them is replayed as well.
    limits, key
        Bounds, and what hashes ids: a journal is read with the key of its run.
    on_progress
        Called after every batch.
    """

    detector: Detector
    files: Sequence[Path]
    out: Path
    labelling: Labelling | None = None
    source: SourceConfig = field(default_factory=SourceConfig)
    period: Period = field(default_factory=Period)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    key: IdentityKey = field(default_factory=IdentityKey)
    on_progress: Callable[[Progress], None] | None = None

    def write(self) -> Written:
        """Replay everything once and write the table.

        Raises
        ------
        ConfigurationError
            If labels cannot come from where they should, or a file to write is one that is read.
        InputError
            If a file cannot be read.
        """
        check_destinations([("FILES", path) for path in self.files], [("--out", self.out)])
        columns = _Columns(self.detector, self.labelling)
        with _parts(self.out) as folder:
            rows = folder / "rows.parquet"
            with ParquetOutput(rows, self.out) as output:
                collector = _Collector(columns, output, self.period, self.key)
                totals = self._replay(collector)
                if output.rows == 0:
                    output.write(pl.DataFrame(schema=columns.schema()))
            return self._join(rows, columns, collector, totals)

    def _replay(self, collector: _Collector) -> Totals:
        if len(self.files) == 1 and self.files[0].is_dir():
            return self._replay_journal(collector)
        labels = None
        if self.labelling is not None and collector.columns.outcome is None:
            labels = self.labelling.source
        return (
            Backtest(
                self.detector,
                self.files,
                self.source,
                labels=labels,
                limits=self.limits,
                key=self.key,
                on_progress=self.on_progress,
                on_decided=collector.take,
            )
            .run()
            .totals
        )

    def _replay_journal(self, collector: _Collector) -> Totals:
        if self.labelling is not None and collector.columns.outcome is None:
            raise ConfigurationError(
                f'--labels: found "{self.labelling.source}"; allowed: KIND.FIELD, such as outcome.fraud:'
                " a journal holds what the detector reads, and no column beside it"
            )
        program = Program(self.detector, self.key, self.limits.shards, self.limits.threads)
        attach(program)
        collector.features = tuple(zip(program.feature_names, program.feature_types, strict=True))
        store = Store(self.files[0], read_only=True)
        totals = Totals()
        try:
            blocks = max(store.totals.blocks, 1)
            for header, batch, _ in read_blocks(store, self.detector.schema, 0, store.totals.blocks):
                decided = program.process(batch)
                totals.events += len(batch)
                totals.decided += len(decided)
                totals.observed += decided.observed
                totals.duplicates += len(decided.duplicates)
                collector.take(batch, decided, np.full(len(decided), MISSING, np.int8))
                if self.on_progress is not None:
                    self.on_progress(Progress("journal", (header.block + 1) / blocks, totals.events))
        finally:
            store.close()
        return totals

    def _join(self, rows: Path, columns: _Columns, collector: _Collector, totals: Totals) -> Written:
        """Write the rows with their labels as of the time asked for."""
        labelling = self.labelling
        last = collector.last_time
        as_of = last if labelling is None or labelling.as_of is None else labelling.as_of
        frame = pl.scan_parquet(rows)
        if columns.outcome is not None:
            frame = frame.join(collector.outcomes(as_of), on=_IDENTITY, how="left", maintain_order="left")
        delay = 0 if labelling is None or labelling.delay is None else labelling.delay
        frame = frame.with_columns(_labels(columns, labelling, delay, as_of)).select(FIRST_COLUMNS + columns.names)
        content = Content(
            detector=self.detector.version,
            types=columns.types(),
            label=None if labelling is None else labelling.source,
            delay=delay,
            silence_is_genuine=columns.outcome is not None and labelling is not None and labelling.delay is not None,
            as_of=as_of,
            source=", ".join(path.name for path in self.files),
        )
        write_table(frame, self.out, content)
        counted = (
            pl.scan_parquet(self.out)
            .select(
                rows=pl.len(),
                frauds=pl.col(LABEL).sum(),
                genuine=(~pl.col(LABEL)).sum(),
                unknown=pl.col(LABEL).is_null().sum(),
            )
            .collect()
            .row(0)
        )
        count, frauds, genuine, unknown = (int(each) for each in counted)
        return Written(self.out, count, frauds, genuine, unknown, totals, content)


def _labels(columns: _Columns, labelling: Labelling | None, delay: int, as_of: int) -> list[pl.Expr]:
    """Return label and the time since which it is known; both null where it was not known by ``as_of``."""
    none = [pl.lit(None, pl.Boolean).alias(LABEL), pl.lit(None, _TIME).alias(KNOWN_AT)]
    if labelling is None:
        return none
    label = pl.col(LABEL)
    matured = pl.col(EVENT_TIME) + pl.duration(microseconds=delay)
    known_at = matured
    if columns.outcome is not None:
        known_at = pl.col(KNOWN_AT)
        if labelling.delay is not None:
            # Nothing heard in time: genuine, as whoever trains then would have taken it to be.
            known_at = pl.when(label.is_null()).then(matured).otherwise(known_at)
            label = label.fill_null(value=False)
    known = label.is_not_null() & (known_at <= pl.lit(as_of).cast(_TIME))
    return [pl.when(known).then(label).alias(LABEL), pl.when(known).then(known_at).cast(_TIME).alias(KNOWN_AT)]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Where another kind holds labels."""

    kind: int
    label: Field
    subject: Field
    deciding: tuple[int, ...]
    """Numbers of the kinds whose ids the subject may be."""


class _Columns:
    """Which columns a table has, and of what types."""

    def __init__(self, detector: Detector, labelling: Labelling | None) -> None:
        self.detector = detector
        program = Program(detector)
        self.features = tuple(zip(program.feature_names, program.feature_types, strict=True))
        self.outcome = None if labelling is None else _outcome(detector.schema, labelling)
        # The label beside what a model may read would be the plainest of all leaks.
        hidden = {labelling.source} if labelling is not None and self.outcome is None else set()
        deciding = [kind for kind in detector.schema.kinds if kind.decide]
        fields = {each.name: each for kind in deciding for each in kind.fields if each.name not in hidden}
        self.fields = tuple(fields.values())
        self.names = [*fields, *(name for name, _ in self.features)]
        taken = [name for name in self.names if name in FIRST_COLUMNS]
        if taken:
            raise ConfigurationError(
                f'{detector.name}: found a field or feature "{taken[0]}"; allowed: any other name:'
                f" a training table calls columns of its own {', '.join(FIRST_COLUMNS)}"
            )

    def types(self) -> dict[str, str]:
        """Return what each column holds, by name."""
        found = {each.name: "text" if each.type is FieldType.CATEGORY else str(each.type) for each in self.fields}
        found = {name: "id" if kind == "card" else kind for name, kind in found.items()}
        return found | {name: kind.base.value for name, kind in self.features}

    def schema(self) -> dict[str, pl.DataType]:
        """Return the columns that rows have before labels are joined."""
        found: dict[str, pl.DataType] = {_IDENTITY: pl.Int64(), ID: pl.String(), EVENT_TIME: _TIME}
        if self.outcome is None:
            found[LABEL] = pl.Boolean()
        for each in self.fields:
            found[each.name] = _field_type(each)
        return found | {name: column_type(kind) for name, kind in self.features}


def _field_type(each: Field) -> pl.DataType:
    if each.type is FieldType.CATEGORY:
        return pl.String()
    if each.type.is_text:
        return pl.Int64()
    return column_type(ValueType.of(each))


def _outcome(schema: Schema, labelling: Labelling) -> _Outcome | None:
    """Return where labels come from when it is another kind; None for a column."""
    name, dot, label = labelling.source.partition(".")
    if not dot or name not in schema.kind_index:
        return None
    kind = schema.kinds[schema.kind_index[name]]
    fields = {each.name: each for each in kind.fields}
    if label not in fields:
        raise ConfigurationError(_wrong("--labels", labelling.source, [f"{name}.{each}" for each in fields]))
    deciding = tuple(number for number, each in enumerate(schema.kinds) if each.decide and each.id is not None)
    return _Outcome(
        schema.kind_index[name], fields[label], _subject(schema, kind, fields, deciding, labelling), deciding
    )


def _subject(
    schema: Schema, kind: EventKind, fields: dict[str, Field], deciding: tuple[int, ...], labelling: Labelling
) -> Field:
    texts = [name for name, each in fields.items() if each.type is FieldType.ID]
    wanted = labelling.subject
    if wanted is None:
        ids = {schema.kinds[number].id for number in deciding}
        wanted = next((name for name in texts if name in ids), None)
    if wanted is None or wanted not in texts:
        found = "nothing" if wanted is None else wanted
        raise ConfigurationError(_wrong("--label-id", found, texts) + f"; the field of {kind.name} that says of what")
    return fields[wanted]


def _wrong(option: str, found: str, allowed: Sequence[str]) -> str:
    hint = nearest(found, allowed)
    return f'{option}: found "{found}"; allowed: {", ".join(allowed) or "nothing"}' + (f"; {hint}" if hint else "")


class _Collector:
    """Takes decided batches, writes their rows and keeps the labels that other kinds bring."""

    def __init__(self, columns: _Columns, output: ParquetOutput, period: Period, key: IdentityKey) -> None:
        self.columns = columns
        self.features = columns.features
        self.last_time = 0
        self._output = output
        self._period = period
        self._key = key.words
        self._outcomes: list[pl.DataFrame] = []

    def take(self, batch: Batch, decided: Decided, labels: Labels) -> None:
        """Take a batch."""
        if not len(batch):
            return
        self.last_time = max(self.last_time, int(batch.time.max()))
        if self.columns.outcome is not None:
            self._take_outcomes(batch, self.columns.outcome)
        chosen = np.flatnonzero(self._period.contains(batch.time[decided.rows]))
        if len(chosen):
            self._output.write(self._frame(batch, decided, chosen, labels))

    def _frame(self, batch: Batch, decided: Decided, chosen: Words, labels: Labels) -> pl.DataFrame:
        rows = decided.rows[chosen]
        found = [
            pl.Series(_IDENTITY, batch.identity[rows]),
            pl.Series(ID, identifiers(batch, rows), pl.String),
            column(EVENT_TIME, ValueType(Base.TIME), batch.time[rows], np.zeros(len(rows), np.uint8)),
        ]
        if self.columns.outcome is None:
            known = labels[chosen]
            found.append(pl.Series(LABEL, known == 1).set(pl.Series(known == MISSING), None))
        found += [_field_series(batch, rows, each) for each in self.columns.fields]
        for row, (name, kind) in enumerate(self.features):
            found.append(column(name, kind, decided.features[row, chosen], decided.feature_nulls[row, chosen]))
        return pl.DataFrame(found)

    def _take_outcomes(self, batch: Batch, outcome: _Outcome) -> None:
        index = batch.schema.column_index
        subject, label = index[outcome.subject.name], index[outcome.label.name]
        present = (batch.kind == outcome.kind) & (batch.nulls[subject] == 0) & (batch.nulls[label] == 0)
        rows = np.flatnonzero(present)
        if not len(rows):
            return
        values = _said(batch, rows, label)
        rows, values = rows[values != MISSING], values[values != MISSING]
        for kind in outcome.deciding:
            identities = [int(hash_pair(kind + 1, each, *self._key)) for each in batch.values[subject, rows].tolist()]
            self._outcomes.append(
                pl.DataFrame(
                    [
                        pl.Series(_IDENTITY, identities, pl.Int64),
                        pl.Series(LABEL, values == 1),
                        column(KNOWN_AT, ValueType(Base.TIME), batch.time[rows], np.zeros(len(rows), np.uint8)),
                    ]
                )
            )

    def outcomes(self, as_of: int) -> pl.LazyFrame:
        """Return the last label of each event that was known by then."""
        empty = pl.DataFrame(schema={_IDENTITY: pl.Int64, LABEL: pl.Boolean, KNOWN_AT: _TIME})
        found = pl.concat([empty, *self._outcomes])
        known = found.filter(pl.col(KNOWN_AT) <= pl.lit(as_of).cast(_TIME)).sort(KNOWN_AT, maintain_order=True)
        return known.unique(_IDENTITY, keep="last", maintain_order=True).lazy()


def _said(batch: Batch, rows: Words, label: int) -> Labels:
    """Return what the label field of some events says."""
    kind = batch.schema.columns[label].type
    if kind is FieldType.FLOAT:
        return (batch.values[label, rows].view(np.float64) != 0).astype(np.int8)
    if not kind.is_text:
        return (batch.values[label, rows] != 0).astype(np.int8)
    return np.array([label_of_text(each) for each in _texts(batch, rows, label)], np.int8)


def _texts(batch: Batch, rows: Words, label: int) -> list[str | None]:
    place = 1 + batch.schema.text_columns.index(label)
    return texts_of(batch.texts.heap, batch.texts.offset[place, rows], batch.texts.length[place, rows])


def _field_series(batch: Batch, rows: Words, each: Field) -> pl.Series:
    place = batch.schema.column_index[each.name]
    words, nulls = batch.values[place, rows], batch.nulls[place, rows]
    if each.type is FieldType.CATEGORY:
        # One text a word of the vocabulary, not one a row.
        _, firsts, inverse = np.unique(words, return_index=True, return_inverse=True)
        vocabulary = pl.Series(each.name, _texts(batch, rows[firsts], place), pl.String)
        return vocabulary.gather(inverse).set(pl.Series(nulls != 0), None)
    if each.type.is_text:
        return pl.Series(each.name, words).set(pl.Series(nulls != 0), None)
    return column(each.name, ValueType.of(each), words, nulls)


@contextmanager
def _parts(out: Path) -> Iterator[Path]:
    """Give a folder beside the table for rows that wait for their labels."""
    try:
        folder = TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}.")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(f"--out: {out} cannot be written: {reason}; choose another file") from error
    with folder as name:
        yield Path(name)
