"""Debezium's changes of rows, as JSON, straight to the arrays of a batch.

One pass over the envelope notes where its parts stand and reads the row afterwards on the way; a deletion's row is read
in a second, short pass. Kafka Connect may put the schema into every message: its meaning is worked out once, and from
then on its bytes are only compared.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError
from counterfoil.events.batch import Bytes, Words
from counterfoil.events.changes import (
    DELETE,
    ENVELOPE,
    IGNORED,
    KIND_SLOT,
    OPERATION_PART,
    OPERATIONS,
    TABLE_PART,
    TRUNCATE,
    ChangeKinds,
    ChangeTables,
    forget_unavailable,
    kind_names,
    kind_of_change,
    name_kind,
    operation_of,
    tick_unit,
)
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decoding import Decoded, DecoderSettings, EncodedRecords
from counterfoil.events.encodings import (
    DECIMAL_BYTES_MAX,
    DECIMAL_SCALE_MAX,
    NATIVE_DECIMAL,
    RENDERED_MAX,
    WANT_BOOL,
    WANT_FLOAT,
    WANT_INTEGER,
    Encoding,
    Natives,
    Wants,
    decode_base64,
    render_all,
    rendered_texts,
)
from counterfoil.events.identity import IdentityKey
from counterfoil.events.json_scan import (
    NO_COLON,
    NO_END,
    NO_MORE,
    NO_NAME,
    NO_OBJECT,
    TWICE,
    scan_object,
    scan_value,
    skip_spaces,
    string_failure,
)
from counterfoil.events.kinds import Schema
from counterfoil.events.mapping import LIMIT_DEPTH, LIMIT_RECORD, FieldMap, FieldTables
from counterfoil.events.numbers import NUMBER_BAD, NUMBER_OK, parse_scaled
from counterfoil.events.record_batch import RecordBatch
from counterfoil.events.refusals import NO_OPERATION, NO_PAYLOAD, NO_ROW, RecordDescriber
from counterfoil.events.results import batch_of
from counterfoil.events.rows import (
    COUNT_HEAP,
    ESCAPED_STRING,
    FALSE,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    TRUE,
    Rows,
    Slots,
    find_kind,
    put_fault,
    reason_number,
    write_row,
)
from counterfoil.events.strings import find_bad_utf8, scan_string
from counterfoil.events.unknown_fields import COUNT_SEEN, UnknownFields, count_unknown
from counterfoil.events.words import NEWLINE, PADDING, PaddedBytes, equal_bytes, padded, skip_mark

SCHEMAS_MAX = 256
"""Most schemas that are remembered; beyond it all are forgotten, and those in use are worked out anew."""
_SCRATCH_FAULTS = 256
_ROOM = RENDERED_MAX + DECIMAL_BYTES_MAX + 32
"""Bytes that one value may need: its own when they stood there as base64, and its text."""
_BASE64_MAX = 4 * (DECIMAL_BYTES_MAX + 2) // 3

_INVALID_JSON = reason_number(ReasonCode.INVALID_JSON)
_TRUNCATED = reason_number(ReasonCode.TRUNCATED)
_INVALID_UTF8 = reason_number(ReasonCode.INVALID_UTF8)
_RECORD_TOO_LARGE = reason_number(ReasonCode.RECORD_TOO_LARGE)
_INVALID_ENVELOPE = reason_number(ReasonCode.INVALID_ENVELOPE)

# Slots of the envelope behind ``OPERATION_PART`` and ``TABLE_PART``.
_BEFORE_PART, _AFTER_PART, _SCHEMA_PART, _PAYLOAD_PART = range(2, 6)
_PARTS = 6

# Levels of the members that are looked for.
_OF_PAYLOAD, _OF_SOURCE, _OF_BEFORE, _OF_AFTER = range(4)
_SOURCE, _BEFORE, _AFTER, _SCHEMA, _PAYLOAD, _SCALE, _VALUE = range(7)
_NAMES = padded(b'source"before"after"schema"payload"scale"value"')
_NAME_START = np.array([0, 7, 14, 20, 27, 35, 41], np.int64)
_NAME_LENGTH = np.array([6, 6, 5, 6, 7, 5, 5], np.int64)

_FINISHED, _NEW_SCHEMA, _FULL = range(3)

_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _RETURN = 34, 44, 58, 123, 125, 13


class Members(NamedTuple):
    """The members of the envelope that somebody wants."""

    level: Words
    slot: Words
    names: Bytes
    start: Words
    length: Words


class KnownSchemas(NamedTuple):
    """The schemas that messages carry, and how each writes the fields."""

    texts: Bytes
    start: Words
    length: Words
    encoding: npt.NDArray[np.int64]
    """(1 + schemas, slots): codes of ``Encoding``; the first row is for messages without a schema."""
    scale: npt.NDArray[np.int64]
    last: Words
    """(1,): the schema that the last message had."""


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _is_name(data: Bytes, start: int, end: int, name: int) -> bool:
    length = _NAME_LENGTH[name]
    return end - start == length and equal_bytes(data, start, _NAMES, _NAME_START[name], length)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _fill(slots: Slots, slot: int, value: int, start: int, end: int) -> None:
    """Note what a scanner found in a slot; a string without its quotes."""
    quoted = value == STRING or value == ESCAPED_STRING
    slots.stamp[slot] = slots.stamp[-1]
    slots.value[slot] = value
    slots.start[slot] = start + 1 if quoted else start
    slots.end[slot] = end - 1 if quoted else end


@nb.njit(nogil=True, cache=True, _nrt=False)
def _fill_members(
    data: Bytes, name: int, name_end: int, level: int, members: Members, slots: Slots, value: int, start: int, end: int
) -> None:
    for member in range(len(members.level)):
        if (
            members.level[member] == level
            and members.length[member] == name_end - name
            and equal_bytes(data, name, members.names, members.start[member], name_end - name)
        ):
            _fill(slots, members.slot[member], value, start, end)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _wants_level(members: Members, level: int) -> bool:
    for member in range(len(members.level)):
        if members.level[member] == level:
            return True
    return False


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _scan_name(data: Bytes, at: int) -> tuple[int, int, int]:
    """Return the place of a member's value, the end of its name (which begins behind a quote), and 0 or a failure."""
    if data[at] != _QUOTE:
        return at, at, NO_NAME
    end, status = scan_string(data, at + 1)
    if status < 0:
        return end, end, string_failure(status)
    at = skip_spaces(data, end + 1)
    if data[at] != _COLON:
        return at, end, NO_COLON
    return skip_spaces(data, at + 1), end, 0


