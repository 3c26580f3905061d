from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import WINDOWS, Arrival, ask, histories, payment, variants

WORLDS = {argument: variants("sum", argument, resolution=True) for argument in ("tip", "weight", "flag")}


@pytest.mark.parametrize("argument", WORLDS)
@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(argument: str, history: list[Arrival]) -> None:
    WORLDS[argument].agree(history)


def test_is_null_where_no_row_has_a_value() -> None:
    history = [payment(0, tip=None), payment(1, tip=250), payment(2, tip=-50), payment(3, tip=None)]
    assert ask(history, "sum", "tip") == [None, 250, 200, 200]
    assert ask(history, "sum", "tip", prior=True) == [None, None, 250, 200]


def test_counts_what_is_true() -> None:
    assert ask([payment(0, flag=1), payment(1, flag=0), payment(2, flag=1)], "sum", "flag") == [1, 1, 2]


def test_floats_come_out_as_they_went_in() -> None:
    """What enters and leaves in any order and size leaves no trace."""
    history = [payment(0, weight=1e15), payment(1, weight=0.1), payment(61, weight=0.2)]
    assert ask(history, "sum", "weight", over=WINDOWS[1:])[-1] == pytest.approx(0.2, rel=1e-15)


def test_small_negative_floats_keep_their_digits() -> None:
    assert ask([payment(0, weight=-1e-12)], "sum", "weight") == [pytest.approx(-1e-12, rel=1e-7, abs=0)]
