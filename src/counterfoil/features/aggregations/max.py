"""The largest value."""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil.features.aggregations.base import Row, Terms, Value
from counterfoil.features.aggregations.extremes import Extreme


class Max(Extreme):
    """``max(x)``: null where no row has a value."""

    name = "max"
    largest = True

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Take the largest."""
        return max((row.values[0] for row in rows if row.values[0] is not None), default=None)

    def sql(self, terms: Terms) -> str:
        """Return ``max(x)``."""
        return terms.over(f"max({terms.arguments[0]})")
