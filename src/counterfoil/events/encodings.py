"""Values as binary formats and change-data capture write them, turned into the text that ``write_row`` reads.

Avro and Debezium write amounts as two's complement bytes and times as counts of days or nanoseconds. A decoder notes
such a value in its slot with one of the codes below; once the record's kind is known, ``render`` writes the value as
text to room behind the records, as what the field wants to be. From there on the way of a line of JSON is taken: the
same checks, the same reasons. Writing a number and reading it again costs about 20 ns; a second set of rules for what
an amount may be would cost more.
"""

from __future__ import annotations

import base64
import math
from enum import IntEnum
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.kinds import MONEY_LIMIT, TIME_MAX, TIME_MIN, FieldType, Schema
from counterfoil.events.mapping import FIELD_TYPES, TYPE_FLOAT, USE_COLUMN, USE_SLOT, USE_TYPE, FieldMap
from counterfoil.events.rows import ARRAY, FALSE, NULL, NUMBER, STRING, TRUE, Rows, Slots

# What stands in a slot beside the codes of ``rows``: values that have no text yet. A word is kept in ``Natives.word``.
(
    NATIVE_INTEGER,
    NATIVE_DOUBLE,
    NATIVE_FLOAT,
    NATIVE_DECIMAL,
    NATIVE_DAYS,
    NATIVE_MILLIS,
    NATIVE_MICROS,
    NATIVE_NANOS,
    NATIVE_LOCAL_MILLIS,
    NATIVE_LOCAL_MICROS,
    NATIVE_LOCAL_NANOS,
    NATIVE_UUID,
) = range(20, 32)


class Encoding(IntEnum):
    """How a source writes a value: what a schema's logical or semantic type says."""

    PLAIN = 0
    """As its plain type; an epoch number counts the field's own unit."""
    DECIMAL = NATIVE_DECIMAL
    """An unscaled integer in two's complement, highest byte first; in JSON as base64."""
    DAYS = NATIVE_DAYS
    MILLIS = NATIVE_MILLIS
    MICROS = NATIVE_MICROS
    NANOS = NATIVE_NANOS
    LOCAL_MILLIS = NATIVE_LOCAL_MILLIS
    LOCAL_MICROS = NATIVE_LOCAL_MICROS
    LOCAL_NANOS = NATIVE_LOCAL_NANOS
    UUID = NATIVE_UUID
    """Sixteen bytes."""
    VARIABLE_DECIMAL = 40
    """An object of a scale and an unscaled integer."""
    ISO_DATE = 41
    """A day as text: ``2026-03-01``, perhaps with a zone's ``Z``."""


DECIMAL_BYTES_MAX = 64
"""Longest unscaled integer: 154 digits, where Oracle's and PostgreSQL's widest columns in use have 38."""
DECIMAL_SCALE_MAX = 127
RENDERED_MAX = 320
"""Room for one rendered text: a sign, 154 digits, as many zeros as the scale asks for, and a point."""

WANT_NOTHING, WANT_TEXT, WANT_BOOL, WANT_INTEGER, WANT_MONEY, WANT_FLOAT, WANT_TIME = range(7)

_WANTS = {
    FieldType.ID: WANT_TEXT,
    FieldType.CATEGORY: WANT_TEXT,
    FieldType.CARD: WANT_TEXT,
    FieldType.BOOL: WANT_BOOL,
    FieldType.INTEGER: WANT_INTEGER,
    FieldType.MONEY: WANT_MONEY,
    FieldType.FLOAT: WANT_FLOAT,
    FieldType.TIME: WANT_TIME,
}
_MONEY_TOLERANCE = 1e-6
"""As for the floats of a table: see ``table_columns.MONEY_TOLERANCE``."""
_EPSILON = float(np.finfo(np.float64).eps)
_EPSILON_SINGLE = float(np.finfo(np.float32).eps)
_TENS = np.array([10.0**power for power in range(40)], np.float64)
_DAY = 86_400_000_000
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_LIMB = np.uint64(1_000_000_000)
_SEXTETS = np.full(256, 255, np.uint8)
for _value, _letter in enumerate(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):
    _SEXTETS[_letter] = _value