@nb.njit(nogil=True, cache=True, _nrt=False)
def _scan_members(data: Bytes, at: int, level: int, levels: int, members: Members, slots: Slots) -> tuple[int, int]:
    """Note the wanted members of an object that was checked before; return the place behind it, and 0 or a failure."""
    at = skip_spaces(data, at + 1)
    if data[at] == _CLOSE:
        return at + 1, 0
    while True:
        name = at + 1
        at, name_end, outcome = _scan_name(data, at)
        if outcome:
            return at, outcome
        start = at
        at, value = scan_value(data, at, levels)
        if value < 0:
            return at, value
        _fill_members(data, name, name_end, level, members, slots, value, start, at)
        at = skip_spaces(data, at)
        if data[at] == _CLOSE:
            return at + 1, 0
        if data[at] != _COMMA:
            return at, NO_MORE
        at = skip_spaces(data, at + 1)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _find_schema(data: Bytes, at: int, known: KnownSchemas) -> int:
    """Return the number of the known schema that stands at ``at``; -1 where none does."""
    last = known.last[0]
    if last < len(known.start) and equal_bytes(data, at, known.texts, known.start[last], known.length[last]):
        return last
    for schema in range(len(known.start)):
        if equal_bytes(data, at, known.texts, known.start[schema], known.length[schema]):
            known.last[0] = schema
            return schema
    return -1


