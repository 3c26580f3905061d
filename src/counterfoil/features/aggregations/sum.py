"""The sum of a number: exact for money and whole numbers, and for floats to 2**-64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout, wide
from counterfoil.features.access import load
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value
from counterfoil.rules.types import Base

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Sum(Aggregation):
    """``sum(x)``: null where no row has a value. Of a bool: how many are true."""

    name = "sum"
    resolvable = True

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Keep a running total of the values, and one of how many there are where they may be null."""
        feature = request.feature
        track = planner.track(feature)
        high, low = track.edges(feature, request.window)
        is_float = request.types[0].base is Base.FLOAT
        track.add(
            feature,
            Operation(
                layout.SUM_FLOAT if is_float else layout.SUM_INTEGER,
                request.output,
                high,
                low,
                track.total(feature, is_float=is_float),
                track.present(feature),
            ),
        )

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
