"""Trees score as a walk in plain Python does, however many rows are asked at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import InputError
from counterfoil.models.linear import LinearWeights
from counterfoil.models.trees import TreeTables, rounded_down
from tests.models.making import random_matrix, random_trees


def slow_score(tables: TreeTables, row: np.ndarray) -> float:
    """The twin: node by node, one row."""
    total = tables.base
    for root in tables.root:
        node = int(root)
        while tables.feature[node] >= 0:
            x = float(row[tables.feature[node]])
            left = bool(tables.missing_left[node]) if math.isnan(x) else x <= float(tables.threshold[node])
            node = int(tables.left[node] if left else tables.right[node])
        total += float(tables.value[node])
    return 1.0 / (1.0 + math.exp(-total)) if tables.link == "logistic" else total


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 90), st.integers(1, 5), st.integers(1, 300))
def test_scores_are_those_of_the_slow_twin(seed: int, trees: int, splits: int, features: int, rows: int) -> None:
    tables = random_trees(seed, trees, splits, features, "identity")
    matrix = random_matrix(seed, rows, features)
    scores = tables.score(np.ascontiguousarray(matrix.T))
    assert scores.tolist() == [slow_score(tables, row) for row in matrix]


@pytest.mark.parametrize("splits", [3, 40, 200, 3_000])
def test_a_score_does_not_depend_on_the_batch(splits: int) -> None:
    tables = random_trees(7, 5, splits, 6)
    columns = np.ascontiguousarray(random_matrix(8, 700, 6).T)
    whole = tables.score(columns)
    for size in (1, 12, 13, 128, 129, 500):
        parts = [tables.score(np.ascontiguousarray(columns[:, start : start + size])) for start in range(0, 700, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_values_at_a_threshold_go_left_and_infinite_ones_go_their_way() -> None:
    stump = TreeTables.of_lists([0], [0, -1, -1], [0.1, 0, 0], [1, 0, 0], [2, 0, 0], [False] * 3, [0, -1, 1])
    at = stump.threshold[0]
    rows = np.array([[at, np.nextafter(at, np.float32(1)), np.inf, -np.inf, np.nan] * 4], np.float32)
    assert stump.score(rows)[:5].tolist() == [-1, 1, 1, -1, 1]


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False))
def test_rounding_a_threshold_keeps_the_side_of_every_float32(threshold: float, value: float) -> None:
    rounded = rounded_down(np.array([threshold]))[0]
    assert (np.float32(value) <= rounded) == (float(value) <= threshold)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"left": [0, 0, 0]}, "no cycles"),
        ({"left": [9, 0, 0]}, "no cycles"),
        ({"left": [2, 0, 0]}, "no parent or two"),
        ({"value": [0, np.inf, 1]}, "finite"),
        ({"threshold": [np.nan, 0, 0]}, "finite"),
        ({"root": [1]}, "roots"),
        ({"root": []}, "found 0"),
        ({"value": [0, 1]}, "different lengths"),
    ],
)
def test_what_is_no_tree_is_refused(change: dict[str, list[float]], said: str) -> None:
    parts: dict[str, list[float]] = {
        "root": [0],
        "feature": [0, -1, -1],
        "threshold": [0.5, 0, 0],
        "left": [1, 0, 0],
        "right": [2, 0, 0],
        "missing_left": [False, False, False],
        "value": [0, -1, 1],
    }
    with pytest.raises(InputError, match=said):
        TreeTables.of_lists(**(parts | change))  # type: ignore[arg-type]


def test_a_linear_score_does_not_depend_on_the_batch() -> None:
    draw = np.random.default_rng(1)
    model = LinearWeights(draw.normal(size=9), 0.3, "logistic")
    columns = draw.normal(size=(9, 501)).astype(np.float32)
    whole = model.score(columns)
    parts = [model.score(np.ascontiguousarray(columns[:, start : start + 7])) for start in range(0, 501, 7)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    expected = 1 / (1 + np.exp(-(columns.T.astype(np.float64) @ model.weights + 0.3)))
    assert np.abs(whole - expected).max() < 1e-12
