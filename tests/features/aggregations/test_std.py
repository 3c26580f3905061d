from __future__ import annotations

import pytest
from hypothesis import given, settings

from counterfoil.features.definition import AggregateFeature
from tests.features.harness import Arrival, World, ask, histories, payment, variants

WORLDS = {argument: variants("std", argument, resolution=True) for argument in ("amount", "weight", "flag")}


@pytest.mark.parametrize("argument", WORLDS)
@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(argument: str, history: list[Arrival]) -> None:
    WORLDS[argument].agree(history)


def test_needs_two_values_and_gives_major_units() -> None:
    history = [payment(0, amount=100), payment(1, amount=300), payment(2, amount=200)]
    assert ask(history, "std", "amount") == [None, pytest.approx(2**0.5), 1.0]
    assert ask(history, "std", "tip") == [None, None, None]


def test_equal_values_have_none() -> None:
    assert ask([payment(at, amount=2**53 - 1) for at in range(4)], "std", "amount")[1:] == [0.0, 0.0, 0.0]


def test_large_values_keep_a_small_spread() -> None:
    """Not so in DuckDB, which reckons in floats."""
    world = World(AggregateFeature("f", "std", "payment", ("amount",), "card"))
    history = [payment(at, amount=2**53 - 1 - at % 2) for at in range(4)]
    assert world.kernel(history) == world.twin(history)
    assert world.kernel(history)[-1]["f"] == pytest.approx(0.01 / 3**0.5, rel=1e-12)
