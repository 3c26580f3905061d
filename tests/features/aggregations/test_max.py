from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import WINDOWS, Arrival, ask, histories, payment, variants

WORLDS = {argument: variants("max", argument) for argument in ("tip", "weight")}


@pytest.mark.parametrize("argument", WORLDS)
@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(argument: str, history: list[Arrival]) -> None:
    WORLDS[argument].agree(history)


def test_over_the_past_and_over_a_window() -> None:
    tips = (3, 7, -2, None, 4)
    history = [payment(4 * at, tip=tip) for at, tip in enumerate(tips)]
    assert ask(history, "max", "tip") == [3, 7, 7, 7, 7]
    assert ask(history, "max", "tip", over=WINDOWS[:1]) == [3, 7, 7, 7, 4]
    assert ask(history, "max", "tip", prior=True) == [None, 3, 7, 7, 7]


def test_a_late_event_counts_from_its_arrival_on() -> None:
    history = [payment(10, tip=5), payment(20, tip=5), payment(15, tip=9), payment(21, tip=5)]
    assert ask(history, "max", "tip", over=WINDOWS[:1]) == [5, 5, 9, 9]
