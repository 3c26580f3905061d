from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import Arrival, ask, histories, payment, variants

WORLDS = {argument: variants("last", argument, windows=False) for argument in ("shop", "tip", "weight")}


@pytest.mark.parametrize("argument", WORLDS)
@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(argument: str, history: list[Arrival]) -> None:
    WORLDS[argument].agree(history)


def test_is_about_the_events_before() -> None:
    history = [payment(at, shop=shop) for at, shop in enumerate((4, None, 5, 6))]
    assert ask(history, "last", "shop") == [None, 4, 4, 5]


def test_of_one_instant_the_last_arrival_counts() -> None:
    history = [payment(1, shop=4), payment(1, shop=5), payment(1, shop=6)]
    assert ask(history, "last", "shop") == [None, 4, 5]


def test_a_late_event_knows_nothing_of_what_came_later() -> None:
    assert ask([payment(9, shop=4), payment(2, shop=5), payment(10, shop=6)], "last", "shop") == [None, None, 4]
