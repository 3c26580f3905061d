"""The Fraud Detection Handbook's protocol: train on a week, wait a week for labels, measure on the next.

Fraud-Detection-Handbook, chapters 3 and 5. Set A is one week; set B the mean over the four weeks of the handbook's
validation folds. From each test day on, cards are left out whose fraud had become known by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.config import SourceConfig
from counterfoil.detector_file import load_detector
from counterfoil.models.matrix import matrix_of_frame
from counterfoil.training import Dataset, Labelling, Settings, SplitPlan, Training, TrainingTable, train
from counterfoil.training.measures import average_precision, card_precision, ranking, roc_auc

DAY = 86_400_000_000
WEEK = 7 * DAY
DETECTOR = "handbook-extended"
A_DAYS = (115,)
"""Days from the first day of the data to the first day of training: 2018-07-25."""
B_DAYS = (80, 87, 94, 101)
"""2018-06-20 and the three weeks after it."""
SEEDS = (1, 2, 3)
_FILE = "transactions.parquet"


@dataclass(frozen=True)
class Score:
    """The measures of one set with one seed."""

    auc: float
    average_precision: float
    card_precision: float


def starts(times: npt.NDArray[np.int64]) -> dict[str, list[int]]:
    """Return the first instant of training of every fold: the handbook's days, earlier where history is shorter."""
    first, last = int(times.min()) // DAY * DAY, int(times.max()) // DAY * DAY
    latest = (last - first) // DAY - 20
    if latest < 7:
        raise SystemExit(f"the card protocol needs 28 days of payments; found {(last - first) // DAY + 1}")
    shift = min(0, latest - max(A_DAYS))
    days = {"A": A_DAYS, "B": B_DAYS}
    return {name: sorted({first + max(day + shift, 7) * DAY for day in each}) for name, each in days.items()}


def dataset(folder: Path, out: Path) -> TrainingTable:
    """Replay the payments through the detector and return the training table."""
    labelling = Labelling("TX_FRAUD", WEEK)
    source = SourceConfig(format="parquet", kind="transaction", naive_utc=True)
    Dataset(load_detector(DETECTOR), [folder / _FILE], out, labelling, source).write()
    return TrainingTable.read(out)


def truth(folder: Path) -> npt.NDArray[np.int8]:
    """Return the labels as they are known today, for measuring: the table leaves out the last days' on purpose."""
    return pl.read_parquet(folder / _FILE, columns=["TX_FRAUD"])["TX_FRAUD"].cast(pl.Int8).to_numpy()


def fold(table: TrainingTable, labels: npt.NDArray[np.int8], start: int, seed: int, threads: int = 2) -> Score:
    """Train on the week from ``start`` and measure on the third week.

    Parameters
    ----------
    table
        The training table.
    labels
        The truth of all its rows.
    start
        The first instant of training, in microseconds since 1970.
    seed
        Of the learner.
    threads
        That learn.
    """
    rows = np.flatnonzero((table.times >= start) & (table.times < start + 3 * WEEK))
    part = replace(table, frame=table.frame[rows])
    plan = SplitPlan(
        start=start, train_end=start + WEEK, test_start=start + 2 * WEEK, test_end=start + 3 * WEEK, gap=WEEK,
        validation_share=0.0,
    )  # fmt: skip
    settings = Settings(seed=seed, trees=300, bags=4, threads=threads)
    trained = train(part, Training(plan=plan, settings=settings, calibrate=False, checks=False))
    times, cards = part.times, part.frame["CUSTOMER_ID"].to_numpy()
    tested = measured_rows(times, cards, labels[rows], start)
    # In the order in which the payments came, by the very file that would serve.
    scores = trained.model().score(matrix_of_frame(part.frame[tested], trained.signature.inputs))
    fraud = labels[rows][tested]
    found = ranking(scores, fraud)
    return Score(roc_auc(found), average_precision(found), card_precision(scores, fraud, times[tested], cards[tested]))


def measured_rows(
    times: npt.NDArray[np.int64], cards: npt.NDArray[np.int64], labels: npt.NDArray[np.int8], start: int
) -> npt.NDArray[np.int64]:
    """Return the rows of the third week, without cards whose fraud was known a week before each of its days."""
    found = []
    for day in range(7):
        begin = start + 2 * WEEK + day * DAY
        known = np.unique(cards[(labels == 1) & (times >= start) & (times < begin - WEEK)])
        of_day = np.flatnonzero((times >= begin) & (times < begin + DAY))
        found.append(of_day[~np.isin(cards[of_day], known)])
    return np.concatenate(found)


def summary(scores: list[list[Score]], name: str) -> dict[str, object]:
    """Return the mean over folds, and mean and spread over seeds, for JSON."""
    values = np.array([[[each.auc, each.average_precision, each.card_precision] for each in folds] for folds in scores])
    of_seed = values.mean(axis=1)
    mean, spread = of_seed.mean(axis=0), of_seed.max(axis=0) - of_seed.min(axis=0)
    return {
        "protocol": f"cards-{name}",
        "auc": round(float(mean[0]), 4),
        "ap": round(float(mean[1]), 4),
        "cp100": round(float(mean[2]), 4),
        "seeds": len(scores),
        "spread": {name: round(float(each), 4) for name, each in zip(("auc", "ap", "cp100"), spread, strict=True)},
        "folds": [[round(float(each), 4) for each in fold] for fold in values.mean(axis=0).tolist()],
        "detector": DETECTOR,
    }
