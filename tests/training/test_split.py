"""Splits follow time, with a gap for labels that were still to come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.training.split import SplitPlan, split

from .tables import DAY, START, table


@settings(max_examples=40)
@given(
    st.integers(0, 12), st.floats(0.05, 0.6), st.floats(0, 0.5), st.one_of(st.none(), st.integers(0, 15)),
    st.integers(0, 5),
)  # fmt: skip
def test_nothing_is_learnt_from_later_than_it_could_be(
    delay: int, test_share: float, validation_share: float, gap: int | None, seed: int
) -> None:
    made = table(600, 60, delay * DAY, seed)
    plan = SplitPlan(test_share=test_share, validation_share=validation_share, gap=None if gap is None else gap * DAY)
    try:
        found = split(made, plan)
    except InputError:
        return
    times, known = made.times, made.times + delay * DAY
    gap_used = delay * DAY if gap is None else gap * DAY
    start_of_test = found.borders["test"][0]
    for rows in (found.train, found.validation):
        assert (times[rows] < start_of_test - gap_used).all()
        assert (known[rows] <= start_of_test).all()
    assert (times[found.test] >= start_of_test).all()
    if len(found.validation):
        border = found.borders["validation"][0]
        assert times[found.validation].min() >= border
        assert (times[found.train] < border - gap_used).all()
        # What was not known when validation began is not learnt from either.
        assert (known[found.train] <= border).all()
    assert (found.labels[np.concatenate([found.train, found.validation, found.test])] >= 0).all()


def test_the_gap_is_the_label_delay_of_the_table() -> None:
    found = split(table(delay=7 * DAY), SplitPlan(validation_share=0))
    assert found.borders["test"][0] - found.borders["train"][1] == 7 * DAY
    assert not len(found.validation)


def test_explicit_borders() -> None:
    made = table(days=40)
    plan = SplitPlan(
        start=START + 5 * DAY, train_end=START + 12 * DAY, test_start=START + 19 * DAY, test_end=START + 26 * DAY,
        validation_share=0,
    )  # fmt: skip
    found = split(made, plan)
    assert made.times[found.train].min() >= START + 5 * DAY
    assert made.times[found.train].max() < START + 12 * DAY
    assert (found.borders["test"]) == (START + 19 * DAY, START + 26 * DAY)
    assert len(found.test) == ((made.times >= START + 19 * DAY) & (made.times < START + 26 * DAY)).sum()


def test_a_border_that_reaches_into_the_gap_is_moved_out_of_it() -> None:
    plan = SplitPlan(train_end=START + 30 * DAY, test_start=START + 20 * DAY, validation_share=0)
    found = split(table(), plan)
    assert found.borders["train"][1] == START + 13 * DAY


def test_no_test_learns_from_everything_that_is_known() -> None:
    made = table()
    found = split(made, SplitPlan(test_share=0, validation_share=0))
    assert len(found.train) == (made.labels >= 0).sum()
    assert not len(found.test)


def test_without_labels_all_rows_are_learnt_from() -> None:
    made = table()
    assert len(split(made, SplitPlan(validation_share=0), labelled=False).train) > 0


def test_errors_say_what_to_do() -> None:
    with pytest.raises(InputError, match="nothing to learn from"):
        split(table(), SplitPlan(gap=39 * DAY))
    with pytest.raises(InputError, match="no row in the period"):
        split(table(), SplitPlan(start=START + 99 * DAY))
    with pytest.raises(ConfigurationError, match="test-share"):
        SplitPlan(test_share=1)
    with pytest.raises(ConfigurationError, match="gap"):
        SplitPlan(gap=-1)
