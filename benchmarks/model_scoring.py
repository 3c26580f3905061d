"""Scores of a model: 60 features, 100 trees of 31 leaves, on one core, against onnxruntime on the same rows.

The model is trained with LightGBM on random rows of which a twentieth of the values is missing: splits are spread over
all features and half of the ways are taken half of the time, the worst case for a branch predictor.
"""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Result, best_seconds, report
from counterfoil.models.conversion import lightgbm_onnx
from counterfoil.models.model import Model, load_model
from counterfoil.models.signature import Input, Signature

FEATURES, TREES, LEAVES, ROWS = 60, 100, 31, 32_768


def rows(seed: int, count: int) -> np.ndarray:
    """Return rows with some values missing."""
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(count, FEATURES)).astype(np.float32)
    matrix[draw.random(matrix.shape) < 0.05] = np.nan
    return matrix


def models() -> tuple[Model, Model]:
    """Return one model in our kernels and in onnxruntime."""
    import lightgbm

    matrix = rows(1, 20_000)
    filled = np.nan_to_num(matrix)
    margin = filled[:, 0] * filled[:, 1] + filled[:, 2:8].sum(axis=1)
    label = (margin + np.random.default_rng(2).normal(size=len(margin)) > 2).astype(int)
    made = lightgbm.LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, n_jobs=1, verbose=-1).fit(matrix, label)
    onnx = lightgbm_onnx(made.booster_.model_to_string())
    signature = Signature("bench", "lightgbm", "", tuple(Input(f"f{number}", "float") for number in range(FEATURES)))
    return load_model(onnx, signature), load_model(onnx, signature, "onnxruntime")


def main() -> list[Result]:
    """Measure batches and single rows."""
    ours, theirs = models()
    columns = np.ascontiguousarray(rows(3, ROWS).T)
    one = np.ascontiguousarray(columns[:, :1])
    difference = float(np.abs(ours.score_columns(columns) - theirs.score_columns(columns)).max())
    batch = best_seconds(lambda: ours.score_columns(columns), 9) / ROWS * 1e6
    whole = theirs._scorer._session  # type: ignore[attr-defined]
    matrix = np.ascontiguousarray(columns.T)
    onnxruntime = best_seconds(lambda: whole.run(["score"], {"features": matrix}), 5) / ROWS * 1e6
    single = best_seconds(lambda: ours.score_columns(one), 2_000) * 1e6
    size = f"{FEATURES} features, {TREES} trees of {LEAVES} leaves"
    return [
        Result("Scoring a row, in batches", batch, "µs", "≤ 3", f"{size}, {ROWS:,} rows, one core; aim 0.5"),
        Result("onnxruntime, the same rows", onnxruntime, "µs", "", f"one thread; scores differ by {difference:.1g}"),
        Result("Scoring in batches against onnxruntime", onnxruntime / batch, "×", "", "in one run"),
        Result("Scoring one row alone", single, "µs", "≤ 20", "the whole call from Python"),
    ]


if __name__ == "__main__":
    report(main)
