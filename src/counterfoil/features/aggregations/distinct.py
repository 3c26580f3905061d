"""How many different values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features.access import load
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value, comparable

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Distinct(Aggregation):
    """``count(DISTINCT x)``: nulls do not count; 0 where there is nothing.

    Exact. An entry knows when its value occurs next; the different values of a window are its entries whose value does
    not occur again before the window's end. A late event, judged in the past, costs a scan of its window.
    """

    name = "distinct"

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Over a window: the values linked to their next occurrence, and a tally. Whole past: a running number."""
        feature = request.feature
        track = planner.track(feature, only_where=True)
        high, low = track.edges(feature, request.window)
        argument = comparable(request)
        if request.window is None:
            word = track.measure(layout.RUNNING_DISTINCT, argument)
            track.add(feature, Operation(layout.DISTINCT_LIFETIME, request.output, high, -1, word))
            return
        word, tally = track.tally(layout.TALLY_DISTINCT, layout.VALUE_NEXT, argument, request.window, feature.delay)
        track.add(feature, Operation(layout.DISTINCT, request.output, high, low, word, tally=tally))

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Put the values into a set."""
        return len({row.values[0] for row in rows if row.values[0] is not None})

    def sql(self, terms: Terms) -> str:
        """Return ``count(DISTINCT x)``."""
        return terms.over(f"count(DISTINCT {terms.arguments[0]})")


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def distinct_scan(
    arena: Words,
    address: np.int64,
    mask: np.int64,
    stride: np.int64,
    word: np.int64,
    low: np.int64,
    high: np.int64,
    time: np.int64,
) -> np.int64:
    """Count the entries of ``[low, high)`` whose value does not occur again up to ``time``, the window's end."""
    count = 0
    for sequence in range(low, high):
        if load(arena, address + (sequence & mask) * stride + word + 1) > time:
            count += 1
    return count
