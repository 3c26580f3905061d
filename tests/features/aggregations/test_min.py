from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import WINDOWS, Arrival, ask, histories, payment, variants

WORLDS = {argument: variants("min", argument) for argument in ("tip", "weight")}


@pytest.mark.parametrize("argument", WORLDS)
@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(argument: str, history: list[Arrival]) -> None:
    WORLDS[argument].agree(history)


def test_over_the_past_and_over_a_window() -> None:
    tips = (3, 7, -2, None, 4)
    history = [payment(4 * at, tip=tip) for at, tip in enumerate(tips)]
    assert ask(history, "min", "tip") == [3, 3, -2, -2, -2]
    assert ask(history, "min", "tip", over=WINDOWS[:1]) == [3, 3, -2, -2, -2]
    assert ask(history, "min", "tip", prior=True) == [None, 3, 3, -2, -2]


def test_a_late_event_counts_from_its_arrival_on() -> None:
    history = [payment(10, tip=5), payment(20, tip=5), payment(15, tip=1), payment(21, tip=5)]
    assert ask(history, "min", "tip", over=WINDOWS[:1]) == [5, 5, 1, 1]
