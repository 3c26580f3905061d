"""Measures equal scikit-learn's, and slow counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.training.calibration import logistic, platt
from counterfoil.training.measures import (
    DAY,
    average_precision,
    best_f1,
    calibration,
    card_precision,
    f1_at,
    measure,
    ranking,
    recall_at,
    roc_auc,
)

scored = st.lists(
    st.tuples(st.integers(0, 8).map(lambda step: step / 8), st.booleans(), st.integers(1, 500)), min_size=2, max_size=60
).filter(lambda rows: 0 < sum(fraud for _, fraud, _ in rows) < len(rows))


@given(scored)
def test_areas_equal_scikit_learn(rows: list[tuple[float, bool, int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    scores, fraud, weight = (np.array(each) for each in zip(*rows, strict=True))
    labels, weights = fraud.astype(np.int8), weight.astype(np.float64)
    found = ranking(scores, labels)
    assert roc_auc(found) == pytest.approx(sklearn.roc_auc_score(labels, scores))
    assert average_precision(found) == pytest.approx(sklearn.average_precision_score(labels, scores))
    weighted = ranking(scores, labels, weights)
    expected = sklearn.average_precision_score(labels, scores, sample_weight=weights)
    assert average_precision(weighted) == pytest.approx(expected)
    f1, threshold = best_f1(found)
    assert f1 == pytest.approx(sklearn.f1_score(labels, scores >= threshold))
    assert f1 == pytest.approx(max(sklearn.f1_score(labels, scores >= each) for each in set(scores.tolist())))
    assert f1_at(scores, labels, threshold) == pytest.approx(f1)


def test_without_frauds_nothing_can_be_said() -> None:
    found = ranking(np.array([0.1, 0.2]), np.array([0, 0], np.int8))
    assert math.isnan(roc_auc(found))
    assert math.isnan(average_precision(found))
    assert math.isnan(best_f1(found)[0])
    assert math.isnan(recall_at(np.zeros(2), np.zeros(2, np.int8), 0.5))
    assert math.isnan(average_precision(ranking(np.zeros(0), np.zeros(0, np.int8))))


def test_recall_at_a_rate_shares_ties() -> None:
    scores, labels = np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0], np.int8)
    assert recall_at(scores, labels, 0.25) == 0.5
    assert recall_at(scores, labels, 0.5) == 0.75
    assert recall_at(scores, labels, 1.0) == 1.0


def test_card_precision_looks_at_each_found_card_once() -> None:
    times = np.array([0, 1, 2, DAY, DAY + 1, DAY + 2], np.int64)
    cards = np.array([1, 2, 3, 1, 2, 3], np.int64)
    scores = np.array([0.9, 0.8, 0.1, 0.9, 0.2, 0.8])
    labels = np.array([1, 0, 0, 1, 0, 1], np.int8)
    # Day one: cards 1 and 2, one of them rightly. Day two: 1 is known, so 3 and 2 are looked at.
    assert card_precision(scores, labels, times, cards, 2) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert card_precision(scores, labels, times, cards, 1) == 1.0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 999), st.booleans()), max_size=40))
def test_card_precision_equals_a_slow_count(rows: list[tuple[int, int, int, bool]]) -> None:
    rows = [(day, card, score * 1000 + index, fraud) for index, (day, card, score, fraud) in enumerate(rows)]
    caught: set[int] = set()
    expected = []
    for day in sorted({row[0] for row in rows}):
        cards: dict[int, tuple[int, bool]] = {}
        for _, card, score, fraud in (row for row in rows if row[0] == day):
            old = cards.get(card, (-1, False))
            cards[card] = max(old[0], score), old[1] or fraud
        order = sorted((card for card in cards if card not in caught), key=lambda card: -cards[card][0])[:2]
        expected.append(sum(cards[card][1] for card in order) / 2)
        caught |= {card for card in order if cards[card][1]}
    columns = [np.array([row[place] for row in rows]) for place in range(4)]
    days, cards_, scores, frauds = columns
    found = card_precision(
        scores.astype(np.float64), frauds.astype(np.int8), days.astype(np.int64) * DAY, cards_.astype(np.int64), 2
    )
    if rows:
        assert found == pytest.approx(np.mean(expected))
    else:
        assert math.isnan(found)


def test_bins_of_calibration_hold_all_rows() -> None:
    random = np.random.default_rng(1)
    scores = random.random(2_000) ** 4
    labels = (random.random(2_000) < scores).astype(np.int8)
    bins = calibration(scores, labels)
    assert sum(each.rows for each in bins) == 2_000
    assert all(abs(each.said - each.true) < 0.12 for each in bins)
    assert calibration(scores, np.zeros(2_000, np.int8)) == []


def test_platt_makes_probabilities_of_margins() -> None:
    random = np.random.default_rng(2)
    true = random.normal(-3, 2, 40_000)
    labels = (random.random(40_000) < logistic(true)).astype(np.int8)
    slope, intercept = platt((true - 5) / 3, labels)
    assert slope == pytest.approx(3, rel=0.05)
    assert intercept == pytest.approx(5, rel=0.05)
    assert platt(true[:50], np.zeros(50, np.int8)) == (1.0, 0.0)
    assert platt(-true, labels) == (1.0, 0.0)


def test_what_cannot_be_measured_is_left_out() -> None:
    labels = np.array([1, 0, 1, 0], np.int8)
    found = measure(np.array([0.9, 0.1, 0.8, 0.3]), labels, np.arange(4))
    assert found.auc == 1.0
    assert "card_precision_at_100" not in found.as_metrics()
    more = measure(
        np.array([0.9, 0.1, 0.8, 0.3]), labels, np.arange(4), np.arange(4), np.array([1.0, 2, 3, 4]), threshold=0.85
    )
    assert more.f1 == pytest.approx(2 / 3)
    assert more.as_metrics()["card_precision_at_100"] == 0.02
