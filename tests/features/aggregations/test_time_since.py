from __future__ import annotations

from hypothesis import given, settings

from tests.features.harness import Arrival, ask, change, histories, payment, variants

WORLD = variants("time_since", windows=False)


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def test_is_about_the_events_before() -> None:
    assert ask([payment(1), payment(3), payment(3), payment(4.5)], "time_since") == [None, 2_000_000, 0, 1_500_000]


def test_of_another_kind() -> None:
    history = [payment(1), change(2), payment(2), payment(5), payment(6, card=2)]
    assert ask(history, "time_since", kind="change") == [None, 0, 3_000_000, None]