class Natives(NamedTuple):
    """What is known of the native values of the present record, beside what ``Slots`` holds."""

    word: Words
    """(slots,): an integer, or the bits of a double."""
    scale: Words
    """(slots,): a decimal's scale."""
    patched: Bytes
    """(slots,): 1 where the slot holds a double whose bits are stored as they are."""

    @classmethod
    def of(cls, slots: int) -> Natives:
        """Return room for some slots."""
        return cls(np.zeros(slots, np.int64), np.zeros(slots, np.int64), np.zeros(slots, np.uint8))


class Wants(NamedTuple):
    """What each slot is to become, by the kind of the record."""

    want: Bytes
    """(kinds, slots): the ``WANT_`` codes."""
    scale: Words
    """(kinds, slots): digits of an amount's minor unit, or the power of ten that makes a time's unit microseconds."""

    @classmethod
    def of(cls, fields: FieldMap) -> Wants:
        """Return what the kinds of a source want; where one slot serves several fields, the pickiest of them counts."""
        schema, tables = fields.schema, fields.tables
        want = np.zeros((len(schema.kinds), len(fields.slots)), np.uint8)
        scale = np.zeros(want.shape, np.int64)
        for kind, (first, end, id_slot, time_slot, time_scale) in enumerate(tables.kinds.tolist()):
            found = [(id_slot, WANT_TEXT, 0), (time_slot, WANT_TIME, time_scale)]
            found += [
                (slot, _WANTS[FIELD_TYPES[field_type]], digits)
                for slot, _, field_type, digits, *_ in tables.uses[first:end].tolist()
            ]
            for slot, code, digits in found:
                if slot >= 0 and code > want[kind, slot]:
                    want[kind, slot], scale[kind, slot] = code, digits
        return cls(want, scale)


def rendered_texts(schema: Schema) -> int:
    """Return how many texts of one event may have to be rendered before they are copied."""
    return 1 + len(schema.text_columns)


@nb.njit(nogil=True, cache=True, _nrt=False)
def put_integer(target: Bytes, at: int, value: int) -> int:
    """Write an integer in decimal and return the place behind it."""
    rest = np.uint64(value)
    if value < 0:
        target[at] = 45
        at += 1
        rest = ~rest + np.uint64(1)
    digits = 1
    bound = np.uint64(10)
    while digits < 20 and rest >= bound:
        digits += 1
        bound = bound * np.uint64(10) if digits < 20 else bound
    for place in range(at + digits - 1, at - 1, -1):
        target[place] = 48 + rest % np.uint64(10)
        rest //= np.uint64(10)
    return at + digits


@nb.njit(nogil=True, cache=True, _nrt=False)
def _put_point(target: Bytes, first: int, end: int, scale: int) -> int:
    """Put a point into the digits from ``first`` on, or zeros behind them; return the place behind."""
    if scale <= 0:
        if end - first == 1 and target[first] == 48:
            return end
        for _ in range(-scale):
            target[end] = 48
            end += 1
        return end
    digits = end - first
    missing = max(scale + 1 - digits, 0)
    # From the last digit on, so that nothing is overwritten before it has moved.
    for offset in range(digits - 1, -1, -1):
        place = first + missing + offset
        target[place + 1 if missing + offset >= missing + digits - scale else place] = target[first + offset]
    for place in range(first, first + missing):
        target[place if place - first < missing + digits - scale else place + 1] = 48
    target[first + missing + digits - scale] = 46
    return end + missing + 1


