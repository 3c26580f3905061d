"""Changes of rows as Debezium writes them: for each column some types that it may have, and values of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from counterfoil.events.encodings import decimal_base64
from tests.events.avro_records import plain
from tests.events.records import ARRIVAL

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECIMAL = "org.apache.kafka.connect.data.Decimal"
MICROS = st.integers(0, ARRIVAL)
AMOUNTS = st.decimals(0, 10**13, places=2)


@dataclass(frozen=True)
class Column:
    """A column's type in the schema of Kafka Connect, its values, how they are written and what they mean."""

    schema: dict[str, Any]
    values: st.SearchStrategy[Any]
    written: Callable[[Any], Any] = lambda value: value
    meant: Callable[[Any], Any] = plain
    encoding: str | None = None
    """What says the same where no schema does."""


def decimal_column(scale: int) -> Column:
    schema = {"type": "bytes", "name": DECIMAL, "version": 1, "parameters": {"scale": str(scale)}}
    return Column(
        schema,
        AMOUNTS,
        lambda value: decimal_base64(int(value.scaleb(scale))),
        encoding=f"decimal({scale})",
    )


def instant(micros: int) -> str:
    return (EPOCH + timedelta(microseconds=micros)).isoformat()


def ticks(name: str, micros: int, encoding: str, kind: str = "int64") -> Column:
    """Return a column that counts units of so many microseconds; 0 for nanoseconds."""

    def written(value: int) -> int:
        return value // micros if micros else value * 1_000 + 7

    def meant(value: int) -> str:
        return instant(value // micros * micros if micros else value)

    return Column({"type": kind, "name": name, "version": 1}, MICROS, written, meant, encoding)


VARIABLE = {
    "type": "struct",
    "name": "io.debezium.data.VariableScaleDecimal",
    "fields": [{"type": "int32", "field": "scale"}, {"type": "bytes", "field": "value"}],
}
ZONED = {"type": "string", "name": "io.debezium.time.ZonedTimestamp"}
IDS = [
    Column({"type": "string"}, st.text('abc-é漢\n😀"\\', min_size=1, max_size=40)),
    Column({"type": "int64"}, st.integers(-(2**63), 2**63 - 1)),
]
MONEY = [
    decimal_column(2),
    decimal_column(18),
    Column({"type": "string"}, AMOUNTS, str),
    Column({"type": "double"}, st.decimals(0, 10**12, places=2).map(float)),
    Column({"type": "int64"}, st.integers(0, 10**13)),
    Column(VARIABLE, AMOUNTS, lambda value: {"scale": 2, "value": decimal_base64(int(value.scaleb(2)))}, encoding=None),
]
TIMES = [
    ticks("io.debezium.time.Timestamp", 1_000, "millis"),
    ticks("io.debezium.time.MicroTimestamp", 1, "micros"),
    ticks("io.debezium.time.NanoTimestamp", 0, "nanos"),
    ticks("org.apache.kafka.connect.data.Timestamp", 1_000, "millis"),
    ticks("io.debezium.time.Date", 86_400_000_000, "days", "int32"),
    Column(ZONED, MICROS, lambda micros: instant(micros).replace("+00:00", "Z"), instant),
    Column(
        {"type": "string", "name": "io.debezium.time.IsoDate"},
        MICROS,
        lambda micros: instant(micros)[:10] + "Z",
        lambda micros: instant(micros)[:10] + "T00:00:00+00:00",
        "date",
    ),
]
COLUMNS: dict[str, list[Column]] = {
    "payment_id": IDS,
    "at": TIMES,
    "customer": IDS,
    "card": [Column({"type": "string"}, st.from_regex(r"[0-9]{12,19}", fullmatch=True))],
    "amount": MONEY,
    "country": [Column({"type": "string"}, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))],
    "latitude": [Column({"type": "double"}, st.floats(allow_nan=False, allow_infinity=False))],
    "attempts": [Column({"type": "int32"}, st.integers(-(2**31), 2**31 - 1))],
    "online": [
        Column({"type": "boolean"}, st.booleans()),
        Column({"type": "int16"}, st.booleans(), int),
    ],
    "ordered": TIMES,
}
SOURCE = {"version": "3.6.3.Final", "connector": "postgresql", "name": "bank", "ts_ms": 1_767_000_000_123}
OPERATIONS = {"create": "c", "snapshot": "r", "update": "u", "delete": "d", "truncate": "t", "message": "m"}


def envelope(
    operation: str,
    before: Any,
    after: Any,
    fields: list[dict[str, Any]] | None = None,
    table: str = "payment",
    **others: Any,
) -> bytes:
    """Return a change; with the schema of the row's columns, where they are given."""
    payload = {
        "before": before,
        "after": after,
        "source": {**SOURCE, "table": table},
        "op": OPERATIONS.get(operation, operation),
        "ts_ms": 1_767_000_000_456,
        "transaction": None,
        **others,
    }
    content: Any = payload
    if fields is not None:
        row = {"type": "struct", "fields": fields, "optional": True, "name": "bank.payment.Value"}
        parts = [{**row, "field": "before"}, {**row, "field": "after"}, {"type": "string", "field": "op"}]
        content = {"schema": {"type": "struct", "fields": parts, "name": "bank.payment.Envelope"}, "payload": payload}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


@st.composite
def changed(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]], dict[str, str]]:
    """Return a row as it is written, what it means, the schema of its columns and what says the same without one."""
    row: dict[str, Any] = {}
    meant: dict[str, Any] = {"kind": "payment"}
    fields: list[dict[str, Any]] = []
    encodings: dict[str, str] = {}
    for name in draw(st.permutations(list(COLUMNS))):
        column = draw(st.sampled_from(COLUMNS[name]))
        optional = name not in {"payment_id", "at", "amount"}
        if optional and draw(st.booleans()):
            continue
        fields.append({**column.schema, "optional": optional, "field": name})
        if column.encoding is not None:
            encodings[name] = column.encoding
        if optional and draw(st.booleans()):
            row[name] = None
            continue
        value = draw(column.values)
        row[name], meant[name] = column.written(value), column.meant(value)
    if draw(st.booleans()):
        row["extra"] = {"nested": [1, {"a": None}]}
    return row, meant, fields, encodings
