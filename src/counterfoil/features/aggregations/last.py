"""The value of the latest earlier event that has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value
from counterfoil.features.aggregations.distance import previous

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Last(Aggregation):
    """The latest known value, as of the deciding event and without it; null where there is none.

    Of events at the same time the one that arrived last counts.
    """

    name = "last"
    about_before = True

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Keep the value in each entry of a track of events that have one."""
        feature = request.feature
        track = planner.track(feature, only_present=True)
        high, _ = track.edges(feature, None)
        word = track.measure(layout.RAW, feature.arguments[0])
        track.add(feature, Operation(layout.LAST, request.output, high, -1, word), prior=True)

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Take the value of the last row that has one."""
        values = [row.values[0] for row in rows if row.values[0] is not None]
        return values[-1] if values else None

    def sql(self, terms: Terms) -> str:
        """Return the last value in order of time and arrival."""
        return previous(terms.arguments[0], terms)
