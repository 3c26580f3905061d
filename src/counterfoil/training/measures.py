"""How good scores are: curves and numbers that matter for alerts, all honest about ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

ALERT_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""At which recall is told: one alert in a thousand payments, and so on."""
CARDS = 100
"""How many cards a day somebody looks at: the k of Card Precision@k."""
DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows from the highest score down, rows of one score together.

    Parameters
    ----------
    thresholds
        Each distinct score, highest first.
    caught, wrong
        Frauds and genuine rows with at least that score: counts, or values.
    """

    thresholds: Floats
    caught: Floats
    wrong: Floats

    @property
    def recall(self) -> Floats:
        """The part of the frauds with at least that score."""
        return self.caught / self.caught[-1] if len(self.caught) and self.caught[-1] else np.zeros(len(self.caught))

    @property
    def precision(self) -> Floats:
        """The part of frauds among rows with at least that score."""
        return self.caught / np.maximum(self.caught + self.wrong, np.finfo(np.float64).tiny)

    @property
    def false_rate(self) -> Floats:
        """The part of the genuine rows with at least that score."""
        return self.wrong / self.wrong[-1] if len(self.wrong) and self.wrong[-1] else np.zeros(len(self.wrong))


def ranking(scores: Floats, labels: Labels, weights: Floats | None = None) -> Ranking:
    """Return the ranking of scored rows; with weights, such as amounts, counts become sums.

    Examples
    --------
    >>> found = ranking(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0], np.int8))
    >>> found.thresholds.tolist(), found.caught.tolist(), found.wrong.tolist()
    ([0.9, 0.5, 0.1], [1.0, 2.0, 2.0], [0.0, 1.0, 2.0])
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    weight = np.ones(len(scores)) if weights is None else weights[order]
    fraud = labels[order] == 1
    last = (
        np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
        if len(ordered)
        else np.zeros(0, np.int64)
    )
    caught = np.cumsum(np.where(fraud, weight, 0.0))[last]
    wrong = np.cumsum(np.where(fraud, 0.0, weight))[last]
    return Ranking(ordered[last], caught, wrong)


def roc_auc(found: Ranking) -> float:
    """Return the area under the ROC curve; NaN without both frauds and genuine rows."""
    if not len(found.caught) or not found.caught[-1] or not found.wrong[-1]:
        return float("nan")
    return float(np.trapezoid(np.append(0.0, found.recall), np.append(0.0, found.false_rate)))


def average_precision(found: Ranking) -> float:
    """Return the mean of precision over recall, as scikit-learn defines it; NaN without frauds."""
    if not len(found.caught) or not found.caught[-1]:
        return float("nan")
    return float(np.sum(np.diff(found.recall, prepend=0.0) * found.precision))


def best_f1(found: Ranking) -> tuple[float, float]:
    """Return the largest F1 of the frauds and the score that reaches it."""
    if not len(found.caught) or not found.caught[-1]:
        return float("nan"), float("nan")
    f1 = 2 * found.caught / (found.caught + found.wrong + found.caught[-1])
    best = int(np.argmax(f1))
    return float(f1[best]), float(found.thresholds[best])


def f1_at(scores: Floats, labels: Labels, threshold: float) -> float:
    """Return F1 of the frauds when every row with at least that score is called one."""
    called, fraud = scores >= threshold, labels == 1
    whole = int(called.sum() + fraud.sum())
    return 2 * int((called & fraud).sum()) / whole if whole else float("nan")


def recall_at(scores: Floats, labels: Labels, alert_rate: float) -> float:
    """Return the part of the frauds among the highest scores, a given part of all rows; ties count by their share."""
    room = alert_rate * len(scores)
    found = ranking(scores, labels)
    if not len(found.caught) or not found.caught[-1]:
        return float("nan")
    size = found.caught + found.wrong
    return float(np.interp(room, np.append(0.0, size), np.append(0.0, found.recall)))


