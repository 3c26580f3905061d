"""What ``sum``, ``mean``, ``std`` and ``share`` have in common: they are reckoned from running totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from counterfoil.features.aggregations.base import Aggregation, Operation, Request
from counterfoil.rules.types import Base

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner


class FromTotals(Aggregation):
    """Base of the aggregations that read the total of their argument and how many rows have one."""

    resolvable = True
    code_integer: ClassVar[int]
    """The operation for whole numbers, money and conditions."""
    code_float: ClassVar[int]
    """The operation for floats."""
    needs_squares: ClassVar[bool] = False

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Keep running totals of the values (and their squares), and of how many there are where they may be null."""
        feature = request.feature
        track = planner.track(feature)
        high, low = track.edges(feature, request.window)
        is_float = request.types[0].base is Base.FLOAT
        operation = Operation(
            self.code_float if is_float else self.code_integer,
            request.output,
            high,
            low,
            track.total(feature, is_float=is_float),
            track.present(feature),
            divisor=request.divisor,
        )
        if self.needs_squares:
            operation.square_word = track.squares(feature, is_float=is_float)
        track.add(feature, operation)
