from __future__ import annotations

from hypothesis import given, settings

from tests.features.harness import WINDOWS, Arrival, ask, histories, payment, variants

WORLD = variants("rate", "flag", resolution=True)


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def test_unknown_rows_do_not_count() -> None:
    history = [payment(at, flag=flag) for at, flag in enumerate((None, 1, 0, None, 0))]
    assert ask(history, "rate", "flag") == [None, 1.0, 0.5, 0.5, 1 / 3]


def test_a_label_counts_once_it_is_old_enough() -> None:
    history = [payment(0, flag=1), payment(5, flag=0), payment(7, flag=0), payment(12, flag=0), payment(17, flag=0)]
    assert ask(history, "rate", "flag", over=WINDOWS[:1], delay=7_000_000) == [None, None, 1.0, 0.5, 0.0]
