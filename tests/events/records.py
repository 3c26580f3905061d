"""A schema with every type of field, and a slow decoder of JSON lines in plain Python."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from counterfoil.events.batch import Batch
from counterfoil.events.cards import card_token
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey, hash_pair
from counterfoil.events.kinds import MONEY_LIMIT, TIME_MAX, TIME_MIN, EventKind, Field, FieldType, Schema, TimeUnit

KEY = IdentityKey(b"a key for tests")
ARRIVAL = 1_770_000_000_000_000
SKEW = 86_400_000_000

PAYMENT = EventKind(
    "payment",
    (
        Field("customer", FieldType.ID),
        Field("card", FieldType.CARD),
        Field("amount", FieldType.MONEY, required=True),
        Field("country", FieldType.CATEGORY),
        Field("latitude", FieldType.FLOAT),
        Field("attempts", FieldType.INTEGER),
        Field("online", FieldType.BOOL),
        Field("ordered", FieldType.TIME, unit=TimeUnit.MILLISECONDS),
    ),
    id="payment_id",
    time="at",
    decide=True,
    ignore=("note",),
)
OUTCOME = EventKind(
    "outcome",
    (
        Field("payment_id", FieldType.ID, required=True),
        Field("fraud", FieldType.BOOL),
        Field("customer", FieldType.ID),
    ),
    id="outcome_id",
    time="known_at",
    time_unit=TimeUnit.MILLISECONDS,
)
TICK = EventKind("tick", (Field("amount", FieldType.MONEY),), id=None, time="at")
SCHEMA = Schema((PAYMENT, OUTCOME, TICK))

SYNTAX = {
    ReasonCode.INVALID_JSON,
    ReasonCode.INVALID_UTF8,
    ReasonCode.TRUNCATED,
    ReasonCode.TOO_DEEP,
    ReasonCode.NOT_AN_OBJECT,
    ReasonCode.DUPLICATE_KEY,
}
"""Reasons found before a line's fields are looked at; which of them is found first is open."""


@dataclass(frozen=True)
class Event:
    """One row of a batch for people; floats as their bits, so that equal means equal."""

    kind: str
    time: int
    id: str | None
    values: Mapping[str, Any] = field(hash=False)


class RefusedError(Exception):
    """The slow decoder's dead letter."""

    def __init__(self, reason: ReasonCode) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Number(str):
    """A number as it was written."""

    __slots__ = ()


def events_of(batch: Batch, key: IdentityKey = KEY) -> dict[int, Event]:
    """Return every row by its position, after checking what the arrays promise."""
    schema = batch.schema
    rows = {column: 1 + row for row, column in enumerate(schema.text_columns)}
    events: dict[int, Event] = {}
    for index in range(len(batch)):
        values: dict[str, Any] = {}
        for column, each in enumerate(schema.columns):
            word, null = int(batch.values[column, index]), int(batch.nulls[column, index])
            text = batch.texts.get(rows[column], index) if column in rows else None
            if null:
                assert null == 1
                assert (word, text) == (0, None)
            elif column in rows:
                assert text is not None
                assert word == key.hash(text)
                values[each.name] = text
            else:
                values[each.name] = struct.pack("q", word) if each.type is FieldType.FLOAT else word
        kind = schema.kinds[batch.kind[index]]
        identifier = batch.texts.get(0, index)
        expected = 0
        if identifier is not None:
            expected = int(hash_pair(int(batch.kind[index]) + 1, key.hash(identifier), *key.words))
        assert int(batch.identity[index]) == expected
        assert int(batch.position[index]) not in events
        events[int(batch.position[index])] = Event(kind.name, int(batch.time[index]), identifier, values)
    assert list(events) == sorted(events)
    return events


def decode_slow(line: bytes, settings: DecoderSettings, schema: Schema = SCHEMA, key: IdentityKey = KEY) -> Event:
    """Decode one line, or raise ``RefusedError``."""
    if len(line) > settings.record_bytes_max:
        raise RefusedError(ReasonCode.RECORD_TOO_LARGE)
    record = _parse(line, settings.depth_max)
    kind = _kind(record, settings, schema)
    identifier = _identifier(record, kind, settings)
    when = _value(record, kind.time, settings)
    if when is None or when == "":
        raise RefusedError(ReasonCode.MISSING_TIME)
    time = _time(when, kind.time_unit)
    if not settings.time_min <= time <= settings.time_max:
        raise RefusedError(ReasonCode.TIME_RANGE)
    if time > ARRIVAL + SKEW:
        raise RefusedError(ReasonCode.TIME_SKEW)
    values: dict[str, Any] = {}
    for each in kind.fields:
        value = _value(record, each.name, settings)
        if value == "" and not isinstance(value, Number) and each.type in {FieldType.ID, FieldType.CARD}:
            value = None
        if value is None:
            if each.required:
                raise RefusedError(ReasonCode.MISSING_FIELD)
            continue
        values[each.name] = _word(value, each, key)
    return Event(kind.name, time, identifier, values)


