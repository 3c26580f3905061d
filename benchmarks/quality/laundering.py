"""Laundering attempts in bank traffic: train on eight days, choose the threshold on two, measure on the next eight."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from counterfoil.config import SourceConfig
from counterfoil.detector_file import load_detector
from counterfoil.models.matrix import matrix_of_frame
from counterfoil.training import Dataset, Labelling, Settings, SplitPlan, Training, TrainingTable, train
from counterfoil.training.measures import average_precision, best_f1, f1_at, ranking, roc_auc

DAY = 86_400_000_000
DETECTOR = "laundering-accounts"
SEEDS = (1, 2, 3)
_FILE = "transactions.parquet"
_TRAIN_DAYS, _THRESHOLD_DAYS = 8, 2
_TOP = 0.001


@dataclass(frozen=True)
class Score:
    """The measures with one seed."""

    auc: float
    average_precision: float
    f1: float
    attempts: int
    """Attempts with a row among the highest thousandth of scores."""


def dataset(folder: Path, out: Path) -> TrainingTable:
    """Replay the transfers through the detector and return the training table."""
    source = SourceConfig(format="parquet", kind="transfer", naive_utc=True)
    Dataset(load_detector(DETECTOR), [folder / _FILE], out, Labelling("is_laundering", 0), source).write()
    return TrainingTable.read(out)


def attempts(folder: Path) -> pl.Series:
    """Return the attempt of each row, for counting those that are found."""
    return pl.read_parquet(folder / _FILE, columns=["attempt_id"])["attempt_id"]


def score(table: TrainingTable, attempt: pl.Series, seed: int, threads: int = 2) -> Score:
    """Train and measure once."""
    first = int(table.times.min()) // DAY * DAY
    chosen, tested = first + _TRAIN_DAYS * DAY, first + (_TRAIN_DAYS + _THRESHOLD_DAYS) * DAY
    plan = SplitPlan(start=first, train_end=chosen, test_start=tested, gap=0, validation_share=0.0)
    settings = Settings(
        seed=seed, trees=400, learning_rate=0.03, leaves=31, least_rows=20, split_share=0.5, row_share=0.8,
        threads=threads,
    )  # fmt: skip
    trained = train(table, Training(plan=plan, settings=settings, calibrate=False, checks=False))
    model = trained.model()
    rows = np.flatnonzero((table.times >= chosen) & (table.times < tested))
    known = model.score(matrix_of_frame(table.frame[rows], trained.signature.inputs))
    _, threshold = best_f1(ranking(known, table.labels[rows]))
    found = ranking(trained.scores, trained.labels)
    top = np.argsort(-trained.scores, kind="stable")[: int(len(trained.scores) * _TOP)]
    of_top = attempt.gather(trained.split.test[top])
    return Score(
        roc_auc(found),
        average_precision(found),
        f1_at(trained.scores, trained.labels, threshold),
        int(of_top.filter(of_top >= 0).n_unique()),
    )


def summary(scores: list[Score]) -> dict[str, object]:
    """Return mean and spread over seeds, for JSON."""
    values = np.array([[each.auc, each.average_precision, each.f1, each.attempts] for each in scores])
    mean, spread = values.mean(axis=0), values.max(axis=0) - values.min(axis=0)
    return {
        "protocol": "laundering",
        "auc": round(float(mean[0]), 4),
        "ap": round(float(mean[1]), 4),
        "f1": round(float(mean[2]), 4),
        "seeds": len(scores),
        "spread": {name: round(float(each), 4) for name, each in zip(("auc", "ap", "f1"), spread, strict=False)},
        "attempts_in_top_thousandth": round(float(mean[3]), 1),
        "detector": DETECTOR,
    }
