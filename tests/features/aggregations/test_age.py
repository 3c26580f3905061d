from __future__ import annotations

from hypothesis import given, settings

from tests.features.harness import Arrival, ask, histories, payment, variants

WORLD = variants("age", windows=False)


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def test_begins_with_the_first_event() -> None:
    history = [payment(3), payment(5), payment(9, card=2), payment(12)]
    assert ask(history, "age") == [0, 2_000_000, 0, 9_000_000]
    assert ask(history, "age", prior=True) == [None, 2_000_000, None, 9_000_000]


def test_a_late_event_makes_it_older() -> None:
    assert ask([payment(10), payment(4), payment(11)], "age") == [0, 0, 7_000_000]
    assert ask([payment(10), payment(4), payment(11)], "age", prior=True) == [None, None, 7_000_000]
