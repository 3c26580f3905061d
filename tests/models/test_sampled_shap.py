"""The estimate: it sums up exactly, finds what is certain, and comes near to the truth with more orders."""

from __future__ import annotations

import numpy as np
import pytest

from counterfoil.models import sampled_shap
from counterfoil.models.sampled_shap import Floats, Rows, sampled_contributions
from tests.models.tree_games import random_rows


def _score(rows: Rows) -> Floats:
    values = np.nan_to_num(rows.astype(np.float64), nan=0.5)
    return np.asarray(values[:, 0] * values[:, 1] + 2 * values[:, 2] + np.maximum(values[:, 3], values[:, 0]))


def test_it_sums_to_the_score_less_that_of_the_reference() -> None:
    random = np.random.default_rng(0)
    rows, reference = random_rows(random, 50, 6), np.zeros(6, np.float32)
    found = sampled_contributions(_score, rows, reference, 2, 7)
    assert found.sum(axis=1) == pytest.approx(_score(rows) - _score(reference[None]), abs=1e-9)


def test_a_feature_that_stands_alone_is_exact_and_one_that_is_not_used_is_worth_nothing() -> None:
    rows = np.ones((3, 6), np.float32)
    found = sampled_contributions(_score, rows, np.zeros(6, np.float32), 1, 7)
    assert found[:, 2] == pytest.approx(2.0)
    assert not found[:, 4:].any()


def test_more_orders_come_nearer_to_the_shapley_values() -> None:
    rows = np.array([[3, 2, 1, 1, 0, 0]], np.float32)
    # x0 x1 is shared by halves; of max(x3, x0) = 3, one is shared and two are x0's.
    truth = np.array([3 + 2.5, 3, 2, 0.5, 0, 0])
    errors = [
        np.abs(sampled_contributions(_score, rows, np.zeros(6, np.float32), pairs, 3)[0] - truth).max()
        for pairs in (1, 300)
    ]
    assert errors[1] < 0.1
    assert errors[1] <= errors[0]


def test_the_same_seed_gives_the_same_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(np.random.default_rng(3), 20, 6)
    whole = sampled_contributions(_score, rows, np.zeros(6, np.float32), 2, 7)
    monkeypatch.setattr(sampled_shap, "EVALUATIONS_MAX", 21)
    assert np.array_equal(sampled_contributions(_score, rows, np.zeros(6, np.float32), 2, 7), whole)
