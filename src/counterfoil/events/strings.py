"""The strings of JSON: finding their end, checking their UTF-8 and their escapes, and taking the escapes out."""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes
from counterfoil.events.words import load_word, string_marks, trailing_zeros

QUOTE = 34
BACKSLASH = 92

STRING_PLAIN = 0
STRING_ESCAPED = 1
STRING_BAD_UTF8 = -1
STRING_BAD_ESCAPE = -2
STRING_CONTROL = -3
STRING_OPEN = -4


@nb.njit(nogil=True, cache=True, _nrt=False)
def utf8_length(data: Bytes, at: int) -> int:
    """Return how many bytes the character beyond ASCII at ``at`` has; 0 where it is no UTF-8 (RFC 3629)."""
    first = data[at]
    # The bounds of the second byte keep out overlong forms, surrogates and everything beyond U+10FFFF.
    low, high = 0x80, 0xBF
    if 0xC2 <= first <= 0xDF:
        more = 1
    elif 0xE0 <= first <= 0xEF:
        more = 2
        if first == 0xE0:
            low = 0xA0
        elif first == 0xED:
            high = 0x9F
    elif 0xF0 <= first <= 0xF4:
        more = 3
        if first == 0xF0:
            low = 0x90
        elif first == 0xF4:
            high = 0x8F
    else:
        return 0
    if not low <= data[at + 1] <= high:
        return 0
    for offset in range(2, more + 1):
        if not 0x80 <= data[at + offset] <= 0xBF:
            return 0
    return more + 1


@nb.njit(nogil=True, cache=True, _nrt=False)
def hex_value(data: Bytes, at: int) -> int:
    """Return the value of four hexadecimal digits; -1 where one is none."""
    value = 0
    for offset in range(4):
        byte = np.int64(data[at + offset])
        if 48 <= byte <= 57:
            value = value * 16 + byte - 48
        elif 65 <= byte <= 70:
            value = value * 16 + byte - 55
        elif 97 <= byte <= 102:
            value = value * 16 + byte - 87
        else:
            return -1
    return value


@nb.njit(nogil=True, cache=True, _nrt=False)
def escape_length(data: Bytes, at: int) -> int:
    """Return how many bytes the escape at ``at`` has; 0 where it is none. Half a surrogate pair is none."""
    byte = data[at + 1]
    if byte != 117:
        plain = byte == 34 or byte == 92 or byte == 47 or byte == 98 or byte == 102 or byte == 110 or byte == 114
        return 2 if plain or byte == 116 else 0
    value = hex_value(data, at + 2)
    if value < 0 or 0xDC00 <= value <= 0xDFFF:
        return 0
    if value < 0xD800 or value > 0xDFFF:
        return 6
    if data[at + 6] != BACKSLASH or data[at + 7] != 117:
        return 0
    second = hex_value(data, at + 8)
    return 12 if 0xDC00 <= second <= 0xDFFF else 0


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def scan_string(data: Bytes, at: int) -> tuple[int, int]:
    """Return the place of the closing quote of the string whose content begins at ``at``, and what it holds.

    The second value is ``STRING_PLAIN``, ``STRING_ESCAPED`` or, with the place of the fault, one of the negative
    ``STRING_`` codes. The buffer is padded with newlines, which no string may hold.
    """
    result = STRING_PLAIN
    while True:
        marks = string_marks(load_word(data, at))
        if marks == 0:
            at += 8
            continue
        at += trailing_zeros(marks) >> 3
        byte = data[at]
        if byte == QUOTE:
            return at, result
        if byte == BACKSLASH:
            length = escape_length(data, at)
            if length == 0:
                # A line that ends within the escape is cut off rather than wrong.
                return at, STRING_BAD_ESCAPE
            result = STRING_ESCAPED
        elif byte < 32:
            return at, STRING_OPEN if byte == 10 else STRING_CONTROL
        else:
            length = utf8_length(data, at)
            if length == 0:
                return at, STRING_BAD_UTF8
        at += length


@nb.njit(nogil=True, cache=True, _nrt=False)
def find_bad_utf8(data: Bytes, start: int, end: int) -> int:
    """Return the place of the first character of a slice that is no UTF-8; ``end`` where all are."""
    at = start
    while at < end:
        if data[at] < 0x80:
            at += 1
            continue
        length = utf8_length(data, at)
        if length == 0 or at + length > end:
            return at
        at += length
    return end


@nb.njit(nogil=True, cache=True, _nrt=False)
def valid_utf8(data: Bytes, start: int, end: int) -> bool:
    """Return whether a slice is UTF-8; what stands behind it must not be a continuation byte's place to look at."""
    return find_bad_utf8(data, start, end) == end


@nb.njit(nogil=True, cache=True, _nrt=False)
def put_character(target: Bytes, at: int, value: int) -> int:
    """Write one character as UTF-8 and return the place behind it."""
    if value < 0x80:
        target[at] = value
        return at + 1
    if value < 0x800:
        target[at] = 0xC0 | (value >> 6)
        target[at + 1] = 0x80 | (value & 0x3F)
        return at + 2
    if value < 0x10000:
        target[at] = 0xE0 | (value >> 12)
        target[at + 1] = 0x80 | ((value >> 6) & 0x3F)
        target[at + 2] = 0x80 | (value & 0x3F)
        return at + 3
    target[at] = 0xF0 | (value >> 18)
    target[at + 1] = 0x80 | ((value >> 12) & 0x3F)
    target[at + 2] = 0x80 | ((value >> 6) & 0x3F)
    target[at + 3] = 0x80 | (value & 0x3F)
    return at + 4


@nb.njit(nogil=True, cache=True, _nrt=False)
def unescape(data: Bytes, start: int, end: int, target: Bytes, at: int) -> int:
    """Write a checked string without its escapes and return the place behind it. It never grows."""
    while start < end:
        byte = np.int64(data[start])
        if byte != BACKSLASH:
            target[at] = byte
            at += 1
            start += 1
            continue
        byte = np.int64(data[start + 1])
        if byte != 117:
            if byte == 98:
                byte = 8
            elif byte == 102:
                byte = 12
            elif byte == 110:
                byte = 10
            elif byte == 114:
                byte = 13
            elif byte == 116:
                byte = 9
            target[at] = byte
            at += 1
            start += 2
            continue
        value = hex_value(data, start + 2)
        start += 6
        if 0xD800 <= value <= 0xDBFF:
            value = 0x10000 + ((value - 0xD800) << 10) + hex_value(data, start + 2) - 0xDC00
            start += 6
        at = put_character(target, at, value)
    return at
