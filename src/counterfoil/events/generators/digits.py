"""Numbers, times and words as text, eight characters at a time: what all writers of this package share.

Every function stores whole words of eight bytes, so up to 15 bytes behind what it writes are overwritten: buffers are
filled from front to back and have ``PADDING`` bytes behind their end. Each returns the place behind its text.

References
----------
Paul Khuong: How to print integers really fast (with open source AppNexus code), 2017: eight digits at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes
from counterfoil.events.words import PADDING, copy_bytes, store_word

_ZEROS = np.uint64(0x3030303030303030)
_DASH, _COLON, _POINT, _MINUS = 45, 58, 46, 45
_T, _Z = 84, 90


class Vocabulary(NamedTuple):
    """Words as bytes, to be copied by number."""

    heap: Bytes
    start: npt.NDArray[np.int64]
    """(words + 1,)"""


def vocabulary(words: Sequence[str]) -> Vocabulary:
    """Return words as bytes."""
    encoded = [word.encode() for word in words]
    start = np.cumsum([0] + [len(word) for word in encoded]).astype(np.int64)
    return Vocabulary(np.frombuffer(b"".join(encoded) + bytes(PADDING), np.uint8), start)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_word(out: Bytes, at: int, words: Vocabulary, word: int) -> int:
    """Copy a word."""
    start = words.start[word]
    length = words.start[word + 1] - start
    copy_bytes(words.heap, start, length, out, at)
    return at + length


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def eight_digits(number: int) -> np.uint64:
    """Return a number below 10^8 as eight digits, the first in the lowest byte."""
    high = np.uint64(number) // np.uint64(10_000)
    halves = high | ((np.uint64(number) - high * np.uint64(10_000)) << np.uint64(32))
    hundreds = ((halves * np.uint64(10_486)) >> np.uint64(20)) & np.uint64(0x0000007F0000007F)
    pairs = ((halves - np.uint64(100) * hundreds) << np.uint64(16)) + hundreds
    tens = ((pairs * np.uint64(103)) >> np.uint64(10)) & np.uint64(0x000F000F000F000F)
    return tens + ((pairs - np.uint64(10) * tens) << np.uint64(8)) + _ZEROS


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_padded(out: Bytes, at: int, number: int, width: int) -> int:
    """Write a number below ``10 ** width`` with ``width`` digits, 1 to 8, zeros in front."""
    store_word(out, at, eight_digits(number) >> np.uint64(64 - 8 * width))
    return at + width


@nb.njit(nogil=True, cache=True, _nrt=False)
def write_integer(out: Bytes, at: int, number: int) -> int:
    """Write a whole number above -10^16 and below 10^16 with as many digits as it has."""
    if number < 0:
        out[at] = _MINUS
        at += 1
        number = -number
    if number >= 100_000_000:
        high = number // 100_000_000
        at = write_integer_below(out, at, high)
        return write_padded(out, at, number - high * 100_000_000, 8)
    return write_integer_below(out, at, number)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_integer_below(out: Bytes, at: int, number: int) -> int:
    """Write a whole number from 0 below 10^8 with as many digits as it has."""
    width = 1
    bound = 10
    while number >= bound and width < 8:
        bound *= 10
        width += 1
    return write_padded(out, at, number, width)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_fixed(out: Bytes, at: int, number: int, scale: int, digits: int) -> int:
    """Write ``number / scale`` as a decimal; ``scale`` is ten to the power of ``digits``, 1 to 8."""
    if number < 0:
        out[at] = _MINUS
        at += 1
        number = -number
    whole = number // scale
    at = write_integer(out, at, whole)
    out[at] = _POINT
    return write_padded(out, at + 1, number - whole * scale, digits)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def eight_nibbles(word: np.uint64) -> np.uint64:
    """Return the lower 32 bits of a word as eight hexadecimal digits, the lowest first."""
    spread = word & np.uint64(0xFFFFFFFF)
    spread = (spread | (spread << np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    spread = (spread | (spread << np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    spread = (spread | (spread << np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    letters = ((spread + np.uint64(0x0606060606060606)) >> np.uint64(4)) & np.uint64(0x0101010101010101)
    return spread + _ZEROS + letters * np.uint64(39)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_hexadecimal(out: Bytes, at: int, word: np.uint64) -> int:
    """Write 64 bits as 16 hexadecimal digits, the lowest first."""
    store_word(out, at, eight_nibbles(word))
    store_word(out, at + 8, eight_nibbles(word >> np.uint64(32)))
    return at + 16


@nb.njit(nogil=True, cache=True, _nrt=False)
def civil(day: int) -> tuple[int, int, int]:
    """Return year, month and day of the month of a day since 1970.

    References
    ----------
    Howard Hinnant: chrono-compatible low-level date algorithms, ``civil_from_days``.
    """
    day += 719_468
    era = day // 146_097
    rest = day - era * 146_097
    year = (rest - rest // 1460 + rest // 36_524 - rest // 146_096) // 365
    rest -= 365 * year + year // 4 - year // 100
    part = (5 * rest + 2) // 153
    month = part + 3 if part < 10 else part - 9
    return year + era * 400 + (1 if month <= 2 else 0), month, rest - (153 * part + 2) // 5 + 1


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_date(out: Bytes, at: int, day: int) -> int:
    """Write a day since 1970 as ``2026-01-05``."""
    year, month, day_of_month = civil(day)
    at = write_padded(out, at, year, 4)
    out[at] = _DASH
    at = write_padded(out, at + 1, month, 2)
    out[at] = _DASH
    return write_padded(out, at + 1, day_of_month, 2)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_clock(out: Bytes, at: int, second: int) -> int:
    """Write a second of the day as ``13:04:59``."""
    minute = second // 60
    hour = minute // 60
    at = write_padded(out, at, hour, 2)
    out[at] = _COLON
    at = write_padded(out, at + 1, minute - hour * 60, 2)
    out[at] = _COLON
    return write_padded(out, at + 1, second - minute * 60, 2)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_time(out: Bytes, at: int, time: int) -> int:
    """Write a time in milliseconds since 1970 as ``2026-01-05T13:04:59.250Z``."""
    day = time // 86_400_000
    rest = time - day * 86_400_000
    at = write_date(out, at, day)
    out[at] = _T
    second = rest // 1000
    at = write_clock(out, at + 1, second)
    out[at] = _POINT
    at = write_padded(out, at + 1, rest - second * 1000, 3)
    out[at] = _Z
    return at + 1
