"""The features of a detector as SQL: the same values from tables of events, for people, and as an oracle for tests.

The query is DuckDB's. It expects one table an event kind, called like the kind, with a column for each field (see
``to_tables``) and ``position``, the order of arrival over all kinds. It gives one row a decided event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, FieldType, Schema
from counterfoil.features.aggregations import AGGREGATIONS, Terms
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Window
from counterfoil.features.plan import FeaturePlan
from counterfoil.features.typing import SIGNATURES
from counterfoil.rules.sql import quoted, text_literal, to_duckdb
from counterfoil.rules.types import Base

if TYPE_CHECKING:
    from counterfoil.detector import Detector

_UNITS = (
    (86_400_000_000, "days"),
    (3_600_000_000, "hours"),
    (60_000_000, "minutes"),
    (1_000_000, "seconds"),
    (1_000, "milliseconds"),
    (1, "microseconds"),
)
_COLUMN_TYPES = {
    FieldType.ID: "VARCHAR",
    FieldType.CATEGORY: "VARCHAR",
    FieldType.CARD: "VARCHAR",
    FieldType.INTEGER: "BIGINT",
    FieldType.FLOAT: "DOUBLE",
    FieldType.BOOL: "BOOLEAN",
    FieldType.TIME: "TIMESTAMP",
}
_RECKONING = ("sum", "mean", "std")
"""Aggregations to which true and false are 1 and 0."""
_LINE = 100
"""Characters of a list of columns that still stands on one line."""
_MONEY_DIGITS = 18
"""Digits of a DECIMAL that fits in 64 bits, as money does everywhere."""


def to_sql(detector: Detector) -> str:
    """Return the query that computes a detector's features.

    It means what the compiled program means: windows are exact and as of the log, a late event counts as of its own
    time or the oldest that ``max_lateness`` allows, nulls follow SQL. Events that repeat an id within ``dedupe`` are
    expected to be left out of the tables. Three differences remain, far from usual amounts: means, deviations and
    sums of floats are rounded as DuckDB rounds them, so that large values lose a small deviation; it keeps floats
    beyond 4.6e18, which running sums treat as null; and where exact arithmetic leaves 64 bits it raises.

    It joins every event with all earlier ones of its entity: for checking and exploring, not for production.

    Parameters
    ----------
    detector
        The definition.

    Returns
    -------
    str
        One SELECT: ``position``, ``id``, ``event_time``, then each feature by its name, in the order of the
        definition; a row a decided event, in arrival order.

    Raises
    ------
    DefinitionError
        When an expression of the definition does not compile.
    """
    return _Query(detector).write()


def to_tables(schema: Schema) -> str:
    """Return the statements that create the tables which ``to_sql`` reads, empty.

    Times are in UTC, money is in major units.
    """
    names = _Names(schema)
    return "\n".join(_table(schema, kind, names) for kind in schema.kinds)


def interval(length: int) -> str:
    """Return a length in microseconds as an SQL interval, in the largest unit that says it exactly.

    Examples
    --------
    >>> interval(86_400_000_000), interval(90_000_000)
    ("INTERVAL '1 days'", "INTERVAL '90 seconds'")
    """
    size, unit = next((size, unit) for size, unit in _UNITS if length % size == 0)
    return f"INTERVAL '{length // size} {unit}'"


class _Names:
    """The query's own columns, renamed where the detector has a field or feature called the same."""

    def __init__(self, schema: Schema, features: Iterable[str] = ()) -> None:
        taken = {each.name for each in schema.columns} | set(features)
        taken |= {name for kind in schema.kinds for name in (kind.id, kind.time) if name is not None}
        self._taken = {name.lower() for name in taken}
        self.position = self.free("position")
        self.kind = self.free("kind")
        self.id = self.free("event_key")
        self.time = self.free("happened")
        self.as_of = self.free("as_of")
        self.asks = self.free("asks")

    def free(self, name: str) -> str:
        """Return a name that nothing else has."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _table(schema: Schema, kind: EventKind, names: _Names) -> str:
    columns = {names.position: "BIGINT"}
    if kind.id is not None:
        columns[kind.id] = "VARCHAR"
    columns[kind.time] = "TIMESTAMP"
    for each in kind.fields:
        columns[each.name] = _column_type(schema, each.name)
    listed = ", ".join(f"{quoted(name)} {value_type}" for name, value_type in columns.items())
    return f"CREATE TABLE {quoted(kind.name)} ({listed});"


def _column_type(schema: Schema, name: str) -> str:
    column = schema.columns[schema.column_index[name]]
    if column.type is FieldType.MONEY:
        return f"DECIMAL({_MONEY_DIGITS}, {column.scale})"
    return _COLUMN_TYPES[column.type]


class _Query:
    """Writes the query: events, events by entity, one step an aggregate, then the derived features in layers."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.schema = detector.schema
        self.plan = FeaturePlan(
            detector.schema,
            detector.entities,
            detector.features,
            detector.lists,
            detector.max_lateness,
            IdentityKey(),
        )
        self.compiler = self.plan.compiler()
        self.keys = {entity.name: entity.key for entity in detector.entities}
        self.names = _Names(self.schema, detector.feature_names)
        self.steps: dict[str, str] = {}
        """Name of each step (a common table expression) to its SQL, in order."""
        self.events = ""
        """The step with all events."""
        self.stages: dict[str, str] = {}
        """What a stage is to its step."""
        self.aggregates: dict[str, AggregateFeature] = {}
        """Step to the aggregate that it computes."""

    def write(self) -> str:
        self.events = self._add("events", "Every event, of whatever kind.", self._events())
        for feature in self.detector.features:
            if isinstance(feature, AggregateFeature):
                step = self._add(feature.name, self._describe(feature), self._aggregate(feature))
                self.aggregates[step] = feature
        last = self._add("aggregates", "The decided events with all aggregates.", self._gather())
        for layer in self._layers():
            columns = [f"{to_duckdb(self.compiler, each.expr)} AS {quoted(each.name)}" for each in layer]
            body = _select(["*", *columns], f"FROM {last}")
            last = self._add("derived", "Features computed from fields and other features.", body)
        outputs = [self.names.position, f"{self.names.id} AS id", f"{self.names.time} AS event_time"]
        outputs += [quoted(name) for name in self.detector.feature_names]
        steps = ",\n\n".join(self.steps.values())
        return f"WITH\n{steps}\n\n{_select(outputs, f'FROM {last}', f'ORDER BY {self.names.position}')}\n"

    def _add(self, name: str, comment: str, body: str) -> str:
        """Add a step under a name that is still free, and return it."""
        taken = {each.lower() for each in self.steps} | {kind.name.lower() for kind in self.schema.kinds}
        while quoted(name).lower() in taken or name.lower() in taken:
            name += "_"
        step = quoted(name)
        lines = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
        self.steps[step] = f"-- {comment}\n{step} AS (\n{lines}\n)"
        return step

    # Events.

    def _events(self) -> str:
        return "\nUNION ALL\n".join(self._events_of(kind) for kind in self.schema.kinds)

    def _events_of(self, kind: EventKind) -> str:
        """Return a kind's events with the columns of all kinds: null where it has no such field."""
        names = self.names
        identity = f"CAST({names.position} AS VARCHAR)" if kind.id is None else quoted(kind.id)
        columns = [
            names.position,
            f"{text_literal(kind.name)} AS {names.kind}",
            f"{identity} AS {names.id}",
            f"{quoted(kind.time)} AS {names.time}",
        ]
        own = {each.name for each in kind.fields}
        for each in self.schema.columns:
            value = quoted(each.name)
            missing = f"CAST(NULL AS {_column_type(self.schema, each.name)}) AS {value}"
            columns.append(value if each.name in own else missing)
        # An expression may call the time as any kind calls it.
        times = dict.fromkeys(each.time for each in self.schema.kinds)
        columns += [
            quoted(time) if time == kind.time else f"{quoted(kind.time)} AS {quoted(time)}"
            for time in times
            if time not in self.schema.column_index
        ]
        return _select(columns, f"FROM {quoted(kind.name)}")

    # Events by entity.

    def _stage(self, feature: AggregateFeature) -> str:
        """Return the step with the events that an aggregate's stage sees, and the time as of which each counts."""
        read, fed = self._read_and_fed(feature)
        name = f"by {feature.by}" if read == fed else f"by {feature.by} via {', '.join(fed)}"
        name = name.replace(" ", "_").replace(",", "")
        if name in self.stages:
            return self.stages[name]
        kinds = {each.kind for each in self._stage_features(feature)}
        deciding = [kind.name for kind in self.schema.kinds if kind.decide]
        if read == fed:
            source, keys = self.events, [quoted(each) for each in read]
            wanted = [self._is_kind([kind.name for kind in self.schema.kinds if kind.decide or kind.name in kinds])]
        else:
            keys = [quoted(each) for each in self._key_columns(feature)]
            asking = [f"{quoted(field)} AS {key}" for field, key in zip(read, keys, strict=True)]
            entering = [f"{quoted(field)} AS {key}" for field, key in zip(fed, keys, strict=True)]
            events, is_fed = f"FROM {self.events}", self._is_kind(sorted(kinds))
            asks = _select(["*", *asking, f"TRUE AS {self.names.asks}"], events, f"WHERE {self._is_kind(deciding)}")
            enters = _select(["*", *entering, f"FALSE AS {self.names.asks}"], events, f"WHERE {is_fed}")
            source, wanted = f"(\n{_indented(asks)}\n    UNION ALL\n{_indented(enters)}\n)", []
        wanted += [f"{key} IS NOT NULL" for key in keys]
        clock = f"max({self.names.time}) OVER (PARTITION BY {', '.join(keys)} ORDER BY {self.names.position})"
        oldest = f"{clock} - {interval(self.detector.max_lateness)}"
        body = _select(
            ["*", f"greatest({self.names.time}, {oldest}) AS {self.names.as_of}"],
            f"FROM {source}",
            f"WHERE {' AND '.join(wanted)}",
        )
        comment = f"Events {name.replace('_', ' ')}. A late one counts as of the oldest time that is allowed."
        self.stages[name] = self._add(name, comment, body)
        return self.stages[name]

    def _stage_features(self, feature: AggregateFeature) -> list[AggregateFeature]:
        """Return all aggregates of a feature's stage."""
        aggregates = [each for each in self.detector.features if isinstance(each, AggregateFeature)]
        stage = (feature.by, self._read_and_fed(feature))
        return [each for each in aggregates if (each.by, self._read_and_fed(each)) == stage]

    def _read_and_fed(self, feature: AggregateFeature) -> tuple[tuple[str, ...], tuple[str, ...]]:
        key = self.keys[feature.by]
        return key, feature.via or key

    def _key_columns(self, feature: AggregateFeature) -> tuple[str, ...]:
        """Return the columns of a stage's step that identify the entity."""
        read, fed = self._read_and_fed(feature)
        return read if read == fed else tuple(f"{feature.by} key {number + 1}" for number in range(len(read)))

    def _is_kind(self, kinds: Sequence[str]) -> str:
        literals = [text_literal(kind) for kind in kinds]
        if len(literals) == 1:
            return f"{self.names.kind} = {literals[0]}"
        return f"{self.names.kind} IN ({', '.join(literals) or 'NULL'})"

    # Aggregates.

    def _describe(self, feature: AggregateFeature) -> str:
        parts = [feature.aggregation]
        if feature.arguments:
            parts.append(f"of {', '.join(feature.arguments)}")
        parts.append(f"on {feature.kind} by {feature.by}")
        if feature.via is not None:
            parts.append(f"via {', '.join(feature.via)}")
        if feature.over:
            parts.append(f"over {', '.join(window.label for window in feature.over)}")
        if feature.where is not None:
            parts.append(f"where {feature.where}")
        if feature.prior:
            parts.append("without the event itself")
        return " ".join(" ".join(parts).split()) + "."

    def _aggregate(self, feature: AggregateFeature) -> str:
        aggregation = AGGREGATIONS[feature.aggregation]
        values = [to_duckdb(self.compiler, argument) for argument in feature.arguments]
        deciding = [kind.name for kind in self.schema.kinds if kind.decide]
        asking = [f"{value} AS own_{number}" for number, value in enumerate(values, 1)]
        asking = asking if SIGNATURES[feature.aggregation].asks_event else []
        if feature.aggregation in _RECKONING:
            types = self.plan.argument_types(feature)
            values = [
                f"CAST({value} AS INTEGER)" if each.base is Base.BOOL else value
                for value, each in zip(values, types, strict=True)
            ]
        entering = [f"{value} AS value_{number}" for number, value in enumerate(values, 1)]
        conditions = [self._is_kind([feature.kind])]
        if feature.where is not None:
            conditions.append(to_duckdb(self.compiler, feature.where))
        asks = self._rows(feature, asking, [self._is_kind(deciding)], self.names.asks)
        enters = self._rows(feature, entering, conditions, f"NOT {self.names.asks}")
        outputs = [
            f"{self._typed(feature, self._sql(feature, window))} AS {quoted(name)}" for name, window in feature.outputs
        ]
        groups = ["e.position", "e.time", *(f"e.own_{number}" for number in range(1, len(asking) + 1))]
        return _select(
            ["e.position", *outputs],
            f"FROM (\n{_indented(asks)}\n) AS e",
            f"LEFT JOIN (\n{_indented(enters)}\n) AS s",
            f"    ON {self._visible(feature, strictly=feature.prior or aggregation.about_before)}",
            f"GROUP BY {', '.join(groups)}",
        )

    def _visible(self, feature: AggregateFeature, *, strictly: bool) -> str:
        """Return the condition that an event sees a row: of the same entity, arrived by then, and in time."""
        conditions = [f"s.{key} = e.{key}" for key in self._join_columns(feature)]
        conditions.append(f"s.position {'<' if strictly else '<='} e.position")
        conditions.append(f"s.time <= e.time - {interval(feature.delay)}" if feature.delay else "s.time <= e.time")
        if feature.over:
            longest = max(window.length for window in feature.over)
            conditions.append(f"s.time > e.time - {interval(feature.delay + longest)}")
        return "\n        AND ".join(conditions)

    def _join_columns(self, feature: AggregateFeature) -> list[str]:
        keys = self._key_columns(feature)
        # The aggregates speak of position and time, values and own: a key of such a name steps aside.
        clash = any(re.fullmatch("position|time|(value|own)_[0-9]+", key, re.IGNORECASE) for key in keys)
        return [quoted(f"key {number}" if clash else key) for number, key in enumerate(keys, 1)]

    def _sql(self, feature: AggregateFeature, window: Window | None) -> str:
        """Return the aggregate over one window."""
        count = range(1, len(feature.arguments) + 1)
        within = None
        # Where there is but one window the join has cut the rows already.
        if window is not None and len(feature.over) > 1:
            within = f"s.time > e.time - {interval(feature.delay + window.length)}"
        terms = Terms(
            tuple(f"s.value_{number}" for number in count),
            tuple(f"e.own_{number}" for number in count),
            "e.time",
            within,
        )
        return AGGREGATIONS[feature.aggregation].sql(terms)

    def _typed(self, feature: AggregateFeature, sql: str) -> str:
        """Give sums and money back the width that they have everywhere else."""
        result = self.plan.types[self.plan.rows[feature.outputs[0][0]]]
        if result.base is Base.MONEY:
            return f"CAST({sql} AS DECIMAL({_MONEY_DIGITS}, {result.scale}))"
        if result.base is Base.INT and feature.aggregation == "sum":
            return f"CAST({sql} AS BIGINT)"
        return sql

    def _rows(self, feature: AggregateFeature, columns: Sequence[str], conditions: Sequence[str], role: str) -> str:
        """Return some events of a feature's stage, with the time as of which they count."""
        stage = self._stage(feature)
        names, time = self.names, self.names.as_of
        if feature.resolution:
            time = f"time_bucket({interval(feature.resolution)}, {time}, TIMESTAMP '1970-01-01')"
        keys = [
            quoted(key) if quoted(key) == joined else f"{quoted(key)} AS {joined}"
            for key, joined in zip(self._key_columns(feature), self._join_columns(feature), strict=True)
        ]
        position = names.position if names.position == "position" else f"{names.position} AS position"
        read, fed = self._read_and_fed(feature)
        conditions = [*([] if read == fed else [role]), *conditions]
        return _select(
            [position, *keys, f"{time} AS time", *columns], f"FROM {stage}", f"WHERE {' AND '.join(conditions)}"
        )

    def _gather(self) -> str:
        deciding = [kind.name for kind in self.schema.kinds if kind.decide]
        columns = [f"{self.events}.*"]
        joins = []
        for step, feature in self.aggregates.items():
            columns += [f"{step}.{quoted(name)}" for name, _ in feature.outputs]
            joins.append(f"LEFT JOIN {step} ON {step}.position = {self.events}.{self.names.position}")
        return _select(columns, f"FROM {self.events}", *joins, f"WHERE {self._is_kind(deciding)}")

    def _layers(self) -> list[list[DerivedFeature]]:
        """Return the derived features so that each uses only features of the layers before it."""
        depths: dict[str, int] = {}
        uses = {self.plan.rows[name]: name for name in self.detector.feature_names}
        for expression, row in self.plan.derived:
            depths[uses[row]] = 1 + max((depths.get(name, 0) for name in expression.uses), default=0)
        derived = [each for each in self.detector.features if isinstance(each, DerivedFeature)]
        return [
            [each for each in derived if depths[each.name] == depth]
            for depth in range(1, max(depths.values(), default=0) + 1)
        ]


def _select(columns: Sequence[str], *clauses: str) -> str:
    line = f"SELECT {', '.join(columns)}"
    lines = ",\n    ".join(columns)
    return "\n".join([line if len(line) <= _LINE else f"SELECT\n    {lines}", *clauses])


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))
