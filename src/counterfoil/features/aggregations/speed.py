"""How fast one would have travelled from the previous position."""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Row, Terms, Value
from counterfoil.features.aggregations.distance import Distance, known

HOUR = 3_600_000_000.0
"""Microseconds an hour."""
SECOND = 1_000_000
"""A shorter time counts as a second: two places at once give a huge speed, not a division by zero."""


class Speed(Distance):
    """Kilometres an hour from the latest earlier event with a position; null where either has none."""

    name = "speed"
    code = layout.SPEED

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:
        """Divide the distance by the time."""
        distance = super().twin(rows, own, time, divisor)
        if distance is None:
            return None
        known = [row for row in rows if row.values[0] is not None and row.values[1] is not None]
        return float(distance) / (max(time - known[-1].time, SECOND) / HOUR)

    def sql(self, terms: Terms) -> str:
        """Return distance over time."""
        latest = terms.over("max(s.time)", *known(terms))
        elapsed = f"greatest(epoch_us({terms.time}) - epoch_us({latest}), {SECOND})"
        return f"({super().sql(terms)}) / ({elapsed} / {HOUR})"


@nb.njit(inline="always", error_model="numpy")
def kilometres_an_hour(distance: np.float64, elapsed: np.int64) -> np.float64:
    """Return a speed from kilometres and microseconds."""
    return distance / (max(np.float64(elapsed), np.float64(SECOND)) / HOUR)
