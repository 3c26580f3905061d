"""The smallest value."""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil.features.aggregations.base import Row, Terms, Value
from counterfoil.features.aggregations.extremes import Extreme


class Min(Extreme):
    """``min(x)``: null where no row has a value."""

    name = "min"
    largest = False

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Take the smallest."""
        return min((row.values[0] for row in rows if row.values[0] is not None), default=None)

    def sql(self, terms: Terms) -> str:
        """Return ``min(x)``."""
        return terms.over(f"min({terms.arguments[0]})")
