"""Window features as SQL for engines: `OVER` windows of Flink and Spark, for those who want no Python in the hot path.

Only part of a detector can be said so, and what cannot is named with its reason. Where it can, the values are those of
the compiled program as long as events come in order of their times, no two of an entity at the same one, and none
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from counterfoil.events.kinds import EventKind, FieldType
from counterfoil.features.definition import AggregateFeature, Window

if TYPE_CHECKING:
    from counterfoil.detector import Detector

DIALECTS = ("flink", "spark")
_PLAIN = {"count": "COUNT", "sum": "SUM", "mean": "AVG", "min": "MIN", "max": "MAX"}
_TYPES = {
    FieldType.ID: "STRING",
    FieldType.CATEGORY: "STRING",
    FieldType.CARD: "STRING",
    FieldType.MONEY: "DECIMAL(18, {scale})",
    FieldType.INTEGER: "BIGINT",
    FieldType.FLOAT: "DOUBLE",
    FieldType.BOOL: "BOOLEAN",
    FieldType.TIME: "TIMESTAMP(3)",
}
_STEP = {"flink": 1_000, "spark": 1}
"""Microseconds between two times that the engine can tell apart: Flink keeps event time in milliseconds."""
_DIGITS = {"flink": 3, "spark": 6}
_MICROSECONDS = {"day": 86_400_000_000, "hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}


@dataclass(frozen=True, slots=True)
class WindowSql:
    """A detector's window features as text.

    Parameters
    ----------
    table
        The statement that creates the table which the query reads.
    query
        One row an event of the deciding kind.
    features
        The features that it computes.
    left_out
        The others, each with the reason.
    """

    table: str
    query: str
    features: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        lines = [f"-- {name}: {reason}" for name, reason in self.left_out]
        return "\n".join([self.table, "", *(["-- Not in this query:", *lines] if lines else []), f"{self.query};"])


def window_sql(detector: Detector, dialect: str) -> WindowSql:
    """Return the window features of the first kind that is decided.

    Parameters
    ----------
    detector
        The definition.
    dialect
        One of ``DIALECTS``.
    """
    assert dialect in DIALECTS
    kind = next(each for each in detector.schema.kinds if each.decide)
    groups: dict[tuple[str, Window | None], list[tuple[str, AggregateFeature]]] = {}
    left_out: list[tuple[str, str]] = []
    for feature in detector.features:
        if not isinstance(feature, AggregateFeature):
            left_out.append((feature.name, "is derived from others: select it from this query"))
            continue
        reason = _reason(feature, kind)
        for name, window in feature.outputs:
            if reason:
                left_out.append((name, reason))
            else:
                groups.setdefault((feature.by, window), []).append((name, feature))
    keys = {entity.name: entity.key for entity in detector.entities}
    query = _quoted(kind.name)
    for (by, window), features in groups.items():
        # One window a query: Flink allows no more, and to Spark it is the same.
        over = (
            f"PARTITION BY {', '.join(map(_quoted, keys[by]))} ORDER BY {_quoted(kind.time)} {_range(window, dialect)}"
        )
        columns = [_column(name, feature, keys[by], dialect) for name, feature in features]
        inner = query if query.startswith("`") else f"(\n{_indented(query)}\n)"
        listed = ",\n  ".join(columns)
        query = f"SELECT *,\n  {listed}\nFROM {inner}\nWINDOW w AS ({over})"
    computed = tuple(name for features in groups.values() for name, _ in features)
    if not computed:
        query = f"SELECT * FROM {query}"  # noqa: S608 - a text to look at, made of checked names
    return WindowSql(_table(detector, kind, dialect), query, computed, tuple(left_out))


def _reason(feature: AggregateFeature, kind: EventKind) -> str:
    """Return why a feature cannot be said as a window; empty where it can."""
    if feature.kind != kind.name:
        return f"aggregates {feature.kind}: a window sees the rows of its own table alone"
    if feature.via is not None:
        return "is fed under another key than it is read under"
    if feature.aggregation not in _PLAIN:
        return f"{feature.aggregation} is no aggregate of a window that both engines have"
    if feature.prior:
        return "leaves its own event out: a range of times cannot"
    if feature.delay or feature.resolution:
        return "counts events with a delay, or at a coarser time"
    return ""


def _column(name: str, feature: AggregateFeature, key: Sequence[str], dialect: str) -> str:
    value = _translated(feature.arguments[0], dialect) if feature.arguments else "1"
    if feature.aggregation == "mean":
        value = f"CAST({value} AS DOUBLE)"
    if feature.where is not None:
        value = f"CASE WHEN {_translated(feature.where, dialect)} THEN {value} END"
    found = f"{_PLAIN[feature.aggregation]}({value}) OVER w"
    known = " AND ".join(f"{_quoted(each)} IS NOT NULL" for each in key)
    return f"CASE WHEN {known} THEN {found} END AS {_quoted(name)}"


def _translated(text: str, dialect: str) -> str:
    """Return an expression of a definition in an engine's words."""
    del dialect
    tree = sqlglot.parse_one(text, read="duckdb")
    for column in tree.find_all(exp.Column):
        column.this.set("quoted", True)
    return tree.sql(dialect="spark")


def _range(window: Window | None, dialect: str) -> str:
    if window is None:
        return "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    # A range of SQL has both its ends in it, a window of ours only the later one.
    return f"RANGE BETWEEN {day_time(window.length - _STEP[dialect], _DIGITS[dialect])} PRECEDING AND CURRENT ROW"


def day_time(length: int, digits: int) -> str:
    """Return a length in microseconds as an interval of days to seconds.

    Examples
    --------
    >>> day_time(3_599_999_000, 3)
    "INTERVAL '0 00:59:59.999' DAY(1) TO SECOND(3)"
    >>> day_time(86_400_000_000, 6)
    "INTERVAL '1 00:00:00.000000' DAY TO SECOND"
    """
    parts = []
    rest = length
    for size in _MICROSECONDS.values():
        count, rest = divmod(rest, size)
        parts.append(count)
    days, hours, minutes, seconds = parts
    fraction = f"{rest:06d}"[:digits]
    text = f"'{days} {hours:02d}:{minutes:02d}:{seconds:02d}.{fraction}'"
    # Spark's intervals have a fixed precision, and Flink's have two digits of days unless it is told.
    form = f"DAY({len(str(days))}) TO SECOND({digits})" if digits == _DIGITS["flink"] else "DAY TO SECOND"
    return f"INTERVAL {text} {form}"


def _table(detector: Detector, kind: EventKind, dialect: str) -> str:
    columns = list(_columns(detector, kind))
    if dialect == "flink":
        time = _quoted(kind.time)
        columns.append(f"WATERMARK FOR {time} AS {time}")
    else:
        columns = [column.replace("TIMESTAMP(3)", "TIMESTAMP") for column in columns]
    listed = ",\n  ".join(columns)
    options = " WITH ('connector' = '…')" if dialect == "flink" else ""
    return f"CREATE TABLE {_quoted(kind.name)} (\n  {listed}\n){options};"


def _columns(detector: Detector, kind: EventKind) -> Iterator[str]:
    if kind.id is not None:
        yield f"{_quoted(kind.id)} STRING"
    yield f"{_quoted(kind.time)} TIMESTAMP(3)"
    schema = detector.schema
    for each in kind.fields:
        column = schema.columns[schema.column_index[each.name]]
        yield f"{_quoted(each.name)} {_TYPES[column.type].format(scale=column.scale)}"


def _quoted(name: str) -> str:
    return f"`{name}`"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