@nb.njit(nogil=True, cache=True, _nrt=False)
def _scan_envelope(
    data: Bytes,
    at: int,
    tables: FieldTables,
    members: Members,
    known: KnownSchemas,
    slots: Slots,
    unknown: UnknownFields,
    follow: Words,
    scratch: Bytes,
    parts: int,
) -> tuple[int, int, int, int]:
    """Note what stands where in a change.

    Returns
    -------
    tuple
        The place behind it, or that of the fault; 0 or a failure; the slot that is to blame, or -1; and the number of
        the schema that it carries, -1 for none, -2 for one that is not known yet.
    """
    levels = tables.limits[LIMIT_DEPTH]
    schema = -1
    if data[at] != _OPEN:
        at, outcome = scan_value(data, at, levels)
        return at, outcome if outcome < 0 else NO_OBJECT, -1, schema
    depth = 1
    at = skip_spaces(data, at + 1)
    first = True
    while True:
        if data[at] == _CLOSE and first:
            outcome = 0
        else:
            name = at + 1
            at, name_end, outcome = _scan_name(data, at)
            if outcome:
                return at, outcome, -1, schema
            start = at
            part = -1
            if _is_name(data, name, name_end, _AFTER):
                part = _AFTER_PART
            elif _is_name(data, name, name_end, _BEFORE):
                part = _BEFORE_PART
            elif _is_name(data, name, name_end, _SCHEMA) and depth == 1:
                part = _SCHEMA_PART
            elif _is_name(data, name, name_end, _PAYLOAD) and depth == 1:
                part = _PAYLOAD_PART
            if part >= 0 and slots.stamp[parts + part] == slots.stamp[-1]:
                return start, TWICE, -1, schema
            if part == _PAYLOAD_PART and data[at] == _OPEN:
                _fill(slots, parts + part, OBJECT, at, at)
                depth = 2
                at = skip_spaces(data, at + 1)
                first = True
                continue
            value = OBJECT
            if part == _AFTER_PART and data[at] == _OPEN:
                at, outcome, slot = scan_object(data, at, tables, slots, unknown, follow, scratch)
                if outcome:
                    return at, outcome, slot, schema
            elif part == _SCHEMA_PART and data[at] == _OPEN:
                schema = _find_schema(data, at, known)
                if schema >= 0:
                    at += known.length[schema]
                else:
                    schema = -2
                    at, value = scan_value(data, at, levels - depth)
            else:
                at, value = scan_value(data, at, levels - depth)
            if value < 0:
                return at, value, -1, schema
            if part >= 0:
                _fill(slots, parts + part, value, start, at)
            _fill_members(data, name, name_end, _OF_PAYLOAD, members, slots, value, start, at)
            if value == OBJECT and _is_name(data, name, name_end, _SOURCE) and _wants_level(members, _OF_SOURCE):
                _scan_members(data, start, _OF_SOURCE, levels, members, slots)
            elif value == OBJECT and part == _BEFORE_PART and _wants_level(members, _OF_BEFORE):
                _scan_members(data, start, _OF_BEFORE, levels, members, slots)
            elif value == OBJECT and part == _AFTER_PART and _wants_level(members, _OF_AFTER):
                _scan_members(data, start, _OF_AFTER, levels, members, slots)
        first = False
        at = skip_spaces(data, at)
        while data[at] == _CLOSE:
            depth -= 1
            at += 1
            if depth == 0:
                return at, 0, -1, schema
            at = skip_spaces(data, at)
        if data[at] != _COMMA:
            return at, NO_MORE, -1, schema
        at = skip_spaces(data, at + 1)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _variable_decimal(data: Bytes, start: int, end: int, levels: int) -> tuple[int, int, int]:
    """Return the scale of an object like ``{"scale": 2, "value": "BOI="}`` and where its base64 stands; -1 for none."""
    scale, first, last = np.int64(0), -1, -1
    seen = False
    at = skip_spaces(data, start + 1)
    while at < end and data[at] == _QUOTE:
        name = at + 1
        at, name_end, outcome = _scan_name(data, at)
        if outcome:
            return 0, -1, -1
        begin = at
        at, value = scan_value(data, at, levels)
        if _is_name(data, name, name_end, _SCALE) and value == NUMBER:
            status, scale = parse_scaled(data, begin, at, 0, False)
            seen = status == NUMBER_OK
        elif _is_name(data, name, name_end, _VALUE) and value == STRING:
            first, last = begin + 1, at - 1
        at = skip_spaces(data, at)
        if data[at] != _COMMA:
            break
        at = skip_spaces(data, at + 1)
    return (scale, first, last) if seen else (0, -1, -1)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _put_base64(
    data: Bytes, slots: Slots, natives: Natives, slot: int, start: int, end: int, scale: int, at: int
) -> int:
    """Make a slot's base64 a decimal, whose bytes go to ``at``; return the place behind them."""
    if end - start > _BASE64_MAX:
        # Beyond every amount: so many bytes that ``render`` says so.
        behind = at + DECIMAL_BYTES_MAX + 1
        data[at] = 0
    else:
        behind = decode_base64(data, start, end, data, at)
        if behind < 0:
            return at
    slots.value[slot] = NATIVE_DECIMAL
    slots.start[slot] = at
    slots.end[slot] = behind
    natives.scale[slot] = scale
    return behind


