"""LightGBM's text comes from elsewhere: what it says is taken, or refused by name, and never anything else."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import InputError
from counterfoil.models import lightgbm_file
from counterfoil.models.lightgbm_file import read_lightgbm
from counterfoil.models.trees import TreeTables

TEXT = """tree
version=v4
num_class=1
num_tree_per_iteration=1
max_feature_idx=1
objective=binary sigmoid:1

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
threshold=0.5 2
decision_type=10 8
left_child=-1 -2
right_child=1 -3
leaf_value=0.1 0.2 -0.4
leaf_count=40 30 30
internal_count=100 60
is_linear=0

Tree=1
num_leaves=1
num_cat=0
leaf_value=0.25

end of trees
"""


def _score(tables: TreeTables, *row: float) -> float:
    total = tables.base
    for root in tables.root.tolist():
        node = root
        while tables.feature[node] >= 0:
            value = row[tables.feature[node]]
            left = tables.missing_left[node] if np.isnan(value) else value <= tables.threshold[node]
            node = int(tables.left[node] if left else tables.right[node])
        total += float(tables.value[node])
    return total


def test_a_text_says_what_its_trees_add_up_to() -> None:
    tables = read_lightgbm(TEXT)
    assert tables.link == "logistic"
    assert tables.cover is not None
    assert tables.cover.tolist() == [100, 60, 40, 30, 30, 0]
    found = [_score(tables, *row) for row in ((0.5, 9.0), (1.0, 2.0), (1.0, 2.5), (np.nan, 9.0), (1.0, np.nan))]
    assert found == pytest.approx([0.35, 0.45, -0.15, 0.35, -0.15])


def test_averages_steepness_and_calibration_are_folded_into_the_leaves() -> None:
    mean = TEXT.replace("objective=binary sigmoid:1\n", "objective=regression\naverage_output\n")
    tables = read_lightgbm(mean)
    assert tables.link == "identity"
    assert _score(tables, 0.0, 0.0) == pytest.approx(0.175)
    steep = read_lightgbm(TEXT.replace("sigmoid:1", "sigmoid:2"), slope=3.0, intercept=0.5)
    assert _score(steep, 0.0, 0.0) == pytest.approx(0.5 + 3 * 2 * 0.35)


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("tree\n", "forest\n", "found no trees"),
        ("\nTree=", "\nShrub=", "found no trees"),
        ("num_class=1", "num_class=3", "found several classes"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2", "found several classes"),
        ("sigmoid:1", "sigmoid:steep", 'found the objective "binary sigmoid:steep"'),
        ("sigmoid:1", "sigmoid:nan", 'found the objective "binary sigmoid:nan"'),
        ("num_leaves=3\n", "", "does not say how many leaves"),
        ("num_leaves=3", "num_leaves=few", "does not say how many leaves"),
        ("num_leaves=3", "num_leaves=0", "found a tree of 0 leaves; allowed: 1 to"),
        ("is_linear=0", "is_linear=1", "found linear leaves"),
        ("decision_type=10 8", "decision_type=1 8", "found categorical splits"),
        ("decision_type=10 8", "decision_type=6 8", "found zero as a missing value"),
        ("decision_type=10 8", "decision_type=10", "found 1 of decision_type; allowed: 2"),
        ("leaf_value=0.1 0.2 -0.4", "leaf_value=0.1 0.2 much", "leaf_value holds something that is no number"),
        ("left_child=-1 -2", "left_child=-1 0", "no trees|cycle|one parent"),
        ("left_child=-1 -2", "left_child=-1 nan", "left_child holds something that is no whole number"),
        ("left_child=-1 -2", "left_child=-1 1e300", "left_child holds something that is no whole number"),
        ("decision_type=10 8", "decision_type=10 8.5", "decision_type holds something that is no whole number"),
        ("right_child=1 -3", "right_child=1 -9", "."),
        ("split_feature=0 1", "split_feature=0 -7", "."),
    ],
)
def test_what_is_no_model_is_refused_by_name(was: str, now: str, words: str) -> None:
    assert was in TEXT
    with pytest.raises(InputError, match=words):
        read_lightgbm(TEXT.replace(was, now))


def test_what_is_too_large_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightgbm_file, "TREES_MAX", 1)
    with pytest.raises(InputError, match="found 2 trees; allowed: 1"):
        read_lightgbm(TEXT)
    monkeypatch.setattr(lightgbm_file, "TREES_MAX", 9)
    monkeypatch.setattr(lightgbm_file, "NODES_MAX", 5)
    with pytest.raises(InputError, match="found more than 5 nodes"):
        read_lightgbm(TEXT)
    monkeypatch.setattr(lightgbm_file, "TEXT_BYTES_MAX", 20)
    with pytest.raises(InputError, match="characters; allowed: 20"):
        read_lightgbm(TEXT)


_NUMBERS = [match.span() for match in re.finditer(r"-?\d+(?:\.\d+)?", TEXT)]


@settings(max_examples=400)
@given(
    st.sampled_from(_NUMBERS), st.sampled_from(["nan", "inf", "-1", "0", "7", "-9", "1e300", "1.5", "", "x", "9" * 30])
)
def test_any_number_may_be_another_one(span: tuple[int, int], text: str) -> None:
    """It is a model, or it is refused: no traceback, no warning, no table that points outside of itself."""
    try:
        tables = read_lightgbm(TEXT[: span[0]] + text + TEXT[span[1] :])
    except InputError:
        return
    for row in ((0.0, 0.0), (1.0, 3.0), (np.nan, np.nan)):
        _score(tables, *(*row, *row, *row, *row, *row))
