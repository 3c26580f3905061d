"""The mean of a number; of money in major units."""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features.access import load
from counterfoil.features.aggregations.base import Row, Terms, Value
from counterfoil.features.aggregations.sum import sum_float
from counterfoil.features.aggregations.totals import FromTotals


class Mean(FromTotals):
    """``avg(x)``: null where no row has a value."""

    name = "mean"
    code_integer = layout.MEAN_INTEGER
    code_float = layout.MEAN_FLOAT

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Add the values up and divide once."""
        values = [row.values[0] for row in rows if row.values[0] is not None]
        return float(sum(values)) / (float(len(values)) * divisor) if values else None

    def sql(self, terms: Terms) -> str:
        """Return ``avg(x)``."""
        return terms.over(f"avg({terms.arguments[0]})")


@nb.njit(inline="always", error_model="numpy")
def mean_integer(
    arena: Words, high: np.int64, low: np.int64, word: np.int64, count: np.int64, divisor: np.float64
) -> np.float64:
    """Return the mean of whole numbers, divided by what makes minor units major."""
    return np.float64(load(arena, high + word) - load(arena, low + word)) / (np.float64(count) * divisor)


@nb.njit(inline="always", error_model="numpy")
def mean_float(arena: Words, high: np.int64, low: np.int64, word: np.int64, count: np.int64) -> np.float64:
    """Return the mean of floats."""
    return sum_float(arena, high, low, word) / np.float64(count)
