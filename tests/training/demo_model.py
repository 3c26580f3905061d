"""A training table, a model and decisions for tests: made here, in no time, without a detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from counterfoil.models.linear import LinearWeights
from counterfoil.models.matrix import matrix_of_frame
from counterfoil.models.onnx_writing import linear_onnx
from counterfoil.models.profile import profile_of
from counterfoil.models.signature import Input, Signature
from counterfoil.training.table import Content, TrainingTable, write_table

DAY = 86_400_000_000
INPUTS = (Input("amount", "money", 0.0), Input("card_count_1h", "int", 0.0), Input("new_device", "bool", 0.0))


def frame(
    random: np.random.Generator, rows: int, first_day: int = 0, days: int = 4, shift: float = 1.0
) -> pl.DataFrame:
    """Return payments of some days, a few of them fraud; ``shift`` multiplies the amounts."""
    fraud = random.random(rows) < 0.03
    times = np.sort(random.integers(first_day * DAY, (first_day + days) * DAY, rows))
    return pl.DataFrame(
        {
            "id": [f"t{first_day}-{number}" for number in range(rows)],
            "event_time": pl.Series(times).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "label": fraud,
            "label_known_at": pl.Series(times + 2 * DAY).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "customer_id": [f"#{number:016x}" for number in random.integers(0, rows // 3, rows).tolist()],
            "amount": np.round(random.lognormal(3, 1, rows) * np.where(fraud, 4, 1) * shift, 2),
            "card_count_1h": random.poisson(np.where(fraud, 3, 0.3)),
            "new_device": random.random(rows) < np.where(fraud, 0.6, 0.05),
        }
    )


def write(content: pl.DataFrame, path: Path, as_of: int = 0, delay: int = 2 * DAY) -> TrainingTable:
    """Write a table, and read it."""
    types = {"customer_id": "text", "amount": "money", "card_count_1h": "int", "new_device": "bool"}
    write_table(content.lazy(), path, Content("demo@0", types, "fraud", delay, False, as_of))
    return TrainingTable.read(path)


def model(table: TrainingTable, name: str = "demo") -> tuple[bytes, Signature]:
    """Return a linear model with the profile of its table."""
    weights = np.array([0.02, 0.8, 2.0])
    matrix = matrix_of_frame(table.frame, INPUTS)
    scores = LinearWeights(weights, -5.0, "logistic").score(np.ascontiguousarray(matrix.T))
    onnx = linear_onnx(weights, -5.0)
    return onnx, Signature(name, "logistic", "demo@0", INPUTS, profile=profile_of(INPUTS, matrix, scores))


def decisions(content: pl.DataFrame, random: np.random.Generator, shadow: bool = False) -> list[bytes]:
    """Return decisions on payments: two arms by customer, of which the second sees more; or one and its shadow."""
    lines = []
    for row in content.iter_rows(named=True):
        arm = "challenger" if not shadow and int(row["customer_id"][1:], 16) % 2 else "fraud"
        known = 0.9 * row["label"] + random.normal(0, 0.35)
        strong, weak = (float(1 / (1 + np.exp(-factor * (known - 0.5)))) for factor in (8.0, 1.0))
        weak += float(random.normal(0, 0.2))
        raw = strong if arm == "challenger" else weak
        models: dict[str, Any] = {
            "fraud": {"model": f"demo@{1 + (arm != 'fraud')}", "arm": arm, "score": raw, "raw": raw}
        }
        if shadow:
            models["next"] = {"model": "demo@2", "score": strong, "raw": strong, "shadow": True}
        outcome = "review" if raw > 0.9 else "approve"
        lines.append(json.dumps({"id": row["id"], "outcome": outcome, "score": 0.0, "models": models}).encode() + b"\n")
    return lines
