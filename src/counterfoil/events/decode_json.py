"""Lines of JSON straight to the arrays of a batch.

One pass checks a line against RFC 8259 and notes where the value of each known field stands; a second one, over the
fields of the event's kind only, stores the values. Nothing is built in between, and no line needs a Python object
unless it is refused.
"""

from __future__ import annotations

import threading

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decoding import Decoded, DecoderSettings, EncodedRecords
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import Schema
from counterfoil.events.mapping import LIMIT_DEPTH, LIMIT_RECORD, FieldMap, FieldTables
from counterfoil.events.results import Expected, batch_of, dead_letters_of
from counterfoil.events.rows import (
    ARRAY,
    COUNT_RECORDS,
    ESCAPED_STRING,
    FALSE,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    TRUE,
    Rows,
    Slots,
    put_fault,
    reason_number,
    write_row,
)
from counterfoil.events.strings import (
    STRING_BAD_ESCAPE,
    STRING_BAD_UTF8,
    STRING_ESCAPED,
    find_bad_utf8,
    scan_string,
    unescape,
)
from counterfoil.events.unknown_fields import COUNT_SEEN, UnknownFields, count_unknown, find_unknown, note_unknown
from counterfoil.events.words import (
    count_newlines,
    equal_bytes,
    find_newline,
    first_bytes,
    load_word,
    name_hash,
    padded,
    skip_mark,
)


def _failure(reason: ReasonCode, expected: Expected) -> int:
    """Return what a scanner says when it gives up: negative, and taken apart by ``_fault``."""
    return -(reason_number(reason) + 100 * expected)


_NO_NAME = _failure(ReasonCode.INVALID_JSON, Expected.NAME)
_NO_COLON = _failure(ReasonCode.INVALID_JSON, Expected.COLON)
_NO_MORE = _failure(ReasonCode.INVALID_JSON, Expected.MORE)
_NO_VALUE = _failure(ReasonCode.INVALID_JSON, Expected.VALUE)
_NO_END = _failure(ReasonCode.INVALID_JSON, Expected.END)
_NO_ESCAPE = _failure(ReasonCode.INVALID_JSON, Expected.ESCAPE)
_NO_CHARACTER = _failure(ReasonCode.INVALID_JSON, Expected.CHARACTER)
_NO_UTF8 = _failure(ReasonCode.INVALID_UTF8, Expected.NOTHING)
_NO_OBJECT = _failure(ReasonCode.NOT_AN_OBJECT, Expected.NOTHING)
_DEEP = _failure(ReasonCode.TOO_DEEP, Expected.NOTHING)
_TWICE = _failure(ReasonCode.DUPLICATE_KEY, Expected.NOTHING)

_KNOWN_UNKNOWN = -2

_INVALID_JSON = reason_number(ReasonCode.INVALID_JSON)
_TRUNCATED = reason_number(ReasonCode.TRUNCATED)
_INVALID_UTF8 = reason_number(ReasonCode.INVALID_UTF8)
_RECORD_TOO_LARGE = reason_number(ReasonCode.RECORD_TOO_LARGE)

_TRUE_WORD = np.uint64(0x65757274)
_FALSE_WORD = np.uint64(0x65736C6166)
_NULL_WORD = np.uint64(0x6C6C756E)

