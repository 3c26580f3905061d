"""JSON that names its schema: frames, the check of the schema, and dead letters with all their bytes."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decode_json_schema import JsonSchemaDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.record_batch import RecordBatch, TextRecords
from tests.events.records import ARRIVAL, KEY, SCHEMA, SKEW, events_of
from tests.events.test_decode_avro import Registry

GOOD = {"payment_id": "p-1", "at": "2026-01-02T03:04:05Z", "amount": 57.16}
OPEN = {"type": "object", "properties": {"amount": {"type": ["number", "null"]}, "extra": {"type": "array"}}}


def decoder(*schemas: Any, kind: str | None = "payment") -> JsonSchemaDecoder:
    settings = DecoderSettings(kind=kind)
    inner = TextRecords(JsonDecoder(SCHEMA, settings, KEY, SKEW))
    return JsonSchemaDecoder(SCHEMA, settings, Registry(*schemas, kind="JSON"), inner)


def framed(content: Any, number: int = 7) -> bytes:
    return struct.pack(">BI", 0, number) + (content if isinstance(content, bytes) else json.dumps(content).encode())


def decode(using: JsonSchemaDecoder, *values: bytes | None, first: int = 0) -> Decoded:
    return using.decode_records(RecordBatch.of(values, first), ARRIVAL)


def test_good_and_bad_lie_side_by_side() -> None:
    pretty = json.dumps(GOOD, indent=2).encode()
    values = [
        framed(GOOD),
        framed(GOOD, 99),
        json.dumps(GOOD).encode(),
        None,
        framed(b"{"),
        framed({**GOOD, "amount": "much"}),
        framed(pretty),
        framed(b'{"payment_id": "p\n1"}'),
    ]
    decoded = decode(decoder(OPEN), *values, first=40)
    assert list(events_of(decoded.batch)) == [40, 46]
    assert [(letter.position, letter.reason) for letter in decoded.dead] == [
        (41, ReasonCode.UNKNOWN_SCHEMA),
        (42, ReasonCode.NO_SCHEMA_ID),
        (44, ReasonCode.TRUNCATED),
        (45, ReasonCode.WRONG_TYPE),
        (47, ReasonCode.INVALID_JSON),
    ]
    for letter in decoded.dead:
        assert letter.record == values[letter.position - 40]
    assert decoded.records == len(values)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "allowed: an object"),
        ({"type": "object", "properties": {"amount": {"type": "boolean"}}}, "amount: found boolean"),
        ({"type": "object", "properties": {"amount": {"oneOf": [{"type": "null"}, {"type": "array"}]}}}, "found array"),
        ({"type": "object", "properties": {"at": {"type": "object"}}}, "at: found object"),
        (
            {"type": "object", "properties": {"payment_id": {"type": "string"}}, "additionalProperties": False},
            "nothing",
        ),
        ("{", "no JSON"),
    ],
)
def test_a_schema_that_cannot_be_an_event_says_why(schema: Any, words: str) -> None:
    decoded = decode(decoder(schema), framed(GOOD), framed(GOOD))
    assert len(decoded.batch) == 0
    assert {letter.reason for letter in decoded.dead} == {ReasonCode.INCOMPATIBLE_SCHEMA}
    assert all(words in letter.detail for letter in decoded.dead)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        OPEN,
        {"type": "object", "properties": {"amount": {"$ref": "#/definitions/Money"}}},
        {"type": "object", "properties": {"amount": {"anyOf": [{"type": "string"}, {"$ref": "#/x"}]}}},
        {"properties": {"amount": {"type": ["string", "object"]}}},
        {"allOf": [{"properties": {"amount": {}}}], "additionalProperties": False},
    ],
)
def test_a_schema_that_may_be_an_event_is_taken(schema: Any) -> None:
    assert len(decode(decoder(schema), framed(GOOD)).batch) == 1


def test_each_schema_is_asked_for_once_and_nothing_comes_of_nothing() -> None:
    using = decoder(OPEN)
    for _ in range(3):
        decode(using, framed(GOOD))
    assert len(decode(using).batch) == 0
    registry = using._schemas
    assert isinstance(registry, Registry)
    assert registry.asked == [7]
