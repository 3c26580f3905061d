"""Records of Avro: what fastavro writes comes back as the slow decoder of JSON would have it, or is a dead letter."""

from __future__ import annotations

import io
import json
import math
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.events.changes import ChangeKinds
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decode_avro import AvroDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.events.record_batch import RecordBatch
from counterfoil.events.schemas import RegisteredSchema
from tests.events.avro_records import decimal, encoded, line_of, written
from tests.events.records import ARRIVAL, KEY, PAYMENT, SCHEMA, SKEW, RefusedError, decode_slow, events_of

PAYMENTS = DecoderSettings(kind="payment", record_bytes_max=1 << 20)
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def record(*fields: tuple[str, Any], name: str = "Payment") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


ONE = record(("payment_id", "string"), ("at", MICROS), ("amount", decimal(2)))
GOOD = {"payment_id": "p-1", "at": WHEN, "amount": Decimal("57.16")}


class Registry:
    """Schemas by number, in memory."""

    def __init__(self, *schemas: Any, kind: str = "AVRO") -> None:
        texts = [each if isinstance(each, str) else json.dumps(each) for each in schemas]
        self.schemas = {7 + number: RegisteredSchema(kind, text) for number, text in enumerate(texts)}
        self.asked: list[int] = []

    def get(self, number: int) -> RegisteredSchema | None:
        self.asked.append(number)
        return self.schemas.get(number)


def decoder(*schemas: Any, options: DecoderSettings = PAYMENTS, schema: Schema = SCHEMA) -> AvroDecoder:
    return AvroDecoder(schema, options, KEY, SKEW, Registry(*schemas))


def decode(using: AvroDecoder, *values: bytes | None, first: int = 0) -> Decoded:
    return using.decode_records(RecordBatch.of(values, first), ARRIVAL)


def refused(using: AvroDecoder, value: bytes) -> tuple[ReasonCode, str]:
    decoded = decode(using, value)
    assert len(decoded.batch) == 0
    (letter,) = decoded.dead
    assert letter.record == value
    return letter.reason, letter.detail


