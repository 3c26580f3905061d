from __future__ import annotations

from hypothesis import given, settings

from tests.features.harness import WINDOWS, Arrival, ask, change, histories, payment, variants

WORLD = variants("count", resolution=True)


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def test_counts_from_zero_and_is_null_only_without_an_entity() -> None:
    history = [payment(0), payment(5), payment(12), payment(13, card=None), change(20), payment(40)]
    assert ask(history, "count", over=WINDOWS[:1]) == [1, 2, 2, None, 1]
    assert ask(history, "count", over=WINDOWS[:1], prior=True) == [0, 1, 1, None, 0]
    assert ask(history, "count", kind="change") == [0, 0, 0, None, 1]


def test_a_window_is_open_at_its_old_end() -> None:
    assert ask([payment(0), payment(10)], "count", over=WINDOWS[:1]) == [1, 1]
