"""What stands where in JSON: scanning kernels that build nothing and check everything (RFC 8259)."""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.mapping import LIMIT_DEPTH, FieldTables
from counterfoil.events.results import Expected
from counterfoil.events.rows import (
    ARRAY,
    ESCAPED_STRING,
    FALSE,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    TRUE,
    Slots,
    reason_number,
)
from counterfoil.events.strings import STRING_BAD_ESCAPE, STRING_BAD_UTF8, STRING_ESCAPED, scan_string, unescape
from counterfoil.events.unknown_fields import UnknownFields, find_unknown, note_unknown
from counterfoil.events.words import equal_bytes, first_bytes, load_word, name_hash


def _failure(reason: ReasonCode, expected: Expected) -> int:
    """Return what a scanner says when it gives up: negative, the reason and a hundred times what was expected."""
    return -(reason_number(reason) + 100 * expected)


NO_NAME = _failure(ReasonCode.INVALID_JSON, Expected.NAME)
NO_COLON = _failure(ReasonCode.INVALID_JSON, Expected.COLON)
NO_MORE = _failure(ReasonCode.INVALID_JSON, Expected.MORE)
_NO_VALUE = _failure(ReasonCode.INVALID_JSON, Expected.VALUE)
NO_END = _failure(ReasonCode.INVALID_JSON, Expected.END)
_NO_ESCAPE = _failure(ReasonCode.INVALID_JSON, Expected.ESCAPE)
_NO_CHARACTER = _failure(ReasonCode.INVALID_JSON, Expected.CHARACTER)
_NO_UTF8 = _failure(ReasonCode.INVALID_UTF8, Expected.NOTHING)
NO_OBJECT = _failure(ReasonCode.NOT_AN_OBJECT, Expected.NOTHING)
_DEEP = _failure(ReasonCode.TOO_DEEP, Expected.NOTHING)
TWICE = _failure(ReasonCode.DUPLICATE_KEY, Expected.NOTHING)

_KNOWN_UNKNOWN = -2

_TRUE_WORD = np.uint64(0x65757274)
_FALSE_WORD = np.uint64(0x65736C6166)
_NULL_WORD = np.uint64(0x6C6C756E)

_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE, _OPEN_ARRAY, _CLOSE_ARRAY = 34, 44, 58, 123, 125, 91, 93
_MINUS, _PLUS, _POINT, _ZERO, _NEWLINE, _RETURN = 45, 43, 46, 48, 10, 13


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def skip_spaces(data: Bytes, at: int) -> int:
    """Return the place of the next byte that is no space within a line."""
    while data[at] == 32 or data[at] == 9 or data[at] == _RETURN:
        at += 1
    return at


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def string_failure(status: int) -> int:
    """Return the failure that a fault of a string is."""
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
def scan_scalar(data: Bytes, at: int) -> tuple[int, int]:
    """Return the place behind a value that is no object or array, and what it is or a failure."""
    byte = data[at]
    if byte == _QUOTE:
        end, status = scan_string(data, at + 1)
        if status < 0:
            return end, string_failure(status)
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
def scan_member_name(data: Bytes, at: int) -> tuple[int, int]:
    """Return the place of the value behind a name and its colon, and 0 or a failure."""
    if data[at] != _QUOTE:
        return at, NO_NAME
    at, status = scan_string(data, at + 1)
    if status < 0:
        return at, string_failure(status)
    at = skip_spaces(data, at + 1)
    if data[at] != _COLON:
        return at, NO_COLON
    return skip_spaces(data, at + 1), 0


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
            at = skip_spaces(data, at + 1)
        else:
            at, outcome = scan_scalar(data, at)
            if outcome < 0:
                return at, outcome
            at = skip_spaces(data, at)
        while not first or data[at] == (_CLOSE if objects & np.uint64(1) else _CLOSE_ARRAY):
            if not first and data[at] == _COMMA:
                at = skip_spaces(data, at + 1)
                break
            if data[at] != (_CLOSE if objects & np.uint64(1) else _CLOSE_ARRAY):
                return at, NO_MORE
            first = False
            objects >>= np.uint64(1)
            depth -= 1
            at += 1
            if depth == 0:
                return at, result
            at = skip_spaces(data, at)
        if objects & np.uint64(1):
            at, outcome = scan_member_name(data, at)
            if outcome < 0:
                return at, outcome


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def scan_value(data: Bytes, at: int, levels: int) -> tuple[int, int]:
    """Return the place behind a value, and what it is or a failure."""
    if data[at] == _OPEN or data[at] == _OPEN_ARRAY:
        return _scan_nested(data, at, levels)
    return scan_scalar(data, at)


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
def scan_object(
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
        at, outcome = scan_value(data, at, levels)
        return at, outcome if outcome < 0 else NO_OBJECT, -1
    stamp = slots.stamp[-1]
    at = skip_spaces(data, at + 1)
    if data[at] == _CLOSE:
        return at + 1, 0, -1
    previous = len(slots.start)
    while True:
        if data[at] != _QUOTE:
            return at, NO_NAME, -1
        at += 1
        slot = follow[previous]
        length = tables.name_length[slot]
        if tables.name_plain[slot] and equal_bytes(data, at, tables.names, tables.name_start[slot], length + 1):
            at += length + 1
        else:
            end, status = scan_string(data, at)
            if status < 0:
                return end, string_failure(status), -1
            if status == STRING_ESCAPED:
                slot = _slot_of_name(scratch, 0, unescape(data, at, end, scratch, 0), tables, unknown, stamp)
            else:
                slot = _slot_of_name(data, at, end, tables, unknown, stamp)
            if slot >= 0:
                follow[previous] = slot
            elif slot == _KNOWN_UNKNOWN:
                return at, TWICE, -1
            at = end + 1
        at = skip_spaces(data, at)
        if data[at] != _COLON:
            return at, NO_COLON, slot
        at = skip_spaces(data, at + 1)
        start = at
        at, value = scan_value(data, at, levels - 1)
        if value < 0:
            return at, value, slot
        previous = len(slots.start) + 1
        if slot >= 0:
            if slots.stamp[slot] == stamp:
                return start, TWICE, slot
            quoted = value == STRING or value == ESCAPED_STRING
            slots.stamp[slot] = stamp
            slots.value[slot] = value
            slots.start[slot] = start + 1 if quoted else start
            slots.end[slot] = at - 1 if quoted else at
            previous = slot
        at = skip_spaces(data, at)
        if data[at] == _CLOSE:
            return at + 1, 0, -1
        if data[at] != _COMMA:
            return at, NO_MORE, -1
        at = skip_spaces(data, at + 1)
