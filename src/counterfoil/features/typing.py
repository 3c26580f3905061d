"""What each aggregation takes, and the type of what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from counterfoil.features.definition import AggregateFeature
from counterfoil.rules.types import Base, ValueType


class Argument(StrEnum):
    """What stands behind an aggregation's name in a definition."""

    KIND = "the name of an event kind"
    VALUE = "an expression over the event's fields"
    CONDITION = "a condition over the event's fields"
    POSITION = "latitude and longitude in degrees: [latitude, longitude]"


class Result(StrEnum):
    """How the type of the result follows from that of the argument."""

    COUNT = "a whole number"
    NUMBER = "a float; that of money in major units"
    INTERVAL = "a length of time"
    SAME = "the argument's type"
    SUM = "the argument's type; a whole number for true and false"


_NUMERIC = frozenset({Base.MONEY, Base.INT, Base.FLOAT, Base.BOOL})
_ORDERED = frozenset({Base.MONEY, Base.INT, Base.FLOAT, Base.TIME, Base.INTERVAL})
_ANY = frozenset(Base)


@dataclass(frozen=True, slots=True)
class Signature:
    """What one aggregation takes and gives.

    Parameters
    ----------
    argument
        What is aggregated.
    result
        How the result's type follows.
    accepts
        Types that the argument may have.
    windows
        Whether it may have ``over``, ``delay`` and ``resolution``; the others are always about the whole past.
    asks_event
        Whether its value also depends on the deciding event's own argument, so that deciding kinds must have it.
    """

    argument: Argument
    result: Result
    accepts: frozenset[Base] = _ANY
    windows: bool = False
    asks_event: bool = False


SIGNATURES: dict[str, Signature] = {
    "count": Signature(Argument.KIND, Result.COUNT, windows=True),
    "sum": Signature(Argument.VALUE, Result.SUM, _NUMERIC, windows=True),
    "mean": Signature(Argument.VALUE, Result.NUMBER, _NUMERIC, windows=True),
    "std": Signature(Argument.VALUE, Result.NUMBER, _NUMERIC, windows=True),
    "min": Signature(Argument.VALUE, Result.SAME, _ORDERED, windows=True),
    "max": Signature(Argument.VALUE, Result.SAME, _ORDERED, windows=True),
    "distinct": Signature(Argument.VALUE, Result.COUNT, windows=True),
    "share": Signature(Argument.CONDITION, Result.NUMBER, frozenset({Base.BOOL}), windows=True),
    "rate": Signature(Argument.CONDITION, Result.NUMBER, frozenset({Base.BOOL}), windows=True),
    "frequency": Signature(Argument.VALUE, Result.NUMBER, windows=True, asks_event=True),
    "last": Signature(Argument.VALUE, Result.SAME),
    "time_since": Signature(Argument.KIND, Result.INTERVAL),
    "age": Signature(Argument.KIND, Result.INTERVAL),
    "distance": Signature(Argument.POSITION, Result.NUMBER, frozenset({Base.FLOAT, Base.INT}), asks_event=True),
    "speed": Signature(Argument.POSITION, Result.NUMBER, frozenset({Base.FLOAT, Base.INT}), asks_event=True),
}
"""Every aggregation by its name."""


def result_type(feature: AggregateFeature, argument_types: Sequence[ValueType]) -> ValueType:
    """Return the type of an aggregate's values.

    Parameters
    ----------
    feature
        The aggregate.
    argument_types
        The type of each of its arguments.

    Examples
    --------
    >>> spend = AggregateFeature("spend", "sum", "payment", ("amount",), "card")
    >>> result_type(spend, [ValueType(Base.MONEY, 2)]) == ValueType(Base.MONEY, 2)
    True
    """
    result = SIGNATURES[feature.aggregation].result
    if result is Result.COUNT:
        return ValueType(Base.INT)
    if result is Result.NUMBER:
        return ValueType(Base.FLOAT)
    if result is Result.INTERVAL:
        return ValueType(Base.INTERVAL)
    if result is Result.SUM and argument_types[0].base is Base.BOOL:
        return ValueType(Base.INT)
    return argument_types[0]
