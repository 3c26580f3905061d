"""What it costs to say why: contributions of 100 trees a row, next to LightGBM's own, and the reasons as text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from benchmarks.harness import Result, best_seconds, report
from counterfoil.models.explanations import Explainer
from counterfoil.models.lightgbm_file import read_lightgbm
from counterfoil.models.model import Model
from counterfoil.models.outlier import OutlierState
from counterfoil.models.profile import profile_of
from counterfoil.models.signature import Input
from counterfoil.models.tree_shap import plan_tree_shap

FEATURES, TREES, LEAVES, ROWS = 60, 100, 31, 1_024


def main() -> list[Result]:
    """Explain rows in batches, one alone, and put them into words."""
    import lightgbm

    random = np.random.default_rng(0)
    matrix = random.normal(size=(20_000, FEATURES)).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    filled = np.nan_to_num(matrix)
    fraud = filled[:, 0] * filled[:, 1] + filled[:, 2] + random.normal(size=len(matrix)) / 2 > 1
    options = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(matrix, fraud.astype(int)), TREES)
    tables = read_lightgbm(booster.model_to_string())
    plan = plan_tree_shap(tables)
    assert plan is not None
    rows = matrix[:ROWS]
    theirs = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1))
    assert np.abs(plan.contributions(rows) - theirs[:, :-1]).max() < 1e-9, "the two disagree"
    inputs = tuple(Input(f"card_spend_{number}h", "money") for number in range(FEATURES))
    signature = SimpleNamespace(inputs=inputs, profile=profile_of(inputs, matrix, theirs.sum(axis=1)))
    model = SimpleNamespace(signature=signature, trees=tables, linear=None, sha256="00" * 32, filled=lambda each: each)
    explainer = Explainer(cast("Model", model))
    outlier = OutlierState(FEATURES)
    outlier.update(matrix)

    ours = best_seconds(lambda: plan.contributions(rows), 5)
    lightgbms = best_seconds(lambda: booster.predict(rows, pred_contrib=True, num_threads=1), 3)
    alone = best_seconds(lambda: [plan.contributions(rows[:1]) for _ in range(50)], 5) / 50
    told = best_seconds(lambda: [each.as_dict() for each in explainer.explain(rows)], 3)
    scored = best_seconds(lambda: outlier.update(matrix), 3)
    note = f"{TREES} trees of {LEAVES} leaves, {FEATURES} features, one core"
    return [
        Result("Contributions of trees, per row", ours / ROWS * 1e6, "µs", "≤ 100", f"exact; {note}"),
        Result("Contributions against LightGBM", lightgbms / ours, "×", note="the same numbers by pred_contrib"),
        Result("Contributions of one row alone", alone * 1e6, "µs", note=note),
        Result("Reasons as text, per row", told / ROWS * 1e6, "µs", note="contributions, five features in words"),
        Result("Online outlier score, per payment", scored / len(matrix) * 1e6, "µs", note=f"{FEATURES} features"),
    ]


if __name__ == "__main__":
    report(main)