@given(st.lists(written(), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_what_writers_write_comes_back(records: list[Any]) -> None:
    using = decoder(*(schema for schema, _, _ in records))
    values = [encoded(schema, row, 7 + index) for index, (schema, row, _) in enumerate(records)]
    decoded = decode(using, *values, first=100)
    wanted = {}
    reasons = {}
    for index, (_, _, expected) in enumerate(records):
        try:
            wanted[100 + index] = decode_slow(line_of(expected), PAYMENTS)
        except RefusedError as error:
            reasons[100 + index] = error.reason
    assert {letter.position: letter.reason for letter in decoded.dead} == reasons
    assert events_of(decoded.batch) == wanted


@given(written(), st.data())
@settings(max_examples=200, deadline=None)
def test_broken_bytes_touch_nobody_else(good: Any, data: st.DataObject) -> None:
    schema, row, _ = good
    value = encoded(schema, row, 7)
    place = data.draw(st.integers(5, len(value)))
    broken = value[:place] + data.draw(st.binary(max_size=3)) + value[place + data.draw(st.integers(0, 3)) :]
    using = decoder(schema)
    decoded = decode(using, value, broken, value)
    alone = decode(using, value)
    assert decoded.batch.position.tolist()[:1] == [0]
    assert decoded.batch.position.tolist()[-1:] == [2]
    events = events_of(decoded.batch)
    assert events[0] == events[2] == events_of(alone.batch)[0]
    assert len(decoded.batch) + len(decoded.dead) == 3
    # Blocks of arrays and maps that give their size are skipped as a whole, whatever they hold.
    blocks = any(word in json.dumps(schema) for word in ('"array"', '"map"'))
    if not blocks and _readable(schema, broken[5:]) is False:
        assert [letter.record for letter in decoded.dead] == [broken]


def _readable(schema: Any, value: bytes) -> bool | None:
    """Return whether the slow reader takes all bytes; None where it minds a text that nobody asked for."""
    buffer = io.BytesIO(value)
    try:
        # Without their meaning: bytes that are no UUID are a text all the same.
        bare = json.loads(json.dumps(schema).replace("logicalType", "meaning"))
        fastavro.schemaless_reader(buffer, fastavro.parse_schema(bare))
    except UnicodeDecodeError:
        return None
    except Exception:
        # It raises a dozen kinds of errors.
        return False
    return buffer.tell() == len(value)


# Schemas that change --------------------------------------------------------------------------------------------------

VERSIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (record(("payment_id", "string"), ("at", MICROS), ("amount", "int"), ("attempts", "int")), {"amount": 57}),
    # Widened, a field more, another order.
    (
        record(
            ("amount", "long"), ("payment_id", "string"), ("at", MICROS), ("attempts", "long"), ("online", "boolean")
        ),
        {"amount": 57, "online": True},
    ),
    # A field less, a union where there was none, something that nobody knows.
    (
        record(
            ("payment_id", ["null", "string"]),
            ("at", ["null", MICROS]),
            ("amount", "double"),
            ("loyalty", {"type": "map", "values": "int"}),
        ),
        {"amount": 57.16, "loyalty": {"points": 3}},
    ),
    (record(("payment_id", "long"), ("at", MICROS), ("amount", decimal(4)), ("attempts", "double")), {"payment_id": 4}),
]
INCOMPATIBLE = record(("payment_id", "string"), ("at", MICROS), ("amount", {"type": "array", "items": "long"}))


def versions(rows: int) -> tuple[AvroDecoder, list[bytes], list[int]]:
    """Return records of four versions and, each seventh, one that does not fit."""
    using = decoder(*(schema for schema, _ in VERSIONS), INCOMPATIBLE)
    values, wrong = [], []
    for number in range(rows):
        if number % 7 == 6:
            wrong.append(number)
            values.append(encoded(INCOMPATIBLE, {**GOOD, "amount": [1]}, 11))
            continue
        version = number % 4
        schema, changes = VERSIONS[version]
        row = {"payment_id": f"p{number}", "at": WHEN, "amount": Decimal("57.1600"), "attempts": 3, **changes}
        values.append(encoded(schema, row, 7 + version))
    return using, values, wrong


def test_versions_of_a_schema_lie_side_by_side() -> None:
    using, values, wrong = versions(70)
    decoded = decode(using, *values)
    assert [letter.position for letter in decoded.dead] == wrong
    for letter in decoded.dead:
        assert letter.reason is ReasonCode.INCOMPATIBLE_SCHEMA
        assert letter.detail == ("schema 11: amount: found array; allowed: decimal, double, float, int, long, string")
    for position, event in events_of(decoded.batch).items():
        version = position % 4
        assert event.values["amount"] == (5700 if version < 2 else 5716)
        assert event.values.get("attempts") == (None if version == 2 else 3)
        assert event.values.get("online") == (1 if version == 1 else None)
    assert decoded.unknown_fields == {"loyalty": sum(1 for each in events_of(decoded.batch) if each % 4 == 2)}


def test_each_schema_is_asked_for_once() -> None:
    registry = Registry(*(schema for schema, _ in VERSIONS), INCOMPATIBLE)
    using = AvroDecoder(SCHEMA, PAYMENTS, KEY, SKEW, registry)
    _, values, _ = versions(70)
    decode(using, *values)
    decode(using, *values)
    assert sorted(registry.asked) == [7, 8, 9, 10, 11]


def test_a_schema_that_was_unknown_is_asked_for_again() -> None:
    registry = Registry(ONE)
    using = AvroDecoder(SCHEMA, PAYMENTS, KEY, SKEW, registry)
    value = encoded(ONE, GOOD, 8)
    assert refused(using, value) == (ReasonCode.UNKNOWN_SCHEMA, "schema 8: the registry does not know it")
    registry.schemas[8] = registry.schemas[7]
    assert len(decode(using, value).batch) == 1


def test_more_schemas_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.events.decode_avro.PROGRAMS_MAX", 3)
    using = decoder(*[record(("payment_id", "string"), ("at", MICROS), ("amount", decimal(2 + n))) for n in range(9)])
    for turn in range(3):
        for number in range(9):
            schema = record(("payment_id", "string"), ("at", MICROS), ("amount", decimal(2 + number)))
            decoded = decode(using, encoded(schema, GOOD, 7 + number), encoded(ONE, GOOD, 7))
            assert decoded.batch.values[SCHEMA.column_index["amount"]].tolist() == [5716, 5716], turn


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "no JSON"),
        ('"string"', "allowed: a record"),
        ("[]", "allowed: a record"),
        ("5", "allowed: a record"),
        ('{"type": "record", "name": "A"}', "fields"),
        ('{"type": "record", "fields": []}', "no name"),
        (record(("payment_id", "strin"), ("at", MICROS), ("amount", "int")), "strin"),
        (record(("payment_id", {"type": "enum", "name": "E"}), ("at", MICROS), ("amount", "int")), "symbols"),
        (record(("payment_id", {"type": "fixed", "name": "F"}), ("at", MICROS), ("amount", "int")), "size"),
        (record(("payment_id", {"type": "array"}), ("at", MICROS), ("amount", "int")), "no type"),
        (record(("at", MICROS), ("amount", "int")), "payment_id: found nothing"),
        (record(("payment_id", "string"), ("amount", "int")), "at: found nothing"),
        (record(("payment_id", "string"), ("at", MICROS)), "amount: found nothing"),
        (record(("payment_id", "string"), ("at", MICROS), ("amount", "bytes")), "amount: found bytes"),
        (record(("payment_id", "string"), ("at", "boolean"), ("amount", "int")), "at: found boolean"),
        (record(("payment_id", "string"), ("at", MICROS), ("amount", "int"), ("online", "string")), "online"),
    ],
)
def test_a_schema_that_cannot_be_an_event_says_why(schema: Any, words: str) -> None:
    reason, detail = refused(decoder(schema), struct.pack(">BI", 0, 7) + b"anything")
    assert reason is ReasonCode.INCOMPATIBLE_SCHEMA
    assert words in detail
    assert detail.startswith("schema 7: ")


