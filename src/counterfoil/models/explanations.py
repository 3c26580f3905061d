"""Why a model gave a score: what each feature contributed, exactly where that can be known, in words for an analyst.

Contributions are in units of the model's margin (log-odds for most) and sum, with the base, to the margin. ``points``
tell the same on the scale of the raw score, in the same proportions: with the base's score they sum to the score. How
they were found is always named:

- ``exact, trees``: Shapley values in the game of the tree's own paths (``tree_shap.py``);
- ``exact, linear``: the weight times what the feature lies from the training table's mean;
- ``sampled, N orders``: an estimate for every other model (``sampled_shap.py``). It sums up all the same, but another
  draw of orders would share the score out somewhat differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from counterfoil.models.profile import FeatureProfile, read_profile
from counterfoil.models.sampled_shap import sampled_contributions
from counterfoil.models.tree_shap import plan_tree_shap
from counterfoil.words import duration_text

if TYPE_CHECKING:
    from counterfoil.models.model import Model
    from counterfoil.models.signature import Input

TREES = "exact, trees"
LINEAR = "exact, linear"
SAMPLED = "sampled"

MOST = 5
"""Features that are named where nobody says how many."""
PAIRS = 1
"""Pairs of orders for models of unknown shape on the live path: 2 × features scores a row."""
_DIGITS = 9
"""Decimals that are kept: sixty features rounded so differ from their sum by less than a ten-millionth."""

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature did to one score.

    Parameters
    ----------
    name
        The feature.
    value
        What it was, in the model's units; None for null.
    contribution
        What it added to the margin.
    points
        What it added to the raw score.
    text
        The same for people: its value and what is usual.
    """

    name: str
    value: float | None
    contribution: float
    points: float
    text: str


@dataclass(frozen=True, slots=True)
class ScoreReasons:
    """Why a model gave a score.

    Parameters
    ----------
    method
        How it was found, and whether it is exact.
    base, base_score
        Margin and raw score of the average payment.
    margin, score
        Of this one.
    contributions
        The features that did most, the one that did most first.
    rest, rest_points
        What all the others did together.
    """

    method: str
    base: float
    base_score: float
    margin: float
    score: float
    contributions: tuple[Contribution, ...]
    rest: float
    rest_points: float

    def as_dict(self) -> dict[str, Any]:
        """Return the reasons for JSON: ``base``, every ``contribution`` and ``rest`` sum to ``margin``."""
        return {
            "method": self.method,
            "base": round(self.base, _DIGITS),
            "base_score": round(self.base_score, _DIGITS),
            "margin": round(self.margin, _DIGITS),
            "features": [
                {
                    "name": each.name,
                    "value": each.value,
                    "contribution": round(each.contribution, _DIGITS),
                    "points": round(each.points, _DIGITS),
                    "text": each.text,
                }
                for each in self.contributions
            ],
            "rest": round(self.rest, _DIGITS),
            "rest_points": round(self.rest_points, _DIGITS),
        }


class Explainer:
    """Explains the scores of one model. Making one costs milliseconds: keep it as long as the model.

    Any number of threads may use it.

    Parameters
    ----------
    model
        The model.
    words
        What features are called for people; where one has no words, its name is made readable.
    pairs
        Pairs of orders, for a model that is neither trees nor linear.
    """

    def __init__(self, model: Model, words: Mapping[str, str] | None = None, pairs: int = PAIRS) -> None:
        self._model = model
        self._inputs = model.signature.inputs
        profile = read_profile(model.signature.profile)
        by_name = {} if profile is None else profile.by_name
        self._profiles = [by_name.get(each.name) for each in self._inputs]
        self._words = [(words or {}).get(each.name) or readable(each.name) for each in self._inputs]
        # The same for every payment, and dear to find.
        self._usual = [_usual(each, profile) for each, profile in zip(self._inputs, self._profiles, strict=True)]
        self._trees = None if model.trees is None else plan_tree_shap(model.trees)
        self._pairs = pairs
        self._seed = int(model.sha256[:16], 16)
        self._link = "identity"
        if self._trees is not None and model.trees is not None:
            self.method, self.base, self._link = TREES, self._trees.base, model.trees.link
        elif model.linear is not None:
            self.method, self._link = LINEAR, model.linear.link
            self._means = np.array(self._filled_means(), np.float64)
            self.base = float(model.linear.intercept + (model.linear.weights * self._means).sum())
        else:
            self.method = f"{SAMPLED}, {2 * pairs} orders, against the training table's medians"
            self._medians = np.array([_median(each) for each in self._profiles], np.float32)
            self.base = float(model.score(self._medians[None])[0])

    def contributions(self, matrix: Rows) -> Floats:
        """Return what every feature added to the margin of each row.

        Parameters
        ----------
        matrix
            (n, features): as the model gets it, NaN for null.

        Returns
        -------
        ndarray
            (n, features).
        """
        if self._trees is not None:
            return self._trees.contributions(self._model.filled(matrix))
        if self._model.linear is not None:
            values = self._model.filled(matrix).astype(np.float64)
            return np.asarray(self._model.linear.weights * (values - self._means), np.float64)
        return sampled_contributions(self._model.score, matrix, self._medians, self._pairs, self._seed)

    def explain(self, matrix: Rows, most: int = MOST) -> list[ScoreReasons]:
        """Return the reasons for the score of each row.

        Parameters
        ----------
        matrix
            (n, features): as the model gets it, NaN for null.
        most
            Features to name; the others are summed up.
        """
        found = self.contributions(matrix)
        margins = self.base + found.sum(axis=1)
        scores, base_score = self._scores(margins), float(self._scores(np.array([self.base]))[0])
        slopes = _slopes(margins - self.base, scores - base_score, scores, self._link)
        named = np.argsort(-np.abs(found), axis=1, kind="stable")[:, :most]
        return [
            self._reasons(row, values, margin, score, base_score, slope, order)
            for row, values, margin, score, slope, order in zip(
                matrix, found, margins.tolist(), scores.tolist(), slopes.tolist(), named.tolist(), strict=True
            )
        ]

    def _reasons(
        self, row: Rows, values: Floats, margin: float, score: float, base_score: float, slope: float, order: list[int]
    ) -> ScoreReasons:
        contributions = tuple(
            self._contribution(place, float(row[place]), float(values[place]), slope)
            for place in order
            if values[place] != 0
        )
        rest = margin - self.base - sum(each.contribution for each in contributions)
        return ScoreReasons(
            self.method, self.base, base_score, margin, score, contributions, rest,
            score - base_score - sum(each.points for each in contributions),
        )  # fmt: skip

    def _contribution(self, place: int, value: float, amount: float, slope: float) -> Contribution:
        each = self._inputs[place]
        text = _told(each, self._words[place], value, self._usual[place])
        return Contribution(each.name, None if isnan(value) else value, amount, amount * slope, text)

    def _scores(self, margins: Floats) -> Floats:
        if self._link != "logistic":
            return margins
        # Both branches of the logistic function, so that neither overflows.
        small = np.exp(-np.abs(margins))
        return np.asarray(np.where(margins >= 0, 1.0, small) / (1.0 + small), np.float64)

    def _filled_means(self) -> list[float]:
        means = []
        for each, profile in zip(self._inputs, self._profiles, strict=True):
            missing = each.missing if each.missing is not None else 0.0
            if profile is None or not profile.rows:
                # Nothing is known of the table: what the model itself takes an absent value for is the reference.
                means.append(missing)
            else:
                means.append((profile.mean * profile.present + missing * profile.missing) / profile.rows)
        return means