@nb.njit(nogil=True, cache=True, _nrt=False)
def _put_date(data: Bytes, slots: Slots, slot: int, at: int) -> int:
    """Make the instant of a day's beginning of a day; return the place behind."""
    start, end = slots.start[slot], slots.end[slot]
    if end - start < 10 or end - start > 16:
        return at
    first = at
    for place in range(start, start + 10):
        data[at] = data[place]
        at += 1
    data[at] = 84
    for offset in range(1, 9):
        data[at + offset] = 58 if offset == 3 or offset == 6 else 48
    at += 9
    if end - start == 10:
        data[at] = 90
        at += 1
    for place in range(start + 10, end):
        data[at] = data[place]
        at += 1
    slots.start[slot] = first
    slots.end[slot] = at
    return at


@nb.njit(nogil=True, cache=True, _nrt=False)
def _to_natives(
    data: Bytes,
    slots: Slots,
    natives: Natives,
    wants: Wants,
    known: KnownSchemas,
    schema: int,
    kind: int,
    levels: int,
    at: int,
) -> int:
    """Make native values of those that the schema says are written in another way; return the place behind them."""
    for slot in range(wants.want.shape[1]):
        if slots.stamp[slot] != slots.stamp[-1]:
            continue
        value = np.int64(slots.value[slot])
        encoding = known.encoding[schema + 1, slot]
        start, end = slots.start[slot], slots.end[slot]
        if value == OBJECT:
            scale, first, last = _variable_decimal(data, start, end, levels)
            if first >= 0 and abs(scale) <= DECIMAL_SCALE_MAX:
                at = _put_base64(data, slots, natives, slot, first, last, scale, at)
        elif value == STRING and encoding == Encoding.DECIMAL:
            at = _put_base64(data, slots, natives, slot, start, end, known.scale[schema + 1, slot], at)
        elif value == STRING and encoding == Encoding.ISO_DATE:
            at = _put_date(data, slots, slot, at)
        elif value == NUMBER and Encoding.DAYS <= encoding <= Encoding.LOCAL_NANOS:
            status, word = parse_scaled(data, start, end, 0, True)
            if status == NUMBER_OK:
                slots.value[slot] = encoding
                natives.word[slot] = word
        elif value == STRING and (wants.want[kind, slot] == WANT_FLOAT or wants.want[kind, slot] == WANT_INTEGER):
            # Numerics that the database's connector writes as text, so that none of their digits is lost.
            if parse_scaled(data, start, end, 0, True)[0] != NUMBER_BAD:
                slots.value[slot] = NUMBER
        elif value == NUMBER and wants.want[kind, slot] == WANT_BOOL and end - start == 1 and data[start] <= 49:
            # Databases without truth values keep them as 0 and 1.
            slots.value[slot] = TRUE if data[start] == 49 else FALSE
    return at


@nb.njit(nogil=True, cache=True, _nrt=False)
def _close_lines(data: Bytes, starts: Words, lengths: Words) -> None:
    """Make returns of the newlines inside records: as blank between values, and as wrong inside a string."""
    for record in range(len(starts)):
        for at in range(starts[record], starts[record] + max(lengths[record], 0)):
            if data[at] == NEWLINE:
                data[at] = _RETURN


