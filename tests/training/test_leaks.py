"""A feature that knows the label is found; honest ones are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from counterfoil.models.matrix import matrix_of_frame
from counterfoil.training.inputs import choose_inputs
from counterfoil.training.leaks import find_leaks

from .tables import table


@pytest.mark.parametrize("leak", ["value", "missing"])
def test_a_planted_leak_is_named(leak: str) -> None:
    made = table(leak=leak)
    rows = np.flatnonzero(made.labels >= 0)
    inputs = choose_inputs(made, rows)
    names = [each.name for each in inputs]
    found = find_leaks(matrix_of_frame(made.frame[rows], inputs), names, made.labels[rows])
    assert [each.name for each in found] == ["leak"]
    assert "leak" in str(found[0])


def test_a_feature_that_is_certain_about_some_frauds_is_named() -> None:
    random = np.random.default_rng(1)
    labels = (random.random(20_000) < 0.02).astype(np.int8)
    half = (labels == 1) & (random.random(20_000) < 0.55)
    values = np.where(half, 1.0, 0.0).astype(np.float32)
    assert [each.name for each in find_leaks(values.reshape(-1, 1), ["half"], labels)] == ["half"]


def test_honest_features_are_left_alone() -> None:
    made = table()
    rows = np.flatnonzero(made.labels >= 0)
    inputs = choose_inputs(made, rows)
    matrix = matrix_of_frame(made.frame[rows], inputs)
    assert find_leaks(matrix, [each.name for each in inputs], made.labels[rows]) == []


def test_a_few_frauds_say_nothing() -> None:
    labels = np.array([1] * 5 + [0] * 500, np.int8)
    assert find_leaks(labels.astype(np.float32).reshape(-1, 1), ["label"], labels) == []