@nb.njit(nogil=True, cache=True, _nrt=False)
def put_scaled(target: Bytes, at: int, value: int, scale: int) -> int:
    """Write an integer divided by ten to the ``scale`` in decimal, exactly, and return the place behind it."""
    end = put_integer(target, at, value)
    return _put_point(target, at + 1 if value < 0 else at, end, scale)


@nb.njit(nogil=True, cache=True, _nrt=False)
def put_decimal(
    target: Bytes, at: int, data: Bytes, start: int, length: int, scale: int, limbs: npt.NDArray[np.uint64]
) -> int:
    """Write two's complement bytes, highest first, divided by ten to the ``scale``; return the place behind.

    No more than ``DECIMAL_BYTES_MAX`` bytes; ``limbs`` is room for the long ones: see ``float_limbs``.
    """
    if length <= 8:
        word = np.int64(0)
        if length and data[start] >= 128:
            word = np.int64(-1)
        for place in range(start, start + length):
            word = (word << 8) | np.int64(data[place])
        if word != -(2**63):
            return put_scaled(target, at, word, scale)
    negative = data[start] >= 128
    first = at + 1 if negative else at
    if negative:
        target[at] = 45
    # The magnitude in limbs of 32 bits, lowest first.
    numbers = limbs[0]
    size = (length + 3) // 4
    carry = np.uint64(1) if negative else np.uint64(0)
    for limb in range(size):
        word = np.uint64(0)
        for byte in range(4):
            place = start + length - 1 - 4 * limb - byte
            value = np.uint64(data[place]) if place >= start else np.uint64(255 if negative else 0)
            word |= value << np.uint64(8 * byte)
        if negative:
            word = (word ^ np.uint64(0xFFFFFFFF)) + carry
            carry = word >> np.uint64(32)
            word &= np.uint64(0xFFFFFFFF)
        numbers[limb] = word
    # Nine digits at a time, lowest first, then the other way round.
    end = first
    while size:
        rest = np.uint64(0)
        for limb in range(size - 1, -1, -1):
            rest = (rest << np.uint64(32)) | numbers[limb]
            numbers[limb] = rest // _LIMB
            rest %= _LIMB
        while size and numbers[size - 1] == 0:
            size -= 1
        for digit in range(9):
            if size == 0 and rest == 0 and digit and end > first:
                break
            target[end] = 48 + rest % np.uint64(10)
            rest //= np.uint64(10)
            end += 1
    while end > first + 1 and target[end - 1] == 48:
        end -= 1
    low, high = first, end - 1
    while low < high:
        byte = target[low]
        target[low] = target[high]
        target[high] = byte
        low += 1
        high -= 1
    return _put_point(target, first, end, scale)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _put_digits(target: Bytes, at: int, value: int, count: int) -> int:
    for place in range(at + count - 1, at - 1, -1):
        target[place] = 48 + value % 10
        value //= 10
    return at + count