def _parse(line: bytes, depth_max: int) -> dict[str, Any]:
    def refuse(_: str) -> None:
        raise RefusedError(ReasonCode.INVALID_JSON)

    def pairs(items: list[tuple[str, Any]]) -> Any:
        for name, _ in items:
            name.encode()
        return items

    try:
        text = line.decode()
        found = json.loads(text, parse_constant=refuse, parse_float=Number, parse_int=Number, object_pairs_hook=pairs)
        text = json.dumps(found, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise RefusedError(ReasonCode.INVALID_JSON) from error
    if not line.lstrip(b" \t\r").startswith(b"{"):
        raise RefusedError(ReasonCode.NOT_AN_OBJECT)
    if _depth(line) > depth_max:
        raise RefusedError(ReasonCode.TOO_DEEP)
    if len({name for name, _ in found}) < len(found):
        raise RefusedError(ReasonCode.DUPLICATE_KEY)
    return dict(found)


def _depth(line: bytes) -> int:
    depth = deepest = 0
    quoted = escaped = False
    for byte in line:
        if escaped:
            escaped = False
        elif quoted:
            quoted, escaped = byte != 34, byte == 92
        elif byte == 34:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _value(record: dict[str, Any], name: str, settings: DecoderSettings) -> Any:
    return record.get(settings.mapping.get(name, name))


def _kind(record: dict[str, Any], settings: DecoderSettings, schema: Schema) -> EventKind:
    name = settings.kind or record.get(settings.kind_field)
    if name is None:
        raise RefusedError(ReasonCode.MISSING_KIND)
    if not isinstance(name, str) or isinstance(name, Number) or name not in schema.kind_index:
        raise RefusedError(ReasonCode.UNKNOWN_KIND)
    return schema.kinds[schema.kind_index[name]]


def _text(value: Any) -> str:
    if isinstance(value, Number):
        if not value.removeprefix("-").isdigit():
            raise RefusedError(ReasonCode.WRONG_TYPE)
        return "0" if value == "-0" else str(value)
    if not isinstance(value, str):
        raise RefusedError(ReasonCode.WRONG_TYPE)
    return value


def _identifier(record: dict[str, Any], kind: EventKind, settings: DecoderSettings) -> str | None:
    if kind.id is None:
        return None
    value = _value(record, kind.id, settings)
    if value is None or value == "":
        raise RefusedError(ReasonCode.MISSING_ID)
    text = _text(value)
    if len(text.encode()) > 256:
        raise RefusedError(ReasonCode.ID_TOO_LONG)
    return text


def _time(value: Any, unit: TimeUnit) -> int:
    if isinstance(value, Number):
        with localcontext() as context:
            context.prec = 2_000
            scaled = Decimal(value) * 1_000_000 / unit.per_second
            if abs(scaled) >= Decimal(10) ** 19:
                raise RefusedError(ReasonCode.TIME_RANGE)
            micros = int(scaled // 1) - (scaled < 0 and scaled % 1 != 0)
        if not -(2**63) <= micros < 2**63:
            raise RefusedError(ReasonCode.TIME_RANGE)
        return micros
    if not isinstance(value, str):
        raise RefusedError(ReasonCode.BAD_TIME)
    try:
        # Python's reader takes more than RFC 3339 does: the tests' times are either plainly good or plainly bad.
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise RefusedError(ReasonCode.BAD_TIME)
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _word(value: Any, each: Field, key: IdentityKey) -> Any:
    match each.type:
        case FieldType.ID | FieldType.CATEGORY | FieldType.CARD:
            text = _text(value)
            if each.type is not FieldType.CATEGORY and len(text.encode()) > 256:
                raise RefusedError(ReasonCode.ID_TOO_LONG)
            return card_token(text.encode(), key) if each.type is FieldType.CARD else text
        case FieldType.BOOL:
            if not isinstance(value, bool):
                raise RefusedError(ReasonCode.WRONG_TYPE)
            return int(value)
        case FieldType.MONEY:
            return _money(value, each.scale)
        case FieldType.INTEGER:
            return _integer(value)
        case FieldType.FLOAT:
            if not isinstance(value, Number):
                raise RefusedError(ReasonCode.WRONG_TYPE)
            number = float(value)
            if number in {float("inf"), float("-inf")}:
                raise RefusedError(ReasonCode.NUMBER_RANGE)
            return struct.pack("d", number)
        case FieldType.TIME:
            time = _time(value, each.unit)
            if not TIME_MIN <= time <= TIME_MAX:
                raise RefusedError(ReasonCode.TIME_RANGE)
            return time


def _decimal(value: str) -> Decimal:
    text = str(value)
    digits = text.lower().split("e")[0].lstrip("+-").replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        raise RefusedError(ReasonCode.WRONG_TYPE)
    try:
        return Decimal(text)
    except ArithmeticError as error:
        raise RefusedError(ReasonCode.WRONG_TYPE) from error


def _money(value: Any, scale: int) -> int:
    if not isinstance(value, str):
        raise RefusedError(ReasonCode.WRONG_TYPE)
    if not isinstance(value, Number) and "e" in value.lower():
        raise RefusedError(ReasonCode.WRONG_TYPE)
    with localcontext() as context:
        context.prec = 2_000
        amount = _decimal(value)
        if amount < 0:
            raise RefusedError(ReasonCode.NEGATIVE_AMOUNT)
        if amount >= Decimal(10) ** (19 - scale):
            raise RefusedError(ReasonCode.MONEY_RANGE)
        minor = amount.scaleb(scale)
        if minor != minor.to_integral_value():
            raise RefusedError(ReasonCode.MONEY_PRECISION)
        if minor > MONEY_LIMIT:
            raise RefusedError(ReasonCode.MONEY_RANGE)
        return int(minor)


def _integer(value: Any) -> int:
    if not isinstance(value, Number):
        raise RefusedError(ReasonCode.WRONG_TYPE)
    with localcontext() as context:
        context.prec = 2_000
        number = Decimal(value)
        if abs(number) >= Decimal(10) ** 19:
            raise RefusedError(ReasonCode.NUMBER_RANGE)
        if number != number.to_integral_value():
            raise RefusedError(ReasonCode.WRONG_TYPE)
        if not -(2**63) < number < 2**63:
            raise RefusedError(ReasonCode.NUMBER_RANGE)
        return int(number)
