"""Writers of Avro: for each field of the tests' payment some types that it may have, and values of them."""

from __future__ import annotations

import io
import json
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import fastavro
from hypothesis import strategies as st

from tests.events.records import ARRIVAL

Type = Any
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decimal(scale: int, precision: int = 30, size: int | None = None) -> Type:
    plain = {"logicalType": "decimal", "precision": precision, "scale": scale}
    if size is None:
        return {"type": "bytes", **plain}
    return {"type": "fixed", "name": f"Decimal{size}x{scale}", "size": size, **plain}


@dataclass(frozen=True)
class Choice:
    """A type of a schema, values of it as fastavro takes them, and what stands for each in a line of JSON."""

    type: Type
    values: st.SearchStrategy[Any]

    def plain(self, value: Any) -> Any:
        return plain(value)


class Text(str):
    """A JSON number as it is to be written."""

    __slots__ = ()


def plain(value: Any) -> Any:
    """Return what a line of JSON holds where Avro holds a value."""
    match value:
        case datetime():
            return value.isoformat()
        case date():
            return f"{value.isoformat()}T00:00:00+00:00"
        case Decimal():
            return Text(f"{value:f}")
        case uuid.UUID():
            return str(value)
        case _:
            return value


def line_of(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line of JSON, decimals with all their digits."""
    parts = []
    for name, value in record.items():
        if value is None:
            continue
        text = value if isinstance(value, Text) else json.dumps(value, ensure_ascii=False)
        parts.append(f"{json.dumps(name)}: {text}")
    return ("{" + ", ".join(parts) + "}").encode()


def encoded(schema: Type, record: Mapping[str, Any], number: int | None = None) -> bytes:
    """Return a record as Confluent's serializers frame it; as it is without a number."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(json.loads(json.dumps(schema))), record)
    frame = b"" if number is None else struct.pack(">BI", 0, number)
    return frame + buffer.getvalue()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
MICROS = st.integers(0, ARRIVAL)
INSTANTS = MICROS.map(lambda micros: EPOCH + timedelta(microseconds=micros))
MILLIS = INSTANTS.map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000))
IDS = [
    Choice("string", st.text("abc-é漢\n😀", min_size=1, max_size=40)),
    Choice("long", st.integers(-(2**63), 2**63 - 1)),
    Choice("int", st.integers(-(2**31), 2**31 - 1)),
    Choice({"type": "string", "logicalType": "uuid"}, st.uuids()),
    Choice(decimal(0), st.integers(0, 10**29).map(Decimal)),
]
MONEY = [
    Choice(decimal(2), st.decimals(0, 10**13, places=2)),
    Choice(decimal(5), st.decimals(0, 10**13, places=2)),
    Choice(decimal(0), st.integers(0, 10**13).map(Decimal)),
    Choice(decimal(2, 20, 12), st.decimals(0, 10**13, places=2)),
    Choice(decimal(18, 38, 16), st.decimals(0, 10**13, places=2)),
    Choice("double", st.decimals(0, 10**12, places=2).map(float)),
    Choice("long", st.integers(0, 10**13)),
    Choice("string", st.decimals(0, 10**12, places=2).map(str)),
]
TIMES = [
    Choice({"type": "long", "logicalType": "timestamp-micros"}, INSTANTS),
    Choice({"type": "long", "logicalType": "timestamp-millis"}, MILLIS),
    Choice({"type": "int", "logicalType": "date"}, INSTANTS.map(lambda time: time.date())),
    Choice("string", INSTANTS.map(lambda time: time.isoformat())),
    Choice("long", st.integers(0, ARRIVAL // 1_000_000)),
]
FLOATS = [
    Choice("double", st.floats(allow_nan=False, allow_infinity=False)),
    Choice("float", st.floats(allow_nan=False, allow_infinity=False, width=32)),
    Choice("int", st.integers(-(2**31), 2**31 - 1)),
    Choice(decimal(6), st.decimals(-90, 90, places=6)),
]
FIELDS: dict[str, list[Choice]] = {
    "payment_id": IDS,
    "at": TIMES,
    "customer": IDS,
    "card": [Choice("string", st.from_regex(r"[0-9]{12,19}", fullmatch=True)), Choice("long", st.integers(0, 2**62))],
    "amount": MONEY,
    "country": [
        Choice({"type": "enum", "name": "Country", "symbols": ["DE", "FR", "NL"]}, st.sampled_from(["DE", "FR", "NL"])),
        Choice("string", TEXTS),
    ],
    "latitude": FLOATS,
    "attempts": [
        Choice("int", st.integers(-(2**31), 2**31 - 1)),
        Choice("long", st.integers(-(2**63) + 1, 2**63 - 1)),
        Choice("double", st.integers(-(2**50), 2**50).map(float)),
    ],
    "online": [Choice("boolean", st.booleans())],
    "ordered": TIMES[:4],
}
EXTRAS = [
    Choice("string", TEXTS),
    Choice("bytes", st.binary(max_size=20)),
    Choice({"type": "array", "items": "long"}, st.lists(st.integers(-(2**40), 2**40), max_size=5)),
    Choice({"type": "map", "values": ["null", "string"]}, st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3)),
    Choice({"type": "fixed", "name": "Sixteen", "size": 16}, st.binary(min_size=16, max_size=16)),
    Choice(
        {
            "type": "record",
            "name": "Node",
            "fields": [
                {"name": "amount", "type": "double"},
                {"name": "next", "type": ["null", "Node"]},
                {"name": "tags", "type": {"type": "array", "items": {"type": "map", "values": "int"}}},
            ],
        },
        st.recursive(
            st.just({"amount": 1.5, "next": None, "tags": []}),
            lambda inner: st.builds(lambda node: {"amount": 2.5, "next": node, "tags": [{"a": 1}, {}]}, inner),
            max_leaves=4,
        ),
    ),
]


@st.composite
def written(draw: st.DrawFn) -> tuple[Type, dict[str, Any], dict[str, Any]]:
    """Return a writer's schema, a record of it, and the same as JSON would have it."""
    names = draw(st.permutations(list(FIELDS)))
    fields: list[dict[str, Any]] = []
    record: dict[str, Any] = {}
    expected: dict[str, Any] = {"kind": "payment"}
    for name in names:
        choice = draw(st.sampled_from(FIELDS[name]))
        value = draw(choice.values)
        kind = choice.type
        if isinstance(kind, dict) and "name" in kind:
            kind = {**kind, "name": f"{kind['name']}_{name}"}
        optional = name not in {"payment_id", "at", "amount"}
        if optional and draw(st.booleans()):
            continue
        if draw(st.booleans()):
            kind = ["null", kind] if draw(st.booleans()) else [kind, "null"]
            if optional and draw(st.booleans()):
                value = None
        fields.append({"name": name, "type": kind})
        record[name] = value
        expected[name] = plain(value)
        if name == "attempts" and isinstance(value, float):
            expected[name] = int(value)
        if name == "ordered" and isinstance(value, int):
            expected[name] = value
    for index, choice in enumerate(draw(st.lists(st.sampled_from(EXTRAS), max_size=3, unique_by=id))):
        fields.insert(draw(st.integers(0, len(fields))), {"name": f"extra{index}", "type": choice.type})
        record[f"extra{index}"] = draw(choice.values)
    return {"type": "record", "name": "Payment", "namespace": "bank", "fields": fields}, record, expected