def test_another_type_of_schema_is_incompatible() -> None:
    using = AvroDecoder(SCHEMA, PAYMENTS, KEY, SKEW, Registry(ONE, kind="PROTOBUF"))
    assert refused(using, encoded(ONE, GOOD, 7))[1] == "schema 7: is of the type PROTOBUF; allowed: AVRO"


def test_types_of_other_schemas_are_found() -> None:
    money = {"type": "record", "name": "Money", "namespace": "bank", "fields": [{"name": "value", "type": decimal(2)}]}
    schema = record(("payment_id", "string"), ("at", MICROS), ("amount", "bank.Money"))
    registry = Registry(schema)
    registry.schemas[7] = RegisteredSchema("AVRO", json.dumps(schema), (json.dumps(money),))
    options = DecoderSettings(kind="payment", mapping={"amount": "amount.value"})
    using = AvroDecoder(SCHEMA, options, KEY, SKEW, registry)
    whole = record(("payment_id", "string"), ("at", MICROS), ("amount", money))
    decoded = decode(using, encoded(whole, {**GOOD, "amount": {"value": Decimal("57.16")}}, 7))
    assert events_of(decoded.batch)[0].values == {"amount": 5716}
    assert decoded.unknown_fields == {}


# Single values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("double", 57.16, 5716),
        ("double", 0.1 + 0.2, 30),
        ("double", 57.165, ReasonCode.MONEY_PRECISION),
        ("double", 1e12 + 0.005, ReasonCode.MONEY_PRECISION),
        ("double", -1.0, ReasonCode.NEGATIVE_AMOUNT),
        ("double", math.inf, ReasonCode.MONEY_RANGE),
        ("double", 1e300, ReasonCode.MONEY_RANGE),
        ("double", math.nan, ReasonCode.MISSING_FIELD),
        ("float", 57.16, 5716),
        (decimal(2), Decimal("-0.01"), ReasonCode.NEGATIVE_AMOUNT),
        (decimal(3), Decimal("0.001"), ReasonCode.MONEY_PRECISION),
        (decimal(2), Decimal(10**20), ReasonCode.MONEY_RANGE),
        ("string", "1e3", ReasonCode.WRONG_TYPE),
        ("string", "", ReasonCode.WRONG_TYPE),
        (["null", "string"], None, ReasonCode.MISSING_FIELD),
        (["int", "boolean"], True, ReasonCode.WRONG_TYPE),
        (["int", {"type": "array", "items": "int"}], [5], ReasonCode.WRONG_TYPE),
    ],
)
def test_amounts(kind: Any, value: Any, result: Any) -> None:
    schema = record(("payment_id", "string"), ("at", MICROS), ("amount", kind))
    decoded = decode(decoder(schema), encoded(schema, {**GOOD, "amount": value}, 7))
    if isinstance(result, ReasonCode):
        assert [letter.reason for letter in decoded.dead] == [result]
    else:
        assert events_of(decoded.batch)[0].values == {"amount": result}


