from __future__ import annotations

from hypothesis import given, settings

from tests.features.harness import Arrival, ask, histories, payment, variants

WORLD = variants("share", "flag", resolution=True)


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def test_unknown_rows_do_not_count() -> None:
    history = [payment(at, flag=flag) for at, flag in enumerate((None, 1, 0, None, 0))]
    assert ask(history, "share", "flag") == [None, 1.0, 0.5, 0.5, 1 / 3]