@nb.njit(nogil=True, cache=True, _nrt=False)
def _decode_changes(
    data: Bytes,
    starts: Words,
    lengths: Words,
    positions: Words,
    record: int,
    latest: int,
    key: tuple[np.uint64, np.uint64],
    tables: FieldTables,
    wants: Wants,
    members: Members,
    changes: ChangeTables,
    known: KnownSchemas,
    slots: Slots,
    natives: Natives,
    unknown: UnknownFields,
    rows: Rows,
    places: tuple[int, int],
    unknown_slots: Words,
    follow: Words,
    scratch: Bytes,
    found: Words,
) -> tuple[int, int]:
    """Decode changes from ``record`` on; return where it stopped, and why.

    ``found`` gets the place and the end of a schema that is not known yet.
    """
    columns = len(changes.of_row)
    parts = 2 * columns
    levels = tables.limits[LIMIT_DEPTH]
    room, room_end = places
    for each in range(record, len(starts)):
        length = lengths[each]
        if length < 0:
            continue
        if room_end - room < columns * _ROOM:
            return each, _FULL
        start, end = starts[each], starts[each] + length
        at = skip_spaces(data, skip_mark(data, start))
        if at >= end and length <= tables.limits[LIMIT_RECORD]:
            continue
        slots.stamp[-1] += 1
        unknown.counters[COUNT_SEEN] = 0
        kind, detail, rendered = -1, 0, room
        at, outcome, slot, schema = _scan_envelope(
            data, at, tables, members, known, slots, unknown, follow, scratch, parts
        )
        if outcome == 0:
            at = skip_spaces(data, at)
            if at < end:
                outcome = NO_END
        if outcome == 0 and schema == -2:
            found[0] = slots.start[parts + _SCHEMA_PART]
            found[1] = slots.end[parts + _SCHEMA_PART]
            return each, _NEW_SCHEMA
        value_start = at
        reason, detail = (-outcome) % 100, (-outcome) // 100
        if reason == _INVALID_JSON and at >= end:
            reason = _TRUNCATED
        if length > tables.limits[LIMIT_RECORD]:
            reason = _RECORD_TOO_LARGE
        elif reason:
            # Bytes that are no text at all are what is wrong, wherever they stand.
            bad = find_bad_utf8(data, start, end)
            if bad < end:
                reason, value_start, slot = _INVALID_UTF8, bad, -1
        if reason == 0:
            stamp = slots.stamp[-1]
            payload = slots.stamp[parts + _PAYLOAD_PART] == stamp
            if payload and slots.value[parts + _PAYLOAD_PART] == NULL:
                # A tombstone in an envelope of its own.
                continue
            operation = operation_of(data, slots, parts + OPERATION_PART)
            if operation < 0:
                reason = _INVALID_ENVELOPE
                detail = NO_OPERATION
                if slots.stamp[parts + _BEFORE_PART] != stamp and slots.stamp[parts + _AFTER_PART] != stamp:
                    detail = NO_PAYLOAD
            else:
                reason, detail, target = kind_of_change(data, slots, tables, changes, operation)
                if reason == 0 and target == IGNORED:
                    continue
                row = parts + (_BEFORE_PART if operation == DELETE else _AFTER_PART)
                if reason == 0 and operation < TRUNCATE and (slots.stamp[row] != stamp or slots.value[row] != OBJECT):
                    reason, detail = _INVALID_ENVELOPE, NO_ROW
                if reason == 0 and operation == DELETE:
                    # A deletion whose row afterwards is there, too, would mix the two.
                    after = parts + _AFTER_PART
                    if slots.stamp[after] == stamp and slots.value[after] != NULL:
                        reason, detail = _INVALID_ENVELOPE, NO_ROW
                    else:
                        value_start, outcome, slot = scan_object(
                            data, slots.start[row], tables, slots, unknown, follow, scratch
                        )
                        reason, detail = (-outcome) % 100, (-outcome) // 100
                if reason == 0:
                    forget_unavailable(data, slots, columns)
                    name_kind(slots, changes, target)
                    kind = find_kind(data, slots, tables, rows.heap, rows.counters[COUNT_HEAP])
                    behind = _to_natives(data, slots, natives, wants, known, schema, kind, levels, room)
                    rendered = render_all(data, slots, natives, wants, kind, behind)
                    reason, slot, kind = write_row(data, slots, tables, rows, positions[each], latest, key)
        if reason == 0:
            count_unknown(unknown)
            for name in range(columns):
                if slots.stamp[name] == slots.stamp[-1] and changes.of_row[name] and not tables.known[kind, name]:
                    unknown_slots[name] += 1
        else:
            # What was rendered stays for the dead letter, which shows it.
            room = rendered
            if outcome:
                slots.stamp[-1] += 1
            put_fault(rows, slots, reason, detail, each, start, end, value_start, slot, kind)
    return len(starts), _FINISHED


