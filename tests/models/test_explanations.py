"""Reasons of scores: whatever the model, they sum up; what is estimated says so; and people can read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from counterfoil.models.explanations import Explainer, in_words, reasons_of, value_in_words
from counterfoil.models.model import Model
from counterfoil.models.profile import FeatureProfile, profile_of
from counterfoil.models.sampled_shap import Floats, Rows
from counterfoil.models.signature import Input
from tests.models.tree_games import margin, random_rows, random_trees

FEATURES = 7


@dataclass
class _Linear:
    weights: Floats
    intercept: float
    link: str


@dataclass
class _Signature:
    inputs: tuple[Input, ...]
    profile: dict[str, Any]


@dataclass
class _Model:
    """What an explainer asks of a model."""

    signature: _Signature
    score: Callable[[Rows], Floats]
    trees: object = None
    linear: object = None
    sha256: str = "ab" * 32
    missing: Floats = field(default_factory=lambda: np.full(FEATURES, np.nan))

    def filled(self, matrix: Rows) -> Rows:
        return np.where(np.isnan(matrix), self.missing.astype(np.float32), matrix)


def _logistic(margins: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-margins)), np.float64)


def _signature(missing: float | None = None) -> _Signature:
    inputs = tuple(Input(f"card_spend_{number}h", "float", missing) for number in range(FEATURES))
    table = random_rows(np.random.default_rng(1), 2_000, FEATURES)
    return _Signature(inputs, profile_of(inputs, table, np.zeros(len(table))))


def tree_model(link: str) -> Model:
    tables = random_trees(np.random.default_rng(2), 12, FEATURES, 5)
    tables = type(tables)(**(_fields(tables) | {"link": link}))

    def score(rows: Rows) -> Floats:
        margins = np.array([margin(tables, row) for row in rows])
        return _logistic(margins) if link == "logistic" else margins

    return cast("Model", _Model(_signature(), score, trees=tables))


def _fields(tables: object) -> dict[str, Any]:
    names = ("root", "feature", "threshold", "left", "right", "missing_left", "value", "cover", "base", "link")
    return {name: getattr(tables, name) for name in names}


def linear_model(link: str) -> Model:
    linear = _Linear(np.linspace(-1, 1, FEATURES), 0.3, link)
    model = _Model(_signature(0.5), lambda rows: np.zeros(0), linear=linear, missing=np.full(FEATURES, 0.5))

    def score(rows: Rows) -> Floats:
        margins = linear.intercept + model.filled(rows).astype(np.float64) @ linear.weights
        return _logistic(margins) if link == "logistic" else margins

    model.score = score
    return cast("Model", model)


def other_model() -> Model:
    return cast(
        "Model", _Model(_signature(), lambda rows: np.tanh(np.nan_to_num(rows.astype(np.float64))).prod(axis=1))
    )


MODELS = {
    "trees": lambda: tree_model("logistic"),
    "trees, identity": lambda: tree_model("identity"),
    "linear": lambda: linear_model("logistic"),
    "linear, identity": lambda: linear_model("identity"),
    "other": other_model,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("most", [0, 3, FEATURES])
def test_contributions_sum_to_the_margin_and_points_to_the_score(name: str, most: int) -> None:
    model = MODELS[name]()
    rows = random_rows(np.random.default_rng(4), 40, FEATURES)
    for row, score, reasons in zip(rows, model.score(rows), reasons_of(model, rows, most), strict=True):
        assert len(reasons.contributions) <= most
        found = reasons.as_dict()
        margin_sum = found["base"] + sum(each["contribution"] for each in found["features"]) + found["rest"]
        assert margin_sum == pytest.approx(found["margin"], abs=1e-6)
        points = found["base_score"] + sum(each["points"] for each in found["features"]) + found["rest_points"]
        assert points == pytest.approx(score, abs=1e-6)
        columns = {each.name: row[column] for column, each in enumerate(model.signature.inputs)}
        for each in reasons.contributions:
            assert np.isnan(columns[each.name]) if each.value is None else each.value == columns[each.name]


@pytest.mark.parametrize("name", MODELS)
def test_the_one_that_did_most_comes_first(name: str) -> None:
    rows = random_rows(np.random.default_rng(4), 40, FEATURES)
    for reasons in reasons_of(MODELS[name](), rows, 4):
        sizes = [abs(each.contribution) for each in reasons.contributions]
        assert sizes == sorted(sizes, reverse=True)


def test_each_says_how_it_was_found() -> None:
    assert Explainer(MODELS["trees"]()).method == "exact, trees"
    assert Explainer(MODELS["linear"]()).method == "exact, linear"
    assert Explainer(other_model(), pairs=8).method == "sampled, 16 orders, against the training table's medians"


def test_trees_without_covers_are_estimated_and_say_so() -> None:
    model = tree_model("logistic")
    fields = _fields(model.trees) | {"cover": None}
    model.trees = type(model.trees)(**fields)  # type: ignore[misc]
    found = reasons_of(model, random_rows(np.random.default_rng(4), 3, FEATURES))
    assert all(each.method.startswith("sampled, 2 orders") for each in found)


def test_a_linear_model_without_a_profile_is_held_against_what_it_takes_for_missing() -> None:
    model = cast("_Model", linear_model("identity"))
    model.signature.profile = {}
    rows = np.full((1, FEATURES), np.nan, np.float32)
    found = Explainer(cast("Model", model))
    assert not found.contributions(rows).any()
    assert found.base == pytest.approx(float(model.score(rows)[0]))


def test_an_explanation_is_the_same_every_time() -> None:
    rows = random_rows(np.random.default_rng(4), 5, FEATURES)
    assert reasons_of(other_model(), rows) == reasons_of(other_model(), rows)


MONEY = Input("card_spend_24h", "money")
PROFILE = FeatureProfile("card_spend_24h", (0.0, 12.5, 310.0), (50, 850, 100, 0), 10, 40.0)


def test_a_reason_gives_the_value_and_what_is_usual() -> None:
    assert in_words(MONEY, "spend", 1234.5, PROFILE) == "spend 1,234.50 (usually 0.00 to 310.00)"
    assert in_words(MONEY, "spend", float("nan"), PROFILE) == "spend unknown (usually 0.00 to 310.00)"
    assert in_words(MONEY, "spend", 5.0, None) == "spend 5.00"
    rare = FeatureProfile("x", (1.0,), (1, 0), 99, 1.0)
    assert in_words(MONEY, "spend", 5.0, rare) == "spend 5.00 (usually unknown)"
    new = Input("new_device", "bool")
    assert in_words(new, "new device", 1.0, FeatureProfile("x", (0.0, 1.0), (99, 1, 0), 0, 0.01)) == (
        "new device yes (usually no)"
    )


def test_values_are_written_as_people_do() -> None:
    assert value_in_words("interval", 11_520.0) == "3 h 12 min"
    assert value_in_words("time", 1_500_000_000.0) == "2017-07-14 02:40"
    assert value_in_words("int", 12_345.0) == "12,345"
    assert value_in_words("float", 0.123456) == "0.123"
    assert value_in_words("float", 123_456.0) == "123,456"
    assert value_in_words("text", 7.0, ("pos",)) == "other"
    assert value_in_words("text", float("nan"), ("pos",)) == "other"
    assert value_in_words("interval", float("inf")) == "inf"


def test_words_replace_the_name() -> None:
    rows = random_rows(np.random.default_rng(4), 20, FEATURES)
    found = Explainer(tree_model("logistic"), {"card_spend_3h": "spent in three hours"}).explain(rows, FEATURES)
    texts = {each.name: each.text for reasons in found for each in reasons.contributions}
    assert texts["card_spend_3h"].startswith("spent in three hours ")
    assert texts["card_spend_4h"].startswith("card spend 4h ")
