from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import WINDOWS, Arrival, ask, histories, payment, variants

WORLDS = {argument: variants("distinct", argument) for argument in ("shop", "flag", "weight")}


@pytest.mark.parametrize("argument", WORLDS)
@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(argument: str, history: list[Arrival]) -> None:
    WORLDS[argument].agree(history)


def test_nulls_do_not_count() -> None:
    history = [payment(at, shop=shop) for at, shop in enumerate((None, 1, 2, 1, None, 3))]
    assert ask(history, "distinct", "shop") == [0, 1, 2, 2, 2, 3]
    assert ask(history, "distinct", "shop", prior=True) == [0, 0, 1, 2, 2, 2]


def test_a_value_leaves_with_its_last_occurrence() -> None:
    history = [payment(at, shop=shop) for at, shop in ((0, 1), (4, 2), (8, 1), (12, 3), (16, 3), (30, 3))]
    assert ask(history, "distinct", "shop", over=WINDOWS[:1]) == [1, 2, 2, 3, 2, 1]


def test_a_late_event_sees_its_own_window() -> None:
    history = [payment(0, shop=1), payment(20, shop=2), payment(9, shop=3), payment(21, shop=1)]
    assert ask(history, "distinct", "shop", over=WINDOWS[:1]) == [1, 1, 2, 2]


def test_zero_is_one_value() -> None:
    history = [payment(0, weight=0.0), payment(1, weight=-0.0)]
    assert ask(history, "distinct", "weight") == [1, 1]
    assert ask(history, "distinct", "weight", over=WINDOWS[:1]) == [1, 1]