@nb.njit(nogil=True, cache=True, _nrt=False)
def put_instant(target: Bytes, at: int, micros: int, zone: bool) -> int:
    """Write an instant as RFC 3339, without the ``Z`` unless ``zone``; return the place behind.

    It lies between the years 1 and 9999.

    References
    ----------
    Howard Hinnant: chrono-compatible low-level date algorithms (``civil_from_days``).
    """
    days = micros // _DAY
    rest = micros - days * _DAY
    days += 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    at = _put_digits(target, at, year, 4)
    target[at] = 45
    at = _put_digits(target, at + 1, month, 2)
    target[at] = 45
    at = _put_digits(target, at + 1, day, 2)
    target[at] = 84
    seconds = rest // 1_000_000
    at = _put_digits(target, at + 1, seconds // 3_600, 2)
    target[at] = 58
    at = _put_digits(target, at + 1, seconds // 60 % 60, 2)
    target[at] = 58
    at = _put_digits(target, at + 1, seconds % 60, 2)
    target[at] = 46
    at = _put_digits(target, at + 1, rest % 1_000_000, 6)
    if zone:
        target[at] = 90
        at += 1
    return at


@nb.njit(nogil=True, cache=True, _nrt=False)
def decode_base64(data: Bytes, start: int, end: int, target: Bytes, at: int) -> int:
    """Write the bytes that base64 stands for and return the place behind them; -1 where it is none."""
    while end > start and data[end - 1] == 61:
        end -= 1
    if (end - start) % 4 == 1:
        return -1
    bits = np.uint32(0)
    held = 0
    for place in range(start, end):
        sextet = _SEXTETS[data[place]]
        if sextet == 255:
            return -1
        bits = (bits << np.uint32(6)) | np.uint32(sextet)
        held += 6
        if held >= 8:
            held -= 8
            target[at] = (bits >> np.uint32(held)) & np.uint32(255)
            at += 1
    return at


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _put_beyond(target: Bytes, at: int, negative: bool) -> int:
    """Write a number that is out of everybody's range and return the place behind it."""
    if negative:
        target[at] = 45
        at += 1
    target[at] = 49
    target[at + 1] = 101
    target[at + 2] = 57
    target[at + 3] = 57
    target[at + 4] = 57
    return at + 5


@nb.njit(nogil=True, cache=True, _nrt=False)
def _put_double(
    data: Bytes, natives: Natives, slot: int, want: int, scale: int, at: int, epsilon: float
) -> tuple[int, int]:
    """Write a double as what is wanted; return the place behind it and what stands there."""
    number = natives.word[slot : slot + 1].view(np.float64)[0]
    if math.isnan(number):
        return at, NULL
    if want == WANT_FLOAT:
        if math.isinf(number):
            return _put_beyond(data, at, number < 0), NUMBER
        # The bits themselves are stored behind ``write_row``: see ``patch_doubles``.
        natives.patched[slot] = 1
        data[at] = 48
        return at + 1, NUMBER
    if math.isinf(number):
        return _put_beyond(data, at, number < 0), NUMBER
    if want == WANT_TIME:
        micros = np.rint(number * 10.0**scale)
        if not TIME_MIN <= micros <= TIME_MAX:
            return _put_beyond(data, at, number < 0), NUMBER
        return put_instant(data, at, np.int64(micros), True), STRING
    if want == WANT_MONEY:
        scaled = number * _TENS[scale]
        whole = np.rint(scaled)
        if abs(whole) > MONEY_LIMIT:
            return _put_beyond(data, at, number < 0), NUMBER
        if abs(scaled - whole) <= max(_MONEY_TOLERANCE, abs(scaled) * (2 * epsilon)):
            return put_scaled(data, at, np.int64(whole), scale), NUMBER
        more = 6 if abs(scaled) < 9e12 else 3
        return put_scaled(data, at, np.int64(np.rint(scaled * _TENS[more])), scale + more), NUMBER
    if number == np.rint(number):
        if abs(number) < 2.0**63:
            return put_integer(data, at, np.int64(number)), NUMBER
        return _put_beyond(data, at, number < 0), NUMBER
    # A fraction where none may be: shown to people, and no number that could be taken for one.
    if abs(number) < 1e12:
        at = put_scaled(data, at, np.int64(np.rint(number * 1e6)), 6)
    else:
        at = put_integer(data, at, np.int64(number))
    data[at] = 126
    return at + 1, STRING if want != WANT_TEXT else ARRAY


@nb.njit(nogil=True, cache=True, _nrt=False)
def _instant_of(code: int, word: int) -> tuple[bool, int]:
    """Return whether an epoch number lies between the years 1 and 9999, and its microseconds."""
    if code == NATIVE_NANOS or code == NATIVE_LOCAL_NANOS:
        return True, word // 1_000
    factor = 1
    if code == NATIVE_MILLIS or code == NATIVE_LOCAL_MILLIS:
        factor = 1_000
    elif code == NATIVE_DAYS:
        factor = _DAY
    if word < TIME_MIN // factor or word > TIME_MAX // factor:
        return False, 0
    return True, word * factor


@nb.njit(nogil=True, cache=True, _nrt=False)
def render(data: Bytes, slots: Slots, natives: Natives, slot: int, want: int, scale: int, at: int) -> int:
    """Give the native value of a slot its text at ``at``, as what is wanted; return the place behind it."""
    code = np.int64(slots.value[slot])
    word = natives.word[slot]
    start = at
    value = NUMBER
    if code == NATIVE_INTEGER:
        if want == WANT_BOOL and 0 <= word <= 1:
            # Databases without truth values keep them as 0 and 1.
            value = TRUE if word else FALSE
        at = put_integer(data, at, word)
    elif code == NATIVE_DOUBLE or code == NATIVE_FLOAT:
        epsilon = _EPSILON if code == NATIVE_DOUBLE else _EPSILON_SINGLE
        at, value = _put_double(data, natives, slot, want, scale, at, epsilon)
    elif code == NATIVE_DECIMAL:
        first, length = slots.start[slot], slots.end[slot] - slots.start[slot]
        if length == 0 or length > DECIMAL_BYTES_MAX or abs(natives.scale[slot]) > DECIMAL_SCALE_MAX:
            at = _put_beyond(data, at, length > 0 and data[first] >= 128)
        else:
            at = put_decimal(data, at, data, first, length, natives.scale[slot], slots.limbs)
    elif code == NATIVE_UUID:
        value = STRING
        for byte in range(16):
            if byte == 4 or byte == 6 or byte == 8 or byte == 10:
                data[at] = 45
                at += 1
            data[at] = _HEX[data[slots.start[slot] + byte] >> 4]
            data[at + 1] = _HEX[data[slots.start[slot] + byte] & 15]
            at += 2
    elif want == WANT_TIME:
        inside, micros = _instant_of(code, word)
        local = code == NATIVE_LOCAL_MILLIS or code == NATIVE_LOCAL_MICROS or code == NATIVE_LOCAL_NANOS
        if inside and TIME_MIN <= micros <= TIME_MAX:
            value = STRING
            at = put_instant(data, at, micros, not local)
        else:
            at = _put_beyond(data, at, word < 0)
    else:
        at = put_integer(data, at, word)
    slots.value[slot] = value
    slots.start[slot] = start
    slots.end[slot] = at
    return at


@nb.njit(nogil=True, cache=True, _nrt=False)
def render_all(data: Bytes, slots: Slots, natives: Natives, wants: Wants, kind: int, at: int) -> int:
    """Render every native value that the kind of the present record wants; return the place behind the last one."""
    for slot in range(wants.want.shape[1]):
        if slots.stamp[slot] == slots.stamp[-1] and slots.value[slot] >= NATIVE_INTEGER:
            natives.patched[slot] = 0
            want = np.int64(wants.want[kind, slot])
            at = render(data, slots, natives, slot, want, wants.scale[kind, slot], at)
        else:
            natives.patched[slot] = 0
    return at


def decimal_base64(unscaled: int) -> str:
    """Return an unscaled integer as Kafka Connect's JSON writes a decimal.

    Examples
    --------
    >>> decimal_base64(1250)
    'BOI='
    """
    return base64.b64encode(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)).decode()


@nb.njit(nogil=True, cache=True, _nrt=False)
def patch_doubles(rows: Rows, natives: Natives, uses: npt.NDArray[np.int64], first: int, end: int, row: int) -> None:
    """Store the bits of doubles in the columns of a row that was written with zeros in their place."""
    for use in range(first, end):
        if natives.patched[uses[use, USE_SLOT]] and uses[use, USE_TYPE] == TYPE_FLOAT:
            rows.values[uses[use, USE_COLUMN], row] = natives.word[uses[use, USE_SLOT]]
