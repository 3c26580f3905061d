"""Leaks: features that alone are too good to be true, and features that hold their own label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from counterfoil.training.measures import Labels, average_precision, ranking, roc_auc

SUSPECT_AUC = 0.98
"""A single feature that ranks this well holds its own label: 1.000 was seen of such. The best honest ones reach 0.721
on the handbook's cards, 0.888 on the laundering data, 0.830 on generated payments (docs/training.md has all)."""
SUSPECT_PRECISION = 0.90
SUSPECT_PRECISION_LEAST_RECALL = 0.5
"""Average precision finds a feature that is certain about a part of the frauds and silent about the rest. The best
honest one on the cards has 0.434; with labels known after a second instead of a week, which no AUC shows, 0.614."""
ROWS_MAX = 200_000
FRAUDS_MIN = 20
"""Below so many frauds anything may look perfect by chance."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A feature that alone is too good."""

    name: str
    auc: float
    average_precision: float
    missing: bool
    """Whether it is its being absent, not its value, that tells."""

    def __str__(self) -> str:
        how = "whether it is there at all" if self.missing else "its value"
        return (
            f"{self.name}: {how} alone gives AUC {self.auc:.3f} and average precision {self.average_precision:.3f}."
            " Does it know the label? See to it that labels count only once they are known (delay), or --exclude it."
        )


def find_leaks(matrix: npt.NDArray[np.float32], names: Sequence[str], labels: Labels) -> list[Suspect]:
    """Return the features that alone are too good, the best first.

    Parameters
    ----------
    matrix
        (rows, features); NaN for null.
    names
        Of the features.
    labels
        1 fraud, 0 genuine.
    """
    if int((labels == 1).sum()) < FRAUDS_MIN or int((labels == 0).sum()) < FRAUDS_MIN:
        return []
    rows = _chosen(labels)
    matrix, labels = matrix[rows], labels[rows]
    found = []
    for index, name in enumerate(names):
        best = max(_alone(matrix[:, index].astype(np.float64), name, labels), key=lambda each: each.average_precision)
        sharp = best.average_precision >= SUSPECT_PRECISION * _certain_share(best)
        if best.auc >= SUSPECT_AUC or sharp:
            found.append(best)
    return sorted(found, key=lambda each: -each.auc)


def _certain_share(suspect: Suspect) -> float:
    # With the ranks of silence drawn at random, a feature that is right about half of the frauds has an AUC of 0.75.
    return max(2 * suspect.auc - 1, SUSPECT_PRECISION_LEAST_RECALL)


def _chosen(labels: Labels) -> npt.NDArray[np.int64]:
    """Return all frauds and an even choice of the others, in order."""
    frauds, others = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
    step = max(1, -(-len(others) // ROWS_MAX))
    return np.sort(np.concatenate([frauds, others[::step]]))


def _alone(values: npt.NDArray[np.float64], name: str, labels: Labels) -> list[Suspect]:
    missing = np.isnan(values)
    found = []
    for low in (False, True):
        # Nulls rank last either way: silence accuses nobody.
        scores = np.where(missing, -np.inf, -values if low else values)
        ranks = ranking(scores, labels)
        found.append(Suspect(name, roc_auc(ranks), average_precision(ranks), missing=False))
    if missing.any():
        for absent in (missing, ~missing):
            ranks = ranking(absent.astype(np.float64), labels)
            found.append(Suspect(name, roc_auc(ranks), average_precision(ranks), missing=True))
    return found