_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _OPEN_ARRAY, _CLOSE_ARRAY = 34, 44, 58, 123, 125, 91, 93
_MINUS, _PLUS, _POINT, _ZERO, _NEWLINE, _RETURN = 45, 43, 46, 48, 10, 13


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _skip_spaces(data: Bytes, at: int) -> int:
    """Return the place of the next byte that is no space within a line."""
    while data[at] == 32 or data[at] == 9 or data[at] == _RETURN:
        at += 1
    return at


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _string_failure(status: int) -> int:
    if status == STRING_BAD_UTF8:
        return _NO_UTF8
    return _NO_ESCAPE if status == STRING_BAD_ESCAPE else _NO_CHARACTER


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _skip_digits(data: Bytes, at: int) -> int:
    while 48 <= data[at] <= 57:
        at += 1
    return at


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _scan_number(data: Bytes, at: int) -> tuple[int, int]:
    """Return the place behind a number and ``NUMBER``, or the place of the fault and a failure."""
    if data[at] == _MINUS:
        at += 1
    if data[at] == _ZERO:
        at += 1
    else:
        first = at
        at = _skip_digits(data, at)
        if at == first:
            return at, _NO_VALUE
    if data[at] == _POINT:
        first = at + 1
        at = _skip_digits(data, first)
        if at == first:
            return at, _NO_VALUE
    if data[at] == 101 or data[at] == 69:
        at += 1
        if data[at] == _MINUS or data[at] == _PLUS:
            at += 1
        first = at
        at = _skip_digits(data, first)
        if at == first:
            return at, _NO_VALUE
    return at, NUMBER


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _scan_scalar(data: Bytes, at: int) -> tuple[int, int]:
    """Return the place behind a value that is no object or array, and what it is or a failure."""
    byte = data[at]
    if byte == _QUOTE:
        end, status = scan_string(data, at + 1)
        if status < 0:
            return end, _string_failure(status)
        return end + 1, ESCAPED_STRING if status == STRING_ESCAPED else STRING
    if byte == _MINUS or 48 <= byte <= 57:
        return _scan_number(data, at)
    word = load_word(data, at)
    if first_bytes(word, 4) == _TRUE_WORD:
        return at + 4, TRUE
    if first_bytes(word, 5) == _FALSE_WORD:
        return at + 5, FALSE
    if first_bytes(word, 4) == _NULL_WORD:
        return at + 4, NULL
    return at, _NO_VALUE


@nb.njit(nogil=True, cache=True, _nrt=False)
def _scan_member_name(data: Bytes, at: int) -> tuple[int, int]:
    """Return the place of the value behind a name and its colon, and 0 or a failure."""
    if data[at] != _QUOTE:
        return at, _NO_NAME
    at, status = scan_string(data, at + 1)
    if status < 0:
        return at, _string_failure(status)
    at = _skip_spaces(data, at + 1)
    if data[at] != _COLON:
        return at, _NO_COLON
    return _skip_spaces(data, at + 1), 0


