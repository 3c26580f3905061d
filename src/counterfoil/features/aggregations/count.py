"""How many events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features.access import load
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Count(Aggregation):
    """``count(*)``: 0 where there is nothing. Never null for an event that belongs to the entity."""

    name = "count"
    resolvable = True

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Count entries where every event is one, a running total where only some count."""
        feature = request.feature
        track = planner.track(feature)
        high, low = track.edges(feature, request.window)
        if feature.where is None and feature.resolution is None:
            track.add(feature, Operation(layout.COUNT_ROWS, request.output, high, low))
        else:
            word = track.measure(layout.ADD_ONE, mask=feature.where)
            track.add(feature, Operation(layout.COUNT_TOTAL, request.output, high, low, word))

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Count the rows."""
        return len(rows)

    def sql(self, terms: Terms) -> str:
        """Return ``count``: of positions, so that the row of nulls does not count."""
        return terms.over("count(s.position)")


@nb.njit(inline="always")
def count_total(arena: Words, high: np.int64, low: np.int64, word: np.int64) -> np.int64:
    """Return a running total's growth between two entries."""
    return load(arena, high + word) - load(arena, low + word)