def reasons_of(model: Model, rows: Rows, most: int = MOST) -> list[ScoreReasons]:
    """Return the reasons for the score of each row: ``Explainer`` for once.

    Parameters
    ----------
    model
        The model.
    rows
        (n, features): as the model gets them, NaN for null.
    most
        Features to name.
    """
    return Explainer(model).explain(rows, most)


def _slopes(margins: Floats, rises: Floats, scores: Floats, link: str) -> Floats:
    """Return what a unit of each margin's way from the base is worth in points."""
    if link != "logistic":
        return np.ones(len(margins), np.float64)
    steep = np.abs(margins) > 1e-9
    return np.divide(rises, margins, out=scores * (1 - scores), where=steep)


def _median(profile: FeatureProfile | None) -> float:
    """Return what most rows were closest to: NaN where most had no value."""
    if profile is None or profile.missing > profile.present:
        return float("nan")
    return profile.quantile(0.5)


# Words ---------------------------------------------------------------------------------------------------------------

_USUAL = (0.05, 0.95)
"""What nine of ten payments lie between is called usual."""


def readable(name: str) -> str:
    """Return a feature's name as words.

    Examples
    --------
    >>> readable("card_spend_24h")
    'card spend 24h'
    """
    return name.replace("_", " ").strip() or name


def in_words(each: Input, words: str, value: float, profile: FeatureProfile | None) -> str:
    """Return what a feature was and what is usual, as a part of a sentence.

    Parameters
    ----------
    each
        The input.
    words
        What it is called.
    value
        What it was, in the model's units; NaN for null.
    profile
        How it was distributed in training; None where nobody knows.
    """
    return _told(each, words, value, _usual(each, profile))


def _told(each: Input, words: str, value: float, usual: str) -> str:
    told = f"{words} {value_in_words(each.type, value, each.values)}"
    return f"{told} (usually {usual})" if usual else told


def value_in_words(kind: str, value: float, values: Sequence[str] = ()) -> str:
    """Return a value in the model's units as people write it.

    Parameters
    ----------
    kind
        The input's type.
    value
        The value; NaN for null.
    values
        The words that a text's numbers stand for.

    Examples
    --------
    >>> value_in_words("money", 1234.5), value_in_words("bool", 1.0), value_in_words("interval", 90.0)
    ('1,234.50', 'yes', '1 min 30 s')
    >>> value_in_words("text", 1.0, ("pos", "online")), value_in_words("float", float("nan"))
    ('online', 'unknown')
    """
    if isnan(value):
        return "other" if values else "unknown"
    match kind:
        case "money":
            return f"{value:,.2f}"
        case "bool":
            return "yes" if value else "no"
        case "interval":
            return duration_text(round(value * 1_000_000)) if isfinite(value) else str(value)
        case "time":
            return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M")
        case "text":
            return values[int(value)] if 0 <= value < len(values) else "other"
        case "int":
            return f"{value:,.0f}"
        case _:
            return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _usual(each: Input, profile: FeatureProfile | None) -> str:
    if profile is None or not profile.rows or each.type in {"text", "time"}:
        return ""
    if profile.missing > 0.9 * profile.rows:
        return "unknown"
    if each.type == "bool":
        yes = profile.mean
        return "yes" if yes > 0.9 else "no" if yes < 0.1 else ""
    low, high = (value_in_words(each.type, profile.quantile(share)) for share in _USUAL)
    return low if low == high else f"{low} to {high}"