_ENCODING = re.compile(r"(decimal)\((\d{1,3})\)|(days|millis|micros|nanos|date)")
_PLAIN_ENCODINGS = {
    "days": Encoding.DAYS,
    "millis": Encoding.MILLIS,
    "micros": Encoding.MICROS,
    "nanos": Encoding.NANOS,
    "date": Encoding.ISO_DATE,
}
_SEMANTIC_TYPES = {
    "org.apache.kafka.connect.data.Date": Encoding.DAYS,
    "org.apache.kafka.connect.data.Timestamp": Encoding.MILLIS,
    "io.debezium.time.Date": Encoding.DAYS,
    "io.debezium.time.Timestamp": Encoding.MILLIS,
    "io.debezium.time.MicroTimestamp": Encoding.MICROS,
    "io.debezium.time.NanoTimestamp": Encoding.NANOS,
    "io.debezium.time.IsoDate": Encoding.ISO_DATE,
}
_DECIMAL = "org.apache.kafka.connect.data.Decimal"


def parse_encoding(text: str, path: str) -> tuple[Encoding, int]:
    """Return what a text says about how a value is written, and its scale.

    Raises
    ------
    ConfigurationError
        It says nothing of the kind.

    Examples
    --------
    >>> parse_encoding("decimal(2)", "encodings.amount")
    (<Encoding.DECIMAL: 23>, 2)
    """
    match = _ENCODING.fullmatch(text)
    if match is None or (match[2] is not None and int(match[2]) > DECIMAL_SCALE_MAX):
        allowed = f"decimal(0) to decimal({DECIMAL_SCALE_MAX}), days, millis, micros, nanos, date"
        message = f"{path}: found {text!r}; allowed: {allowed}"
        raise ConfigurationError(message)
    return (Encoding.DECIMAL, int(match[2])) if match[2] is not None else (_PLAIN_ENCODINGS[match[3]], 0)


def field_encodings(schema: object) -> dict[str, tuple[Encoding, int]]:
    """Return how a schema of Kafka Connect writes the fields of a change: those of the row by name, others by path.

    Examples
    --------
    >>> day = {"field": "born", "type": "int32", "name": "io.debezium.time.Date"}
    >>> field_encodings({"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": [day]}]})
    {'born': (<Encoding.DAYS: 24>, 0), 'payload.after.born': (<Encoding.DAYS: 24>, 0)}
    """
    found: dict[str, tuple[Encoding, int]] = {}
    for part in _fields_of(schema):
        name = part["field"]
        encoding = _encoding_of(part)
        if encoding is not None:
            found[f"{ENVELOPE}{name}"] = encoding
        for each in _fields_of(part):
            encoding = _encoding_of(each)
            if encoding is not None:
                if name in {"before", "after"}:
                    found[each["field"]] = encoding
                found[f"{ENVELOPE}{name}.{each['field']}"] = encoding
    return found


def _fields_of(schema: object) -> list[dict[str, Any]]:
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if not isinstance(fields, list):
        return []
    return [each for each in fields if isinstance(each, dict) and isinstance(each.get("field"), str)]


def _encoding_of(schema: dict[str, Any]) -> tuple[Encoding, int] | None:
    name = schema.get("name")
    if name == _DECIMAL:
        parameters = schema.get("parameters")
        scale = str(parameters.get("scale", "0")) if isinstance(parameters, dict) else "0"
        if re.fullmatch(r"-?\d{1,3}", scale) and abs(int(scale)) <= DECIMAL_SCALE_MAX:
            return Encoding.DECIMAL, int(scale)
    found = _SEMANTIC_TYPES.get(name) if isinstance(name, str) else None
    return None if found is None else (found, 0)


@dataclass(slots=True)
class _Notes:
    """A thread's notes: which names are known, and which order fields have."""

    slots: Slots
    natives: Natives
    unknown: UnknownFields
    unknown_slots: Words
    follow: Words


