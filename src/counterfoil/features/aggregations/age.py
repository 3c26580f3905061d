"""The time since the entity was first seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Age(Aggregation):
    """An interval since the earliest event: 0 on the first (null with ``prior``); null where there is none yet."""

    name = "age"

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Read the smallest time ever seen, which the record keeps."""
        feature = request.feature
        track = planner.track(feature, only_where=True)
        track.add(feature, Operation(layout.AGE, request.output))

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Subtract the first row's time."""
        return time - rows[0].time if rows else None

    def sql(self, terms: Terms) -> str:
        """Return the difference from the earliest time."""
        return f"{terms.time} - {terms.over('min(s.time)')}"
