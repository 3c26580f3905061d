"""Models for tests: small, made on the spot, no library needed to make them but onnx."""

from __future__ import annotations

import numpy as np

from counterfoil.models.onnx_writing import linear_onnx
from counterfoil.models.signature import Input, Signature
from counterfoil.models.trees import TreeTables


def signature_of(features: int, name: str = "demo") -> Signature:
    return Signature(name, "test", "demo@0", tuple(Input(f"f{number}", "float") for number in range(features)))


def random_trees(seed: int, trees: int, splits: int, features: int, link: str = "logistic") -> TreeTables:
    """Return trees of random shapes: deep and shallow, with missing values going both ways."""
    draw = np.random.default_rng(seed)
    columns: dict[str, list[float]] = {
        name: [] for name in ("root", "feature", "threshold", "left", "right", "missing_left", "value", "cover")
    }

    def grow(left_over: int, rows: float) -> int:
        at = len(columns["feature"])
        for name, value in (("feature", -1), ("threshold", 0), ("left", 0), ("right", 0), ("missing_left", 0)):
            columns[name].append(value)
        columns["value"].append(0.0)
        columns["cover"].append(rows)
        if left_over == 0:
            columns["value"][at] = draw.normal()
            return at
        columns["feature"][at] = int(draw.integers(features))
        columns["threshold"][at] = float(np.float32(draw.normal()))
        columns["missing_left"][at] = int(draw.integers(2))
        share = int(draw.integers(left_over))
        columns["left"][at] = grow(share, rows / 2)
        columns["right"][at] = grow(left_over - 1 - share, rows / 2)
        return at

    for _ in range(trees):
        columns["root"].append(len(columns["feature"]))
        grow(int(draw.integers(splits + 1)), 1024.0)
    missing = np.array(columns["missing_left"], np.bool_)
    return TreeTables.of_lists(
        np.array(columns["root"]),
        np.array(columns["feature"]),
        columns["threshold"],
        np.array(columns["left"]),
        np.array(columns["right"]),
        missing,
        columns["value"],
        columns["cover"],
        0.25,
        link,
    )


def random_matrix(seed: int, rows: int, features: int, missing: float = 0.1) -> np.ndarray:
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(rows, features)).astype(np.float32)
    matrix[draw.random(matrix.shape) < missing] = np.nan
    return matrix


def linear_of(weights: list[float], intercept: float = 0.0) -> bytes:
    return linear_onnx(np.array(weights), intercept)
