"""The tally against sets: what is counted in arrays must be what anybody would count by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.backtest.measures import GROUPS_MAX, Comparison, Measures
from counterfoil.decisions.decided import AlertChange, Decided
from counterfoil.detector import DAY

RULES = ("one", "two", "three")

payment = st.tuples(
    st.integers(0, 2),  # outcome
    st.sampled_from([-1, 0, 1]),  # label
    st.tuples(*[st.sampled_from([0, 0, 1, 2])] * len(RULES)),
    st.integers(0, 5),  # day
    st.integers(0, 10_000),  # amount
    st.sampled_from([None, "a", "b"]),
    st.booleans(),  # in the period
)
payments = st.lists(payment, max_size=40)


def decided_of(rows: list[tuple]) -> Decided:  # type: ignore[type-arg]
    size = len(rows)
    words, nulls = np.zeros((0, size), np.int64), np.zeros((0, size), np.uint8)
    hits = np.array([row[2] for row in rows], np.uint8).reshape(size, len(RULES)).T
    return Decided(
        np.arange(size),
        np.array([row[0] / 2 for row in rows], np.float64),
        np.array([row[0] for row in rows], np.uint8),
        np.ascontiguousarray(hits),
        np.zeros(size, np.uint8),
        words,
        nulls,
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        0,
    )


def tally(rows: list[tuple], size: int) -> Measures:  # type: ignore[type-arg]
    measures = Measures(RULES, 2)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        measures.add(
            decided_of(part),
            np.flatnonzero([row[6] for row in part]),
            np.array([row[3] * DAY for row in part], np.int64),
            np.array([row[1] for row in part], np.int8),
            np.array([row[4] for row in part], np.int64),
            np.array([row[5] for row in part], np.object_),
        )
    return measures


@given(payments, st.sampled_from([1, 3, 100]))
def test_against_counting_by_hand(rows: list[tuple], size: int) -> None:  # type: ignore[type-arg]
    measures = tally(rows, size)
    inside = [row for row in rows if row[6]]
    flagged = [row for row in inside if row[0] > 0]
    frauds = [row for row in inside if row[1] == 1]
    assert measures.decided == len(inside)
    assert measures.flagged == len(flagged)
    assert measures.frauds == len(frauds)
    assert measures.labelled == sum(row[1] >= 0 for row in inside)
    caught, known = [row for row in flagged if row[1] == 1], [row for row in flagged if row[1] >= 0]
    assert measures.precision() == (len(caught) / len(known) if known else None)
    assert measures.recall() == (len(caught) / len(frauds) if frauds else None)
    assert measures.amount(1, 1) == sum(row[4] for row in caught) / 100
    assert measures.amount(2, 0) == sum(row[4] for row in inside if row[0] == 2 and row[1] == 0) / 100
    for index, rule in enumerate(measures.rule_measures()):
        hit = [row for row in inside if row[2][index] == 1]
        alone = [row for row in hit if sum(each == 1 for each in row[2]) == 1]
        assert (rule.hits, rule.fraud) == (len(hit), sum(row[1] == 1 for row in hit))
        assert (rule.only, rule.only_fraud) == (len(alone), sum(row[1] == 1 for row in alone))
        assert rule.failed == sum(row[2][index] == 2 for row in inside)
        for other in range(len(RULES)):
            assert measures.overlaps[index, other] == sum(row[2][index] == row[2][other] == 1 for row in inside)
    groups = Counter(row[5] for row in inside if row[5] is not None)
    assert {word: int(counts[0]) for word, counts in measures.groups.items()} == dict(groups)
    days = {day.day: day for day in measures.days() if day.decided}
    assert {day: each.decided for day, each in days.items()} == dict(Counter(row[3] for row in inside))
    for day, each in days.items():
        missed = [row for row in inside if row[3] == day and row[0] == 0 and row[1] == 1]
        assert each.missed_fraud == len(missed)
        of_day = [row for row in flagged if row[3] == day]
        assert each.flagged_fraud == sum(row[1] == 1 for row in of_day)
        assert each.flagged_genuine == sum(row[1] == 0 for row in of_day)
        assert each.flagged_unknown == sum(row[1] == -1 for row in of_day)


@given(payments)
def test_the_curve_is_the_score_as_a_threshold(rows: list[tuple]) -> None:  # type: ignore[type-arg]
    inside = [row for row in rows if row[6]]
    frauds = sum(row[1] == 1 for row in inside)
    for score, precision, recall in tally(rows, 7).curve():
        flagged = [row for row in inside if row[0] / 2 >= score and row[1] >= 0]
        caught = sum(row[1] == 1 for row in flagged)
        assert precision == caught / len(flagged)
        assert recall == caught / frauds


def test_alerts_know_whether_there_was_fraud() -> None:
    rows = [
        (1, 0, (1, 0, 0), 0, 0, None, True),
        (1, 1, (1, 0, 0), 0, 0, None, True),
        (1, -1, (0, 1, 0), 1, 0, None, True),
    ]
    decided = decided_of(rows)
    decided.alerts = [
        AlertChange("one@0", True, 0, (0,), "card"),
        AlertChange("one@0", False, 1, (0,), "card"),
        AlertChange("@2", True, 2, (1,), None),
    ]
    measures = Measures(RULES, None)
    times = np.array([0, 0, DAY])
    measures.add(decided, np.arange(3), times, np.array([0, 1, -1], np.int8), None, None)
    assert (measures.alerts, measures.alerts_fraud, measures.alerts_genuine) == (2, 1, 0)
    assert [day.alerts for day in measures.days()] == [1, 1]
    assert [rule.alerts for rule in measures.rule_measures()] == [1, 1, 0]
    assert measures.amount(1, 1) is None


def test_an_alert_from_before_the_period_is_not_counted() -> None:
    decided = decided_of([(1, 1, (1, 0, 0), 0, 0, None, True)])
    decided.alerts = [AlertChange("one@7", False, 0, (0,), "card")]
    measures = Measures(RULES, None)
    measures.add(decided, np.arange(1), np.zeros(1, np.int64), np.ones(1, np.int8), None, None)
    assert measures.alerts == 0


def test_days_without_payments_are_days() -> None:
    rows = [(0, 0, (0, 0, 0), 2, 0, None, True), (0, 0, (0, 0, 0), 5, 0, None, True)]
    assert [day.decided for day in tally(rows, 9).days()] == [1, 0, 0, 1]


def test_groups_are_bounded() -> None:
    rows = [(0, 0, (0, 0, 0), 0, 0, f"w{number}", True) for number in range(GROUPS_MAX + 5)]
    measures = tally(rows, 100)
    assert len(measures.groups) == GROUPS_MAX + 1
    assert int(measures.groups["other"][0]) == 5


def test_nothing() -> None:
    measures = Measures(RULES, 2)
    found = measures.as_dict()
    assert (found["precision"], found["recall"], found["days"]) == (None, None, [])
    assert measures.curve() == []


def test_comparison() -> None:
    comparison = Comparison()
    comparison.add(
        np.array([1, 0, 2, 1], np.uint8), np.array([0, 1, 2, 2], np.uint8), np.array([1, 0, -1, -1], np.int8)
    )
    assert comparison.gained == {"fraud": 1, "genuine": 0, "missing": 0}
    assert comparison.lost == {"fraud": 0, "genuine": 1, "missing": 0}
    assert comparison.as_dict()["changed"] == {
        "review → approve": {"fraud": 0, "genuine": 1, "missing": 0},
        "approve → review": {"fraud": 1, "genuine": 0, "missing": 0},
        "block → review": {"fraud": 0, "genuine": 0, "missing": 1},
    }