class DebeziumDecoder:
    """Decodes Debezium's changes of rows as JSON, with the schema in each message or without.

    A field is a column of the row: afterwards, or before for a deletion. What stands beside the row is named by its
    path: ``payload.ts_ms``, ``payload.op``, ``payload.source.lsn``, ``payload.before.id``. Messages that carry their
    schema say how decimals and times are written; for others ``encodings`` does. A decimal may be base64, text, a
    number or an object with its own scale. A tombstone is no event.

    Decoders may be shared by threads; the kernel runs without the interpreter's lock.

    Parameters
    ----------
    schema
        The kinds that the changes may be.
    settings
        How the source names things; its ``kind`` is not looked at.
    key
        The key of hashes and tokens.
    max_skew
        Microseconds by which an event's time may lie ahead of its arrival.
    changes
        Which event each change is.
    encodings
        The source's name of a column, and how its values are written where no schema says so: ``decimal(2)`` for base64
        with two digits, ``days``, ``millis``, ``micros`` or ``nanos`` for numbers, ``date`` for a day as text.

    Raises
    ------
    ConfigurationError
        The settings do not fit the detector.

    Examples
    --------
    >>> from counterfoil.events.kinds import EventKind, Field, FieldType
    >>> payment = EventKind("payment", (Field("amount", FieldType.MONEY),), id="id", time="payload.ts_ms", decide=True)
    >>> settings, changes = DecoderSettings(), ChangeKinds("payment")
    >>> decoder = DebeziumDecoder(Schema((payment,)), settings, IdentityKey(), 0, changes, {"amount": "decimal(2)"})
    >>> line = b'{"before":null,"after":{"id":7,"amount":"FlQ="},"op":"c","ts_ms":1767000000123}'
    >>> decoder.decode(line, first_position=0, arrival=1_800_000_000_000_000).batch.values
    array([[5716]])
    """

    def __init__(
        self,
        schema: Schema,
        settings: DecoderSettings,
        key: IdentityKey,
        max_skew: int,
        changes: ChangeKinds,
        encodings: Mapping[str, str] | None = None,
    ) -> None:
        self.schema = schema
        self.settings = settings
        self.key = key
        self.max_skew = max_skew
        self._words = key.words
        self._fields = FieldMap.of(schema, replace(settings, kind=None, kind_field=KIND_SLOT))
        self._wants = Wants.of(self._fields)
        self._members = _members_of(self._fields)
        self._changes = ChangeTables.of(self._fields, changes, [])
        given = {name: parse_encoding(text, f"encodings.{name}") for name, text in (encodings or {}).items()}
        self._own = {name: (unit, 0) for name in self._fields.slots if (unit := tick_unit(name)) is not None} | given
        for part in ("before", "after"):
            self._own = {f"{ENVELOPE}{part}.{name}": how for name, how in given.items()} | self._own
        self._texts: list[bytes] = []
        self._rows = [self._encoding_row({})]
        self._known = self._tables()
        self._lock = threading.Lock()
        self._local = threading.local()

    def decode(self, data: EncodedRecords, first_position: int, arrival: int) -> Decoded:
        """Decode whole lines: see ``Decoder.decode``."""
        content = bytes(data.content if isinstance(data, PaddedBytes) else data)
        ends = np.flatnonzero(np.frombuffer(content, np.uint8) == NEWLINE)
        if not len(ends) or ends[-1] != len(content) - 1:
            ends = np.append(ends, len(content))
        start = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1]).astype(np.int64)
        if not content:
            start = ends = np.zeros(0, np.int64)
        position = np.arange(first_position, first_position + len(start), dtype=np.int64)
        return self.decode_records(RecordBatch(content, start, ends - start, position), arrival)

    def decode_records(self, records: RecordBatch, arrival: int) -> Decoded:
        """Decode records: see ``RecordDecoder.decode_records``."""
        fields, count, size = self._fields, len(records), len(records.data)
        names = np.frombuffer(kind_names(self.schema), np.uint8)
        names_at = size + PADDING
        room = names_at + len(names) + PADDING
        columns = len(fields.slots)
        data = np.empty(room + columns * _ROOM * _SCRATCH_FAULTS + PADDING, np.uint8)
        data[:size] = np.frombuffer(records.data, np.uint8)
        data[size:room] = NEWLINE
        data[names_at : names_at + len(names)] = names
        if records.data.count(b"\n") != count - 1:
            _close_lines(data, records.start, records.length)
        heap = size * fields.copies + count * rendered_texts(self.schema) * RENDERED_MAX
        texts = 1 + len(self.schema.text_columns)
        rows = Rows.of(len(self.schema.columns), texts, count, heap, heap if fields.cards else 0)
        notes = self._scratch()
        describe = RecordDescriber(fields, data, {}, OPERATIONS)
        dead = []
        found = np.zeros(2, np.int64)
        scratch = np.empty(size + PADDING, np.uint8)
        changes = self._changes._replace(names_at=names_at)
        record = 0
        while record < count:
            record, status = _decode_changes(
                data,
                records.start,
                records.length,
                records.position,
                record,
                arrival + self.max_skew,
                self._words,
                fields.tables,
                self._wants,
                self._members,
                changes,
                self._known,
                notes.slots,
                notes.natives,
                notes.unknown,
                rows,
                (room, len(data) - PADDING),
                notes.unknown_slots,
                notes.follow,
                scratch,
                found,
            )
            if status == _NEW_SCHEMA:
                self._learn(data[found[0] : found[1]].tobytes())
            dead += describe.letters(rows, records)
        unknown_fields = notes.unknown.take()
        for slot in np.flatnonzero(notes.unknown_slots).tolist():
            unknown_fields[fields.slots[slot]] = int(notes.unknown_slots[slot])
        notes.unknown_slots[:] = 0
        return Decoded(batch_of(fields, rows, self.key), dead, unknown_fields, size, count)

    def _scratch(self) -> _Notes:
        try:
            return self._local.notes
        except AttributeError:
            columns = len(self._fields.slots)
            slots = 2 * columns + _PARTS
            follow = np.zeros(slots + 2, np.int64)
            notes = _Notes(
                Slots.of(slots), Natives.of(slots), UnknownFields.empty(), np.zeros(columns, np.int64), follow
            )
            self._local.notes = notes
            return notes

    def _learn(self, text: bytes) -> None:
        """Work out what a schema says, so that the kernel knows it."""
        with self._lock:
            if text in self._texts:
                return
            if len(self._texts) >= SCHEMAS_MAX:
                self._texts, self._rows = [], self._rows[:1]
            try:
                found = field_encodings(msgspec.json.decode(text))
            except msgspec.DecodeError:
                # A number beyond a double: nothing that says how a field is written.
                found = {}
            self._texts.append(text)
            self._rows.append(self._encoding_row(found))
            self._known = self._tables()

    def _encoding_row(self, found: Mapping[str, tuple[Encoding, int]]) -> list[tuple[int, int]]:
        merged = {**found, **self._own}
        return [merged.get(name, (Encoding.PLAIN, 0)) for name in self._fields.slots]

    def _tables(self) -> KnownSchemas:
        lengths = np.array([len(text) for text in self._texts], np.int64)
        table = np.array(self._rows, np.int64)
        return KnownSchemas(
            padded(b"".join(self._texts)),
            np.cumsum(lengths) - lengths,
            lengths,
            np.ascontiguousarray(table[:, :, 0]),
            np.ascontiguousarray(table[:, :, 1]),
            np.zeros(1, np.int64),
        )