@nb.njit(nogil=True, cache=True, _nrt=False)
def _scan_nested(data: Bytes, at: int, levels: int) -> tuple[int, int]:
    """Return the place behind an object or array, and what it is or a failure; no deeper than ``levels``."""
    result = OBJECT if data[at] == _OPEN else ARRAY
    # One bit a level, the innermost lowest: whether it is an object.
    objects = np.uint64(0)
    depth = 0
    while True:
        byte = data[at]
        first = byte == _OPEN or byte == _OPEN_ARRAY
        if first:
            depth += 1
            if depth > levels:
                return at, _DEEP
            objects = (objects << np.uint64(1)) | np.uint64(byte == _OPEN)
            at = _skip_spaces(data, at + 1)
        else:
            at, outcome = _scan_scalar(data, at)
            if outcome < 0:
                return at, outcome
            at = _skip_spaces(data, at)
        while not first or data[at] == (_CLOSE if objects & np.uint64(1) else _CLOSE_ARRAY):
            if not first and data[at] == _COMMA:
                at = _skip_spaces(data, at + 1)
                break
            if data[at] != (_CLOSE if objects & np.uint64(1) else _CLOSE_ARRAY):
                return at, _NO_MORE
            first = False
            objects >>= np.uint64(1)
            depth -= 1
            at += 1
            if depth == 0:
                return at, result
            at = _skip_spaces(data, at)
        if objects & np.uint64(1):
            at, outcome = _scan_member_name(data, at)
            if outcome < 0:
                return at, outcome


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _scan_value(data: Bytes, at: int, levels: int) -> tuple[int, int]:
    """Return the place behind a value, and what it is or a failure."""
    if data[at] == _OPEN or data[at] == _OPEN_ARRAY:
        return _scan_nested(data, at, levels)
    return _scan_scalar(data, at)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _slot_of_name(data: Bytes, start: int, end: int, tables: FieldTables, unknown: UnknownFields, stamp: int) -> int:
    """Return the slot of a name; -1 where it has none, ``_KNOWN_UNKNOWN`` where the record has it already."""
    length = end - start
    mask = len(tables.table) - 1
    place = name_hash(data, start, length) & mask
    while tables.table[place]:
        slot = tables.table[place] - 1
        if tables.name_length[slot] == length and equal_bytes(
            data, start, tables.names, tables.name_start[slot], length
        ):
            return slot
        place = (place + 1) & mask
    return _KNOWN_UNKNOWN if note_unknown(unknown, find_unknown(unknown, data, start, length), stamp) else -1


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _scan_object(
    data: Bytes, at: int, tables: FieldTables, slots: Slots, unknown: UnknownFields, follow: Words, scratch: Bytes
) -> tuple[int, int, int]:
    """Note what stands in each slot of a record.

    ``follow`` remembers which slot came after which: records of one source mostly have one order, and comparing with
    the name that is expected costs a third of finding out which name it is.

    Returns
    -------
    tuple
        The place behind the object, or that of the fault; 0 or a failure; the slot that is to blame, or -1.
    """
    levels = tables.limits[LIMIT_DEPTH]
    if data[at] != _OPEN:
        at, outcome = _scan_value(data, at, levels)
        return at, outcome if outcome < 0 else _NO_OBJECT, -1
    stamp = slots.stamp[-1]
    at = _skip_spaces(data, at + 1)
    if data[at] == _CLOSE:
        return at + 1, 0, -1
    previous = len(slots.start)
    while True:
        if data[at] != _QUOTE:
            return at, _NO_NAME, -1
        at += 1
        slot = follow[previous]
        length = tables.name_length[slot]
        if tables.name_plain[slot] and equal_bytes(data, at, tables.names, tables.name_start[slot], length + 1):
            at += length + 1
        else:
            end, status = scan_string(data, at)
            if status < 0:
                return end, _string_failure(status), -1
            if status == STRING_ESCAPED:
                slot = _slot_of_name(scratch, 0, unescape(data, at, end, scratch, 0), tables, unknown, stamp)
            else:
                slot = _slot_of_name(data, at, end, tables, unknown, stamp)
            if slot >= 0:
                follow[previous] = slot
            elif slot == _KNOWN_UNKNOWN:
                return at, _TWICE, -1
            at = end + 1
        at = _skip_spaces(data, at)
        if data[at] != _COLON:
            return at, _NO_COLON, slot
        at = _skip_spaces(data, at + 1)
        start = at
        at, value = _scan_value(data, at, levels - 1)
        if value < 0:
            return at, value, slot
        previous = len(slots.start) + 1
        if slot >= 0:
            if slots.stamp[slot] == stamp:
                return start, _TWICE, slot
            quoted = value == STRING or value == ESCAPED_STRING
            slots.stamp[slot] = stamp
            slots.value[slot] = value
            slots.start[slot] = start + 1 if quoted else start
            slots.end[slot] = at - 1 if quoted else at
            previous = slot
        at = _skip_spaces(data, at)
        if data[at] == _CLOSE:
            return at + 1, 0, -1
        if data[at] != _COMMA:
            return at, _NO_MORE, -1
        at = _skip_spaces(data, at + 1)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _decode_lines(
    data: Bytes,
    size: int,
    first_position: int,
    latest: int,
    key: tuple[np.uint64, np.uint64],
    tables: FieldTables,
    slots: Slots,
    unknown: UnknownFields,
    rows: Rows,
    unknown_slots: Words,
    follow: Words,
    scratch: Bytes,
) -> None:
    """Decode the lines of a padded buffer, whose content has ``size`` bytes."""
    record = 0
    at = 0
    while at < size:
        start = at
        at = _skip_spaces(data, skip_mark(data, at))
        if data[at] == _NEWLINE and at - start <= tables.limits[LIMIT_RECORD]:
            at += 1
            record += 1
            continue
        slots.stamp[-1] += 1
        unknown.counters[COUNT_SEEN] = 0
        kind = -1
        at, outcome, slot = _scan_object(data, at, tables, slots, unknown, follow, scratch)
        if outcome == 0:
            at = _skip_spaces(data, at)
            if data[at] != _NEWLINE:
                outcome = _NO_END
        value_start = at
        end = at if data[at] == _NEWLINE else find_newline(data, at)
        reason = (-outcome) % 100
        if reason == _INVALID_JSON and (data[at] == _NEWLINE or (data[at] == _RETURN and at + 1 == end)):
            reason = _TRUNCATED
        if end - start > tables.limits[LIMIT_RECORD]:
            reason = _RECORD_TOO_LARGE
        elif reason:
            # Bytes that are no text at all are what is wrong, wherever they stand.
            bad = find_bad_utf8(data, start, end)
            if bad < end:
                reason, value_start, slot = _INVALID_UTF8, bad, -1
        if reason == 0:
            reason, slot, kind = write_row(data, slots, tables, rows, first_position + record, latest, key)
        if reason == 0:
            count_unknown(unknown)
            for each in range(len(slots.start)):
                if slots.stamp[each] == slots.stamp[-1] and not tables.known[kind, each]:
                    unknown_slots[each] += 1
        else:
            if outcome:
                # The record's slots are half filled: only the place counts.
                slots.stamp[-1] += 1
            put_fault(rows, slots, reason, (-outcome) // 100, record, start, end, value_start, slot, kind)
        at = end + 1
        record += 1
    rows.counters[COUNT_RECORDS] = record


class JsonDecoder:
    """Decodes lines of JSON (NDJSON): one object a line, by RFC 8259 to the letter.

    A byte order mark before a line is skipped (files that were joined have one inside), blank lines are no events, and
    lines may end in CRLF. Decoders may be shared by threads; the kernel runs without the interpreter's lock.

    Parameters
    ----------
    schema
        The kinds that the lines may hold.
    settings
        How the source writes them.
    key
        The key of hashes and tokens.
    max_skew
        Microseconds by which an event's time may lie ahead of its arrival.

    Examples
    --------
    >>> from counterfoil.events.kinds import EventKind, Field, FieldType
    >>> payment = EventKind("payment", (Field("amount", FieldType.MONEY),), id="id", time="at", decide=True)
    >>> decoder = JsonDecoder(Schema((payment,)), DecoderSettings(), IdentityKey(), max_skew=0)
    >>> line = b'{"id": "p1", "at": "2026-01-01T00:00:00Z", "amount": 57.16}'
    >>> decoder.decode(line, first_position=0, arrival=1_800_000_000_000_000).batch.values
    array([[5716]])
    """

    def __init__(self, schema: Schema, settings: DecoderSettings, key: IdentityKey, max_skew: int) -> None:
        self.schema = schema
        self.settings = settings
        self.key = key
        self.max_skew = max_skew
        self._words = key.words
        self._fields = FieldMap.of(schema, settings)
        self._local = threading.local()

    def decode(self, data: EncodedRecords, first_position: int, arrival: int) -> Decoded:
        """Decode whole lines: see ``Decoder.decode``."""
        buffer = padded(data)
        size = len(data)
        records = int(count_newlines(buffer, size)) + 1
        fields = self._fields
        texts = 1 + len(self.schema.text_columns)
        heap = size * fields.copies
        rows = Rows.of(len(self.schema.columns), texts, records, heap, heap if fields.cards else 0)
        slots, unknown, unknown_slots, follow = self._scratch()
        scratch = np.empty(len(buffer), np.uint8)
        latest = arrival + self.max_skew
        _decode_lines(
            buffer,
            size,
            first_position,
            latest,
            self._words,
            fields.tables,
            slots,
            unknown,
            rows,
            unknown_slots,
            follow,
            scratch,
        )
        unknown_fields = unknown.take()
        if unknown_slots.any():
            for slot in np.flatnonzero(unknown_slots).tolist():
                unknown_fields[fields.slots[slot]] = int(unknown_slots[slot])
            unknown_slots[:] = 0
        dead = dead_letters_of(fields, rows, buffer, buffer, first_position)
        batch = batch_of(fields, rows, self.key)
        return Decoded(batch, dead, unknown_fields, size, int(rows.counters[COUNT_RECORDS]))

    def _scratch(self) -> tuple[Slots, UnknownFields, Words, Words]:
        """Return this thread's notes: they only carry over which names are known and which order fields have."""
        try:
            return self._local.scratch
        except AttributeError:
            slots = len(self._fields.slots)
            follow = np.zeros(slots + 2, np.int64)
            self._local.scratch = (Slots.of(slots), UnknownFields.empty(), np.zeros(slots, np.int64), follow)
            return self._local.scratch
