from __future__ import annotations

import pytest

from counterfoil.features.definition import AggregateFeature
from counterfoil.features.typing import SIGNATURES, Argument, result_type
from counterfoil.rules.types import BOOL, FLOAT, INT, INTERVAL, TEXT, TIME, Base, ValueType

MONEY = ValueType(Base.MONEY, 2)


@pytest.mark.parametrize(
    ("aggregation", "argument", "result"),
    [
        ("count", None, INT),
        ("sum", MONEY, MONEY),
        ("sum", ValueType(Base.MONEY, 3), ValueType(Base.MONEY, 3)),
        ("sum", INT, INT),
        ("sum", FLOAT, FLOAT),
        ("sum", BOOL, INT),
        ("mean", MONEY, FLOAT),
        ("std", INT, FLOAT),
        ("min", MONEY, MONEY),
        ("max", TIME, TIME),
        ("distinct", TEXT, INT),
        ("share", BOOL, FLOAT),
        ("rate", BOOL, FLOAT),
        ("frequency", TEXT, FLOAT),
        ("last", TEXT, TEXT),
        ("last", MONEY, MONEY),
        ("time_since", None, INTERVAL),
        ("age", None, INTERVAL),
        ("distance", FLOAT, FLOAT),
        ("speed", FLOAT, FLOAT),
    ],
)
def test_result_types(aggregation: str, argument: ValueType | None, result: ValueType) -> None:
    feature = AggregateFeature("f", aggregation, "payment", (), "card")
    types = [] if argument is None else [argument]
    if SIGNATURES[aggregation].argument is Argument.POSITION:
        types *= 2
    assert result_type(feature, types) == result


def test_every_aggregation_of_the_design_has_a_signature() -> None:
    names = "count sum mean std min max distinct share frequency last time_since age distance speed rate"
    assert sorted(SIGNATURES) == sorted(names.split(" "))