@pytest.mark.parametrize(
    ("name", "kind", "value", "result"),
    [
        ("attempts", "double", 3.5, ReasonCode.WRONG_TYPE),
        ("attempts", "double", 1e30, ReasonCode.NUMBER_RANGE),
        ("attempts", "long", -(2**63), ReasonCode.NUMBER_RANGE),
        ("latitude", "double", math.inf, ReasonCode.NUMBER_RANGE),
        ("latitude", "double", math.nan, None),
        ("online", "int", 1, 1),
        ("online", "int", 2, ReasonCode.WRONG_TYPE),
        ("customer", "double", 7.0, "7"),
        ("customer", "double", 7.5, ReasonCode.WRONG_TYPE),
        ("customer", "string", "", None),
        ("customer", "string", "x" * 257, ReasonCode.ID_TOO_LONG),
        ("ordered", "double", 1_767_000_000_123.0, 1_767_000_000_123_000),
        (
            "ordered",
            {"type": "long", "logicalType": "timestamp-nanos"},
            1_767_000_000_123_456_789,
            1_767_000_000_123_456,
        ),
        ("ordered", {"type": "long", "logicalType": "timestamp-millis"}, 2**60, ReasonCode.TIME_RANGE),
        ("ordered", {"type": "long", "logicalType": "local-timestamp-millis"}, 5, ReasonCode.BAD_TIME),
    ],
)
def test_other_values(name: str, kind: Any, value: Any, result: Any) -> None:
    schema = record(("payment_id", "string"), ("at", MICROS), ("amount", decimal(2)), (name, kind))
    plain = kind["type"] if isinstance(kind, dict) else kind
    writer = record(("payment_id", "string"), ("at", MICROS), ("amount", decimal(2)), (name, plain))
    decoded = decode(decoder(schema), encoded(writer, {**GOOD, name: value}, 7))
    if isinstance(result, ReasonCode):
        assert [letter.reason for letter in decoded.dead] == [result]
    else:
        assert not decoded.dead
        assert events_of(decoded.batch)[0].values.get(name) == result


def test_local_times_are_utc_where_that_is_said() -> None:
    schema = record(
        ("payment_id", "string"), ("at", {"type": "long", "logicalType": "local-timestamp-micros"}), ("amount", "int")
    )
    writer = record(("payment_id", "string"), ("at", "long"), ("amount", "int"))
    value = encoded(writer, {"payment_id": "p", "at": 1_767_000_000_123_456, "amount": 1}, 7)
    using = decoder(schema, options=DecoderSettings(kind="payment", naive_utc=True))
    assert events_of(decode(using, value).batch)[0].time == 1_767_000_000_123_456


def test_a_field_may_name_the_kind() -> None:
    schema = record(
        ("kind", {"type": "enum", "name": "Kind", "symbols": ["outcome", "payment", "visit"]}),
        ("payment_id", "string"),
        ("at", MICROS),
        ("amount", decimal(2)),
    )
    using = decoder(schema, options=DecoderSettings())
    decoded = decode(
        using, encoded(schema, {**GOOD, "kind": "payment"}, 7), encoded(schema, {**GOOD, "kind": "visit"}, 7)
    )
    assert [event.kind for event in events_of(decoded.batch).values()] == ["payment"]
    assert [(letter.position, letter.reason) for letter in decoded.dead] == [(1, ReasonCode.UNKNOWN_KIND)]


# Bytes that are no record ---------------------------------------------------------------------------------------------

WIDE = record(
    ("payment_id", "string"),
    ("at", MICROS),
    ("amount", decimal(2)),
    ("nothings", {"type": "array", "items": "null"}),
    ("node", {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}),
)
HEAD = encoded(ONE, GOOD, 7)


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (b"", ReasonCode.NO_SCHEMA_ID, "zero byte"),
        (b'{"payment_id": 5}', ReasonCode.NO_SCHEMA_ID, "zero byte"),
        (b"\0\0\0\0", ReasonCode.NO_SCHEMA_ID, "zero byte"),
        (b"\0\0\0\0\x63", ReasonCode.UNKNOWN_SCHEMA, "schema 99"),
        (HEAD, ReasonCode.INVALID_AVRO, "ends where more"),
        (HEAD + b"\0\0\0", ReasonCode.INVALID_AVRO, "goes on"),
        (HEAD + b"\0\x04", ReasonCode.INVALID_AVRO, "no such branch"),
        (HEAD + b"\0\x01", ReasonCode.INVALID_AVRO, "no such branch"),
        (HEAD + b"\xff" * 11, ReasonCode.INVALID_AVRO, "more than ten bytes"),
        (HEAD + b"\xfe\xff\xff\xff\xff\x7f\0\0", ReasonCode.INVALID_AVRO, "more elements"),
        (HEAD + b"\0" + b"\x02" * 200 + b"\0", ReasonCode.TOO_DEEP, "nested"),
        (HEAD[:5] + b"\x01", ReasonCode.INVALID_AVRO, "negative"),
        (HEAD[:5] + b"\x02\xff", ReasonCode.INVALID_UTF8, "UTF-8"),
        (b"\0\0\0\0\7" + b"x" * 3_000, ReasonCode.RECORD_TOO_LARGE, "3005 bytes"),
    ],
)
def test_what_is_no_record_is_a_dead_letter(value: bytes, reason: ReasonCode, words: str) -> None:
    using = decoder(WIDE, options=DecoderSettings(kind="payment", record_bytes_max=2_000))
    good = HEAD + b"\0\0"
    decoded = decode(using, good, value, None, good, first=5)
    assert decoded.batch.position.tolist() == [5, 8]
    assert [(letter.position, letter.reason, letter.record) for letter in decoded.dead] == [(6, reason, value)]
    assert words in decoded.dead[0].detail
    assert decoded.records == 4


