"""How usual a value is for the entity."""

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


class Frequency(Aggregation):
    """The share of the entity's events that have the same value as the deciding event.

    Events without a value do not count; null where the deciding event has none, or where no event is left.
    """

    name = "frequency"

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Keep the values, and how often each occurs in the window."""
        feature = request.feature
        track = planner.track(feature, only_where=True)
        high, low = track.edges(feature, request.window)
        argument = comparable(request)
        word, tally = track.tally(layout.TALLY_FREQUENCY, layout.RAW, argument, request.window, feature.delay)
        operation = Operation(
            layout.FREQUENCY, request.output, high, low, word, track.value_count(feature), tally=tally
        )
        operation.first_input = planner.input(argument)
        track.add(feature, operation)

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Compare each row's value with the event's own."""
        values = [row.values[0] for row in rows if row.values[0] is not None]
        if own[0] is None or not values:
            return None
        return float(sum(value == own[0] for value in values)) / float(len(values))

    def sql(self, terms: Terms) -> str:
        """Return ``avg`` of the comparison."""
        return terms.over(f"avg(CAST({terms.arguments[0]} = {terms.own[0]} AS INTEGER))")


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def occurrences(
    arena: Words,
    address: np.int64,
    mask: np.int64,
    stride: np.int64,
    word: np.int64,
    low: np.int64,
    high: np.int64,
    value: np.int64,
) -> np.int64:
    """Count the entries of ``[low, high)`` that hold a value."""
    count = 0
    for sequence in range(low, high):
        if load(arena, address + (sequence & mask) * stride + word) == value:
            count += 1
    return count
