"""Arithmetic wider than a word, so that running sums are exact whatever comes in and goes out.

A *wide* number is two 64-bit words. For squares of integers it is an unsigned 128-bit integer (high, low); for sums of
floats it is a fixed-point number: a whole part in two's complement and a fraction in units of 2**-64.
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

FLOAT_LIMIT = 2.0**62
"""A float whose magnitude reaches this does not fit the fixed-point sums: the aggregate treats it as null."""


@intrinsic
def multiply(typing_context: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    """Return the 128-bit product of two unsigned words as (high, low): one instruction of the processor."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        word = ir.IntType(64)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), word)
        return context.make_tuple(builder, signature.return_type, [high, builder.trunc(product, word)])

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), generate


@nb.njit(inline="always")
def add(a_high: np.uint64, a_low: np.uint64, b_high: np.uint64, b_low: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the sum of two wide numbers, modulo 2**128."""
    low = a_low + b_low
    carry = np.uint64(1) if low < a_low else np.uint64(0)
    return a_high + b_high + carry, low


@nb.njit(inline="always")
def subtract(a_high: np.uint64, a_low: np.uint64, b_high: np.uint64, b_low: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the difference of two wide numbers, modulo 2**128."""
    borrow = np.uint64(1) if a_low < b_low else np.uint64(0)
    return a_high - b_high - borrow, a_low - b_low


@nb.njit(inline="always")
def magnitude(value: np.int64) -> np.uint64:
    """Return the absolute value of a word, unsigned."""
    return np.uint64(value) if value >= 0 else np.uint64(0) - np.uint64(value)


@nb.njit(inline="always")
def square(value: np.int64) -> tuple[np.uint64, np.uint64]:
    """Return the square of a signed word as (high, low)."""
    unsigned = magnitude(value)
    return multiply(unsigned, unsigned)


@nb.njit(inline="always")
def fixed(value: np.float64) -> tuple[np.uint64, np.uint64]:
    """Return a float as a fixed-point number (whole, fraction): exact down to 2**-64, what is smaller is cut off."""
    # From the magnitude, whose fraction is exact: that of a small negative number, counted from -1, would be rounded.
    size = abs(value)
    floor = math.floor(size)
    whole, fraction = np.uint64(np.int64(floor)), np.uint64((size - floor) * 18446744073709551616.0)
    if value < 0.0:
        whole, fraction = subtract(np.uint64(0), np.uint64(0), whole, fraction)
    return whole, fraction


@nb.njit(inline="always")
def from_fixed(whole: np.uint64, fraction: np.uint64) -> np.float64:
    """Return a fixed-point number as a float, to the last digit or the one before."""
    sign = 1.0
    if np.int64(whole) < 0:
        sign = -1.0
        whole, fraction = subtract(np.uint64(0), np.uint64(0), whole, fraction)
    return sign * (np.float64(whole) + np.float64(fraction) * 5.421010862427522e-20)


@nb.njit(inline="always")
def spread(count: np.int64, total: np.int64, squares_high: np.uint64, squares_low: np.uint64) -> np.float64:
    """Return ``count * squares - total ** 2``, computed exactly in 192 bits and rounded at the end."""
    n = np.uint64(count)
    middle, low = multiply(squares_low, n)
    high, carried = multiply(squares_high, n)
    high, middle = add(high, carried, np.uint64(0), middle)
    square_middle, square_low = square(total)
    borrow = np.uint64(1) if middle < square_middle or (middle == square_middle and low < square_low) else np.uint64(0)
    middle, low = subtract(middle, low, square_middle, square_low)
    high -= borrow
    return (np.float64(high) * 18446744073709551616.0 + np.float64(middle)) * 18446744073709551616.0 + np.float64(low)
