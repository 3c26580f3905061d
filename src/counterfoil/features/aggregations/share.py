"""The share of rows for which a condition holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class Share(Aggregation):
    """``avg`` of a condition as 0 and 1: rows where it is null do not count; null where none is left.

    Its kernel is the quotient of two running totals (``count_total``).
    """

    name = "share"
    resolvable = True

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Keep running totals of the rows where the condition holds and of those where it is known."""
        feature = request.feature
        track = planner.track(feature)
        high, low = track.edges(feature, request.window)
        track.add(
            feature,
            Operation(
                layout.SHARE,
                request.output,
                high,
                low,
                track.total(feature, is_float=False),
                track.present(feature),
            ),
        )

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Divide the number of rows where it holds by the number where it is known."""
        values = [row.values[0] for row in rows if row.values[0] is not None]
        return float(sum(values)) / float(len(values)) if values else None

    def sql(self, terms: Terms) -> str:
        """Return ``avg`` over the condition."""
        return terms.over(f"avg(CAST({terms.arguments[0]} AS INTEGER))")
