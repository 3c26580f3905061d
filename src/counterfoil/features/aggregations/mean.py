"""The mean of a number; of money in major units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features.access import load
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value
from counterfoil.features.aggregations.sum import sum_float
from counterfoil.rules.types import Base

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Mean(Aggregation):
    """``avg(x)``: null where no row has a value."""

    name = "mean"
    resolvable = True

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Keep the same running totals as ``sum``."""
        feature = request.feature
        track = planner.track(feature)
        high, low = track.edges(feature, request.window)
        is_float = request.types[0].base is Base.FLOAT
        track.add(
            feature,
            Operation(
                layout.MEAN_FLOAT if is_float else layout.MEAN_INTEGER,
                request.output,
                high,
                low,
                track.total(feature, is_float=is_float),
                track.present(feature),
                divisor=request.divisor,
            ),
        )

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