def card_precision(
    scores: Floats, labels: Labels, times: npt.NDArray[np.int64], cards: npt.NDArray[np.int64], most: int = CARDS
) -> float:
    """Return Card Precision@k: the part of truly compromised cards among the k that somebody looks at each day.

    Each day a card's score is its highest of that day; cards found on an earlier day are not looked at again. Of equal
    scores the card with the smaller hash comes first.

    References
    ----------
    Le Borgne, Siblini, Lebichot, Bontempi: Reproducible Machine Learning for Credit Card Fraud Detection, chapter 4.
    """
    days = times // DAY
    found: list[float] = []
    caught: set[int] = set()
    for day in np.unique(days).tolist():
        of_day = days == day
        card, inverse = np.unique(cards[of_day], return_inverse=True)
        highest = np.full(len(card), -np.inf)
        np.maximum.at(highest, inverse, scores[of_day])
        fraud = np.zeros(len(card), np.bool_)
        np.logical_or.at(fraud, inverse, labels[of_day] == 1)
        new = np.array([each not in caught for each in card.tolist()], np.bool_)
        order = np.flatnonzero(new)[np.argsort(-highest[new], kind="stable")][:most]
        found.append(float(fraud[order].sum()) / most)
        caught |= set(card[order[fraud[order]]].tolist())
    return float(np.mean(found)) if found else float("nan")


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar scores: what was said, and what was true."""

    said: float
    true: float
    rows: int


def calibration(scores: Floats, labels: Labels, bins: int = 15) -> list[Bin]:
    """Return what scores say against what was true, in bins of about equal frauds: most rows have tiny scores."""
    if not len(scores) or not (labels == 1).any():
        return []
    order = np.argsort(scores, kind="stable")
    fraud = np.cumsum(labels[order] == 1)
    edges = np.unique(np.searchsorted(fraud, np.linspace(0, fraud[-1], bins + 1)[1:], side="left") + 1)
    edges[-1] = len(order)
    parts = np.split(order, edges[:-1])
    return [
        Bin(float(scores[each].mean()), float((labels[each] == 1).mean()), len(each)) for each in parts if len(each)
    ]


def brier(scores: Floats, labels: Labels) -> float:
    """Return the mean squared difference of score and truth: lower is better."""
    return float(np.mean((scores - (labels == 1)) ** 2)) if len(scores) else float("nan")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model's scores are worth on rows that it never saw."""

    rows: int
    frauds: int
    auc: float
    average_precision: float
    f1: float
    f1_threshold: float
    """Chosen where scores were best separated on validation rows; on the test itself where there were none."""
    recall_at: dict[float, float]
    """Alert rate to recall."""
    brier: float
    card_precision: float | None = None
    value_average_precision: float | None = None
    """Average precision with amounts in place of counts."""

    def as_metrics(self) -> dict[str, float]:
        """Return flat numbers for a signature; what could not be measured is left out."""
        found: dict[str, float | None] = {
            "auc": self.auc,
            "average_precision": self.average_precision,
            "f1": self.f1,
            "f1_threshold": self.f1_threshold,
            "brier": self.brier,
            f"card_precision_at_{CARDS}": self.card_precision,
            "value_average_precision": self.value_average_precision,
            **{f"recall_at_{rate:g}": recall for rate, recall in self.recall_at.items()},
            "test_rows": float(self.rows),
            "test_frauds": float(self.frauds),
        }
        return {name: value for name, value in found.items() if value is not None and np.isfinite(value)}


def measure(
    scores: Floats,
    labels: Labels,
    times: npt.NDArray[np.int64],
    cards: npt.NDArray[np.int64] | None = None,
    values: Floats | None = None,
    threshold: float | None = None,
) -> Measured:
    """Measure scores.

    Parameters
    ----------
    scores, labels, times
        Of the rows.
    cards
        Keys of the entities that somebody looks at; None to leave Card Precision out.
    values
        Amounts; None to leave out what is weighted by them.
    threshold
        The score from which on a row counts as fraud for F1; None for the best one.
    """
    found = ranking(scores, labels)
    best, where = best_f1(found)
    if threshold is not None:
        best, where = f1_at(scores, labels, threshold), threshold
    return Measured(
        len(scores),
        int((labels == 1).sum()),
        roc_auc(found),
        average_precision(found),
        best,
        where,
        {rate: recall_at(scores, labels, rate) for rate in ALERT_RATES},
        brier(scores, labels),
        None if cards is None else card_precision(scores, labels, times, cards),
        None if values is None else average_precision(ranking(scores, labels, values)),
    )
