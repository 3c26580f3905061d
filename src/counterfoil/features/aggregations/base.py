"""What an aggregation is: how it is planned onto a track, its slow twin, and the same as SQL.

The kernel stands in the same file as a free function over plain arrays; ``features/stage_kernel.py`` calls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from counterfoil.features.definition import AggregateFeature, Window
from counterfoil.rules.types import Base, ValueType

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner

Value = int | float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One event as the twins see it.

    Parameters
    ----------
    time
        Its time in microseconds, as stored (cut where there is a resolution).
    values
        Its arguments: ints (words of money, times, hashes; conditions as 0 and 1), floats, or None for null.
    """

    time: int
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One output feature: an aggregate over one window, and the types of its arguments."""

    feature: AggregateFeature
    window: Window | None
    types: tuple[ValueType, ...]
    output: int
    """Row of the output matrix."""

    @property
    def divisor(self) -> float:
        """What minor units are divided by where the result is a float in major units."""
        return float(10 ** self.types[0].scale)


@dataclass(slots=True)
class Operation:
    """One row of the table of operations, before it is packed."""

    code: int
    output: int
    high: int = -1
    low: int = -1
    word: int = 0
    count_word: int = -1
    square_word: int = -1
    first_input: int = -1
    second_input: int = -1
    tally: int = -1
    block: int = -1
    divisor: float = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What an aggregation's SQL is written with.

    Rows ``s`` are the events that arrived by then and whose time is not later than the deciding event's (less the
    delay), with ``s.position`` and ``s.time``; where there is none, one row of nulls stands in.

    Parameters
    ----------
    arguments
        The arguments on the rows.
    own
        The arguments on the deciding event.
    time
        The deciding event's time.
    within
        The condition that a row lies in the window; None where every row does.
    """

    arguments: tuple[str, ...]
    own: tuple[str, ...]
    time: str
    within: str | None = None

    def over(self, aggregate: str, *conditions: str) -> str:
        """Return an aggregate over the rows of the window for which the conditions hold."""
        every = ([] if self.within is None else [self.within]) + list(conditions)
        return f"{aggregate} FILTER (WHERE {' AND '.join(every)})" if every else aggregate


class Aggregation(ABC):
    """One aggregation. Instances have no state."""

    name: ClassVar[str]
    resolvable: ClassVar[bool] = False
    """Whether it can live with a ``resolution``: entries of one cut time are merged."""
    about_before: ClassVar[bool] = False
    """Whether it always leaves the deciding event out, as all others do with ``prior``."""

    @abstractmethod
    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Put what the feature needs into the plan: measures of a track, edges, and its operation."""

    @abstractmethod
    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:
        """Return the feature's value, computed the slow and obvious way.

        Parameters
        ----------
        rows
            The events that the window covers, in time order, ties in order of arrival. For features without a
            window: all of the past. ``where`` has been applied.
        own
            The arguments on the deciding event itself.
        time
            The deciding event's time.
        divisor
            ``Request.divisor``.
        """

    @abstractmethod
    def sql(self, terms: Terms) -> str:
        """Return the feature as a DuckDB expression: aggregates over rows ``s`` for the deciding event ``e``."""


def comparable(request: Request) -> str:
    """Return a feature's argument so that equal values are equal words: the negative zero becomes zero."""
    argument = request.feature.arguments[0]
    return f"({argument}) + 0.0" if request.types[0].base is Base.FLOAT else argument
