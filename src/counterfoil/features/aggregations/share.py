"""The share of rows for which a condition holds."""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Row, Terms, Value
from counterfoil.features.aggregations.totals import FromTotals


class Share(FromTotals):
    """``avg`` of a condition as 0 and 1: rows where it is null do not count; null where none is left.

    Its kernel is the quotient of two running totals (``count_total``).
    """

    name = "share"
    code_integer = layout.SHARE
    code_float = layout.SHARE

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Divide the number of rows where it holds by the number where it is known."""
        values = [row.values[0] for row in rows if row.values[0] is not None]
        return float(sum(values)) / float(len(values)) if values else None

    def sql(self, terms: Terms) -> str:
        """Return ``avg`` over the condition."""
        return terms.over(f"avg(CAST({terms.arguments[0]} AS INTEGER))")
