"""The sum of a number: exact for money and whole numbers, and for floats to 2**-64."""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout, wide
from counterfoil.features.access import load
from counterfoil.features.aggregations.base import Row, Terms, Value
from counterfoil.features.aggregations.totals import FromTotals


class Sum(FromTotals):
    """``sum(x)``: null where no row has a value. Of a bool: how many are true."""

    name = "sum"
    code_integer = layout.SUM_INTEGER
    code_float = layout.SUM_FLOAT

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Add the values up."""
        values = [row.values[0] for row in rows if row.values[0] is not None]
        return sum(values) if values else None

    def sql(self, terms: Terms) -> str:
        """Return ``sum(x)``."""
        return terms.over(f"sum({terms.arguments[0]})")


@nb.njit(inline="always")
def sum_float(arena: Words, high: np.int64, low: np.int64, word: np.int64) -> np.float64:
    """Return a fixed-point running total's growth between two entries."""
    whole, fraction = wide.subtract(
        np.uint64(load(arena, high + word)),
        np.uint64(load(arena, high + word + 1)),
        np.uint64(load(arena, low + word)),
        np.uint64(load(arena, low + word + 1)),
    )
    return wide.from_fixed(whole, fraction)
