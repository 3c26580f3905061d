from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import Arrival, ask, histories, payment, variants

WORLDS = {argument: variants("mean", argument, resolution=True) for argument in ("amount", "weight", "flag")}


@pytest.mark.parametrize("argument", WORLDS)
@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(argument: str, history: list[Arrival]) -> None:
    WORLDS[argument].agree(history)


def test_money_is_in_major_units() -> None:
    history = [payment(0, amount=1_000), payment(1, amount=2_001), payment(2, card=2, amount=5)]
    assert ask(history, "mean", "amount") == [10.0, 15.005, 0.05]
    assert ask(history, "mean", "amount", prior=True) == [None, 10.0, None]