def _members_of(fields: FieldMap) -> Members:
    """Return the members of the envelope that the fields name, and those that every change is understood by."""
    columns = len(fields.slots)
    found = [(_OF_PAYLOAD, "op", 2 * columns + OPERATION_PART), (_OF_SOURCE, "table", 2 * columns + TABLE_PART)]
    levels = {"source": _OF_SOURCE, "before": _OF_BEFORE, "after": _OF_AFTER}
    for slot, name in enumerate(fields.slots):
        if name.startswith(ENVELOPE) and name != KIND_SLOT:
            part, point, member = name.removeprefix(ENVELOPE).partition(".")
            if not point:
                found.append((_OF_PAYLOAD, part, slot))
            elif part in levels:
                found.append((levels[part], member, slot))
            else:
                allowed = ", ".join(f"{ENVELOPE}{each}NAME" for each in ("", "source.", "before.", "after."))
                message = f"{name}: found no part of a change; allowed: {allowed}"
                raise ConfigurationError(message)
    names = [name.encode() for _, name, _ in found]
    lengths = np.array([len(name) for name in names], np.int64)
    return Members(
        np.array([level for level, _, _ in found], np.int64),
        np.array([slot for _, _, slot in found], np.int64),
        padded(b"".join(names)),
        np.cumsum(lengths) - lengths,
        lengths,
    )
