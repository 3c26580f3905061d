"""Contributions of trees: equal to the definition, to LightGBM's own, and to themselves in any company."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.models.lightgbm_file import read_lightgbm
from counterfoil.models.tree_shap import plan_tree_shap
from counterfoil.models.trees import TreeTables
from tests.models.tree_games import margin, random_rows, random_trees, shapley, worth


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5), st.integers(0, 6))
def test_contributions_are_the_shapley_values_of_the_definition(
    seed: int, trees: int, features: int, depth: int
) -> None:
    random = np.random.default_rng(seed)
    tables = random_trees(random, trees, features, depth)
    rows = random_rows(random, 3, features)
    plan = plan_tree_shap(tables)
    assert plan is not None
    found = plan.contributions(rows)
    for row, values in zip(rows, found, strict=True):
        assert values == pytest.approx(shapley(tables, row), abs=1e-10)
    assert plan.base == pytest.approx(worth(tables, rows[0], frozenset()), abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 14))
def test_contributions_and_base_sum_to_the_margin(seed: int, features: int, depth: int) -> None:
    """Deep trees, too, with many points to the quadrature."""
    random = np.random.default_rng(seed)
    tables = random_trees(random, 4, features, depth)
    rows = random_rows(random, 5, features)
    plan = plan_tree_shap(tables)
    assert plan is not None
    # A row that reaches a leaf where no training row went: its parts are there and sum up all the same.
    sums = plan.contributions(rows).sum(axis=1) + plan.base
    assert sums == pytest.approx([margin(tables, row) for row in rows], abs=1e-9)


def test_a_row_has_the_same_contributions_in_any_company() -> None:
    random = np.random.default_rng(5)
    tables = random_trees(random, 20, 8, 7)
    rows = random_rows(random, 101, 8)
    plan = plan_tree_shap(tables)
    assert plan is not None
    alone = np.concatenate([plan.contributions(rows[index : index + 1]) for index in range(len(rows))])
    assert np.array_equal(alone, plan.contributions(rows))


def test_no_rows_and_trees_of_a_single_leaf_contribute_nothing() -> None:
    random = np.random.default_rng(1)
    tables = random_trees(random, 3, 4, 0)
    plan = plan_tree_shap(tables)
    assert plan is not None
    assert plan.contributions(np.zeros((0, 4), np.float32)).shape == (0, 4)
    assert not plan.contributions(random_rows(random, 4, 4)).any()
    assert plan.base == pytest.approx(0.25 + tables.value.sum())


def test_without_covers_there_is_no_exact_answer() -> None:
    assert plan_tree_shap(random_trees(np.random.default_rng(1), 3, 4, 3, covers=False)) is None


def test_a_feature_that_no_tree_asks_is_worth_nothing() -> None:
    random = np.random.default_rng(2)
    tables = random_trees(random, 10, 3, 6)
    plan = plan_tree_shap(tables)
    assert plan is not None
    rows = random_rows(random, 20, 7)
    assert not plan.contributions(rows)[:, 3:].any()


def test_contributions_are_those_of_lightgbm() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    random = np.random.default_rng(6)
    rows = random.normal(size=(4_000, 12)).astype(np.float32)
    rows[random.random(rows.shape) < 0.1] = np.nan
    filled = np.nan_to_num(rows)
    fraud = (filled[:, 0] * filled[:, 1] + filled[:, 2] + random.normal(size=4_000) > 1.5).astype(int)
    options = {"objective": "binary", "num_leaves": 63, "verbose": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(rows, fraud), 40)
    plan = plan_tree_shap(read_lightgbm(booster.model_to_string()))
    assert plan is not None
    theirs = booster.predict(rows[:300], pred_contrib=True)
    assert plan.contributions(rows[:300]) == pytest.approx(theirs[:, :-1], abs=1e-9)
    assert plan.base == pytest.approx(theirs[0, -1], abs=1e-9)


def test_contributions_are_those_of_shap() -> None:
    """What shap 0.51.0, of the authors of TreeSHAP, says of one tree (``tree_path_dependent``).

    Its answers stand here because it asks for a dozen packages that nothing else needs.
    """
    tables = TreeTables.of_lists(
        root=[0],
        feature=[2, 3, 3, -1, -1, 2, -1, -1, 3, 3, -1, -1, 1, -1, -1],
        threshold=[1, 3, -3, 0, 0, -2, 0, 0, 0, 1, 0, 0, -2, 0, 0],
        left=[1, 2, 3, -1, -1, 6, -1, -1, 9, 10, -1, -1, 13, -1, -1],
        right=[8, 5, 4, -1, -1, 7, -1, -1, 12, 11, -1, -1, 14, -1, -1],
        missing_left=[node in {0, 8, 12} for node in range(15)],
        value=[0, 0, 0, 0.75, -1.85, 0, -0.38, 0.46, 0, 0, -0.81, -0.47, 0, -0.74, 0.38],
        cover=[1000, 590, 355, 193, 162, 235, 87, 148, 410, 126, 70, 56, 284, 195, 89],
    )
    absent = np.nan
    rows = np.array(
        [
            [4.5, 1.5, absent, -3.0],
            [-3.0, absent, -0.5, 2.0],
            [absent, absent, 4.0, 1.5],
            [2.0, 2.0, -1.0, 4.5],
            [-4.0, -2.0, 3.0, -4.0],
            [4.5, -4.0, 2.0, absent],
        ],
        np.float32,
    )
    theirs = [
        [0.0, 0.0728, 0.40041161, 0.59021839],
        [0.0, -0.057210704, -0.117909094, -1.361450202],
        [0.0, -0.214726335, 0.258796013, -0.470639679],
        [0.0, 0.125349296, 0.241299629, 0.406781075],
        [0.0, -0.073746992, -0.563367602, 0.140544593],
        [0.0, -0.073746992, -0.285778878, 0.20295587],
    ]
    plan = plan_tree_shap(tables)
    assert plan is not None
    assert plan.contributions(rows) == pytest.approx(np.array(theirs), abs=1e-8)