def test_every_dead_letter_shows_its_own_value() -> None:
    """More of them than there is room for rendered values at a time."""
    schema = record(("payment_id", "string"), ("at", MICROS), ("amount", decimal(5)))
    rows = [{**GOOD, "amount": Decimal(number) / 100_000} for number in range(1, 3_000) if number % 1_000]
    decoded = decode(decoder(schema), *(encoded(schema, row, 7) for row in rows))
    assert len(decoded.dead) == len(rows)
    for row, letter in zip(rows, decoded.dead, strict=True):
        assert f"found '{row['amount']:.5f}'" in letter.detail


# Changes of rows ------------------------------------------------------------------------------------------------------

VALUE = record(
    ("payment_id", "string"),
    ("at", {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}),
    ("amount", decimal(2)),
    name="Value",
)
ENVELOPE = record(
    ("before", ["null", VALUE]),
    ("after", ["null", "Value"]),
    ("source", record(("table", "string"), ("ts_ms", "long"), name="Source")),
    ("op", "string"),
    ("ts_ms", ["null", "long"]),
    name="Envelope",
)
REMOVED = EventKind("payment_delete", (Field("amount", FieldType.MONEY),), id="payment_id", time="removed_at")


def test_changes_as_avro() -> None:
    schema = Schema((PAYMENT, REMOVED))
    options = DecoderSettings(mapping={"removed_at": "payload.source.ts_ms"})
    using = AvroDecoder(schema, options, KEY, SKEW, Registry(ENVELOPE, ONE), ChangeKinds("payment"))
    row = {"payment_id": "p-1", "at": 1_767_000_000_123_456, "amount": Decimal("57.16")}
    source = {"table": "payment", "ts_ms": 1_767_000_000_789}

    def change(op: str, before: Any, after: Any) -> bytes:
        return encoded(ENVELOPE, {"before": before, "after": after, "source": source, "op": op, "ts_ms": None}, 7)

    decoded = decode(
        using,
        change("c", None, row),
        change("d", row, None),
        change("u", None, row),
        change("d", None, None),
        change("x", None, row),
        encoded(ONE, GOOD, 8),
    )
    events = events_of(decoded.batch)
    assert [(event.kind, event.id, event.values, event.time) for event in events.values()] == [
        ("payment", "p-1", {"amount": 5716}, 1_767_000_000_123_456),
        ("payment_delete", "p-1", {"amount": 5716}, 1_767_000_000_789_000),
    ]
    assert [(letter.position, letter.reason) for letter in decoded.dead] == [
        (2, ReasonCode.UNMAPPED_OPERATION),
        (3, ReasonCode.INVALID_ENVELOPE),
        (4, ReasonCode.INVALID_ENVELOPE),
        (5, ReasonCode.INCOMPATIBLE_SCHEMA),
    ]


# Blocks ---------------------------------------------------------------------------------------------------------------


def test_records_of_a_block_are_told_apart() -> None:
    using = AvroDecoder(SCHEMA, PAYMENTS, KEY, SKEW, Registry(ONE, ONE), framed=False)
    using._schemas = type("One", (), {"get": lambda _, number: RegisteredSchema("AVRO", json.dumps(ONE))})()
    values = [encoded(ONE, {**GOOD, "payment_id": f"p{number}"}) for number in range(5)]
    records = using.split(b"".join(values), 5, 10)
    assert [records.get(index) for index in range(5)] == values
    assert len(using.decode_records(records, ARRIVAL).batch) == 5
    cut = using.split(b"".join(values)[:-1], 5, 10)
    decoded = using.decode_records(cut, ARRIVAL)
    assert decoded.batch.position.tolist() == [10, 11, 12, 13]
    assert [(letter.position, letter.reason) for letter in decoded.dead] == [(14, ReasonCode.INVALID_AVRO)]
    wild = using.split(b"".join(values[:2]) + b"\xff" * 30, 5, 0)
    decoded = using.decode_records(wild, ARRIVAL)
    assert (len(decoded.batch), len(decoded.dead)) == (2, 3)
