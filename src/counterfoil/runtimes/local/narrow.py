"""Columns of numbers in few bytes, at the speed of copying them.

A block of the log is mostly hashes, which nothing makes smaller, small numbers in wide words, and columns that are null
in half of the rows. So each column takes whichever of four ways is shortest, and no search for repeated bytes is made:
LZ4 over the same columns took a tenth less room and ten times as long.

A number is written relative to the smallest of its column, lowest byte first, in as many bytes as the largest needs:

======  ==============================================================================================================
PLAIN   every number; none where all are the same
STEPS   every number's distance to the one before it, relative to the smallest distance: positions, times
SPARSE  a bit for each row that says whether its number is not the commonest (0, or the smallest); then those numbers
TWO     a bit for each row that says whether its number is the largest; there are but two
======  ==============================================================================================================
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.words import load_word, store_word

PLAIN, STEPS, SPARSE, TWO = range(4)
PADDING = 8
"""Bytes behind what is written and read: numbers are stored and loaded as whole words."""

Numbers = npt.NDArray[Any]
"""Of int64, int32, int16 or uint8."""
Bytes = npt.NDArray[np.uint8]

_NARROWABLE = {"<i8", "<i4", "<i2", "|u1", "<f8", "|b1"}
_VIEWS = {"<f8": "<i8", "|b1": "|u1"}


class Narrowed(NamedTuple):
    """How a column was written."""

    kind: int
    base: int
    """What numbers are relative to: the smallest, or the smallest step."""
    common: int
    """The number that SPARSE leaves out, and the first one for STEPS, the largest for TWO."""
    width: int
    """Bytes of each number."""
    size: int
    """Bytes of the column."""


def narrowable(kind: str) -> bool:
    """Say whether columns of a type (as NumPy writes it) can be narrowed."""
    return kind in _NARROWABLE


def narrow(column: Numbers, out: Bytes, at: int) -> Narrowed:
    """Write a column to ``out`` from ``at`` on; that takes no more room than the column, and ``PADDING``."""
    numbers = np.ascontiguousarray(column).view(_VIEWS.get(column.dtype.str, column.dtype.str))
    kind, base, common, width = (int(each) for each in _measured(numbers)) if len(numbers) else (PLAIN, 0, 0, 0)
    size = int(_write(numbers, kind, base, common, width, out, at))
    return Narrowed(kind, base, common, width, size)


def widen(how: Narrowed, kind: str, count: int, data: Bytes, at: int) -> Numbers:
    """Return a column of ``count`` numbers that was written at a place of ``data``, which has ``PADDING`` behind it.

    Raises
    ------
    ValueError
        If that cannot be.
    """
    if not (
        0 <= how.width <= PADDING and count >= 0 and how.size >= 0 and 0 <= at <= at + how.size <= len(data) - PADDING
    ):
        raise ValueError("a column does not lie within its block")
    marks = (count + 7) // 8 if how.kind in (SPARSE, TWO) else 0
    wanted = {PLAIN: count, STEPS: max(count - 1, 0), TWO: 0}.get(how.kind, -1)
    if how.kind == SPARSE and how.size >= marks:
        wanted = int(np.unpackbits(data[at : at + marks], count=count, bitorder="little").sum())
    if how.kind == TWO and how.width:
        raise ValueError("a column of two numbers writes none")
    if not PLAIN <= how.kind <= TWO or how.size != marks + wanted * how.width:
        raise ValueError("a column has not the bytes that it needs")
    numbers = np.empty(count, _VIEWS.get(kind, kind))
    _read(data, at, how.kind, how.base, how.common, how.width, numbers)
    return numbers.view(kind)


@nb.njit(nogil=True, cache=True, forceinline=True)
def _bytes_of(span: np.uint64) -> int:
    """Return how many bytes a number takes."""
    width = 0
    while span:
        width += 1
        span >>= np.uint64(8)
    return width


@nb.njit(nogil=True, cache=True)
def _measured(numbers: Numbers) -> tuple[int, np.int64, np.int64, int]:
    """Return the shortest way: kind, base, common number and width."""
    size = len(numbers)
    low = high = np.int64(numbers[0])
    for row in range(size):
        number = np.int64(numbers[row])
        low = min(low, number)
        high = max(high, number)
    width = _bytes_of(np.uint64(high) - np.uint64(low))
    lows = highs = zeros = 0
    for row in range(size):
        number = np.int64(numbers[row])
        lows += number == low
        highs += number == high
        zeros += number == 0
    marks = (size + 7) // 8
    best, kind, common = size * width, PLAIN, np.int64(0)
    if width and lows + highs == size and marks < best:
        return TWO, low, high, 0
    commonest, count = (np.int64(0), zeros) if zeros > lows else (low, lows)
    if marks + (size - count) * width < best:
        best, kind, common = marks + (size - count) * width, SPARSE, commonest
    if size > 1 and width > 0 and np.uint64(high) - np.uint64(low) < np.uint64(1) << np.uint64(62):
        least = most = np.int64(numbers[1]) - np.int64(numbers[0])
        for row in range(1, size):
            step = np.int64(numbers[row]) - np.int64(numbers[row - 1])
            least = min(least, step)
            most = max(most, step)
        step_width = _bytes_of(np.uint64(most) - np.uint64(least))
        if (size - 1) * step_width < best:
            return STEPS, least, np.int64(numbers[0]), step_width
    return kind, low, common, width


@nb.njit(nogil=True, cache=True)
def _write(numbers: Numbers, kind: int, base: int, common: int, width: int, out: Bytes, start: int) -> int:
    """Write a column; return its bytes."""
    at = start
    size = len(numbers)
    if kind in (SPARSE, TWO):
        for first in range(0, size, 8):
            marks = np.int64(0)
            for bit in range(min(8, size - first)):
                marks |= (np.int64(numbers[first + bit] == common) ^ np.int64(kind == SPARSE)) << bit
            out[at] = marks
            at += 1
    if width == 0:
        return at - start
    if kind == PLAIN:
        for row in range(size):
            store_word(out, at, np.uint64(np.int64(numbers[row])) - np.uint64(base))
            at += width
    elif kind == SPARSE:
        for row in range(size):
            number = np.int64(numbers[row])
            store_word(out, at, np.uint64(number) - np.uint64(base))
            at += width * (number != common)
    else:
        for row in range(1, size):
            step = np.int64(numbers[row]) - np.int64(numbers[row - 1])
            store_word(out, at, np.uint64(step) - np.uint64(base))
            at += width
    return at - start


@nb.njit(nogil=True, cache=True)
def _read(data: Bytes, at: int, kind: int, base: int, common: int, width: int, numbers: Numbers) -> None:
    size = len(numbers)
    mask = np.uint64(0) if width == 0 else ~np.uint64(0) >> np.uint64(64 - 8 * width)
    marks = at
    if kind in (SPARSE, TWO):
        at += (size + 7) // 8
    number: np.int64 = np.int64(common)
    for row in range(size):
        if kind == TWO:
            number = np.int64(common) if (data[marks + row // 8] >> (row % 8)) & 1 else np.int64(base)
        elif kind == SPARSE:
            number = np.int64(common)
            if (data[marks + row // 8] >> (row % 8)) & 1:
                number = np.int64((load_word(data, at) & mask) + np.uint64(base))
                at += width
        elif kind == PLAIN:
            number = np.int64((load_word(data, at) & mask) + np.uint64(base))
            at += width
        elif row:
            number += np.int64((load_word(data, at) & mask) + np.uint64(base))
            at += width
        numbers[row] = number
