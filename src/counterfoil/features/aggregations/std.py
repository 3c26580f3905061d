"""The standard deviation of a number (of a sample: n - 1); of money in major units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout, wide
from counterfoil.features.access import load
from counterfoil.features.aggregations.base import Row, Terms, Value
from counterfoil.features.aggregations.sum import sum_float
from counterfoil.features.aggregations.totals import FromTotals


class Std(FromTotals):
    """``stddev_samp(x)``: null for fewer than two values.

    Of money and whole numbers it is exact up to the last rounding, however large the values and however small their
    spread: sums of squares are kept in 128 bits. Of floats it loses digits where the spread is a millionth of the mean.
    """

    name = "std"
    code_integer = layout.STD_INTEGER
    code_float = layout.STD_FLOAT
    needs_squares = True

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Whole numbers: ``n * sum(x * x) - sum(x) ** 2`` without rounding. Floats: the same in floats."""
        values = [row.values[0] for row in rows if row.values[0] is not None]
        count = len(values)
        if count < 2:
            return None
        total = sum(values)
        squares = sum(value * value for value in values)
        if all(isinstance(value, int) for value in values):
            spread = float(count * squares - total * total)
        else:
            spread = max(float(count) * squares - total * total, 0.0)
        return math.sqrt(spread / (float(count) * float(count - 1))) / divisor

    def sql(self, terms: Terms) -> str:
        """Return ``stddev_samp(x)``."""
        return terms.over(f"stddev_samp({terms.arguments[0]})")


@nb.njit(inline="always", error_model="numpy")
def std_integer(
    arena: Words, high: np.int64, low: np.int64, word: np.int64, square: np.int64, count: np.int64, divisor: np.float64
) -> np.float64:
    """Return the deviation of whole numbers from their running totals at two entries; there must be two or more."""
    squares_high, squares_low = wide.subtract(
        np.uint64(load(arena, high + square)),
        np.uint64(load(arena, high + square + 1)),
        np.uint64(load(arena, low + square)),
        np.uint64(load(arena, low + square + 1)),
    )
    spread = wide.spread(count, load(arena, high + word) - load(arena, low + word), squares_high, squares_low)
    return math.sqrt(spread / (np.float64(count) * np.float64(count - 1))) / divisor


@nb.njit(inline="always", error_model="numpy")
def std_float(
    arena: Words, high: np.int64, low: np.int64, word: np.int64, square: np.int64, count: np.int64
) -> np.float64:
    """Return the deviation of floats; there must be two or more."""
    total = sum_float(arena, high, low, word)
    spread = np.float64(count) * sum_float(arena, high, low, square) - total * total
    return math.sqrt(max(spread, 0.0) / (np.float64(count) * np.float64(count - 1)))
