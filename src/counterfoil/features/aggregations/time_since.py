"""The time since the latest earlier event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class TimeSince(Aggregation):
    """An interval; null where there is no earlier event. The deciding event itself never counts."""

    name = "time_since"
    about_before = True

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Read the time of the latest entry."""
        feature = request.feature
        track = planner.track(feature, only_where=True)
        high, _ = track.edges(feature, None)
        track.add(feature, Operation(layout.TIME_SINCE, request.output, high, -1), prior=True)

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Subtract the last row's time."""
        return time - rows[-1].time if rows else None

    def sql(self, terms: Terms) -> str:
        """Return the difference from the latest time."""
        return f"{terms.time} - {terms.over('max(s.time)')}"
