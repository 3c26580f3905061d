"""From a table to a model: the same every time, the same in ONNX, and honest about what is too good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.models.matrix import matrix_of_frame
from counterfoil.models.model import load_model
from counterfoil.models.signature import Signature
from counterfoil.training import Settings, SplitPlan, Training, TrainingTable, train
from counterfoil.training.calibration import logistic
from counterfoil.training.learners import LEARNERS, Parts, fit, forest_tables
from counterfoil.training.train import Told

from .tables import table

pytest.importorskip("lightgbm")
QUICK = Settings(trees=40, learning_rate=0.1)


def quick(model: str = "lightgbm", **more: Any) -> Training:
    more.setdefault("settings", QUICK)
    more.setdefault("checks", False)
    return Training(model, **more)


@pytest.fixture(scope="module")
def made() -> TrainingTable:
    return table()


@pytest.mark.parametrize("model", LEARNERS)
def test_the_file_says_what_the_estimator_says(made: TrainingTable, model: str) -> None:
    trained = train(made, quick(model))
    assert trained.difference < 1e-6
    assert trained.notes == ()
    assert trained.test is not None
    if model != "isolation-forest":
        assert trained.test.auc > 0.8
        assert trained.test.average_precision > 0.3


def test_onnxruntime_says_the_same(made: TrainingTable) -> None:
    runtime = pytest.importorskip("onnxruntime")
    for model in LEARNERS:
        trained = train(made, quick(model))
        matrix = matrix_of_frame(made.frame[trained.split.test], trained.signature.inputs)
        filled = trained.model().filled(matrix).astype(np.float32)
        session = runtime.InferenceSession(trained.onnx, providers=["CPUExecutionProvider"])
        found = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(filled)})[0]
        assert np.abs(found.reshape(-1) - trained.scores).max() < 1e-5


@pytest.mark.parametrize("model", LEARNERS)
def test_the_same_seed_gives_the_same_bytes(made: TrainingTable, model: str) -> None:
    first, second = train(made, quick(model)), train(made, quick(model))
    assert first.onnx == second.onnx
    assert first.signature == second.signature
    if model != "logistic":
        other = train(made, quick(model, settings=Settings(trees=40, learning_rate=0.1, seed=2)))
        assert other.onnx != first.onnx


def test_threads_change_nothing(made: TrainingTable) -> None:
    more = Settings(trees=40, learning_rate=0.1, threads=2)
    assert train(made, quick(settings=more)).onnx == train(made, quick()).onnx


def test_a_planted_leak_is_in_the_warning_and_in_the_report(tmp_path: Path) -> None:
    trained = train(table(leak="value"), quick())
    assert [each.name for each in trained.suspects] == ["leak"]
    assert "Too good to be true" in trained.report(tmp_path / "report.html").read_text()
    assert train(table(leak="value"), quick(exclude=("leak",))).suspects == ()


def test_an_honest_table_raises_no_warning(made: TrainingTable, tmp_path: Path) -> None:
    trained = train(made, quick(checks=True, entity="card"))
    assert trained.suspects == ()
    assert trained.shuffled_auc is not None
    assert abs(trained.shuffled_auc - 0.5) < 0.15
    text = trained.report(tmp_path / "report.html").read_text()
    assert "Too good to be true" not in text
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    for title in ("Precision and recall", "ROC", "At a fixed rate of alerts", "Calibration", "What it rests on"):
        assert title in text
    drops = {each.name: each.drop for each in trained.importances}
    assert max(drops, key=lambda name: drops[name] or 0.0) in ("amount", "ratio")


def test_ids_times_and_constants_are_not_learnt_from(made: TrainingTable) -> None:
    names = [each.name for each in train(made, quick()).signature.inputs]
    assert names == ["amount", "count_1d", "ratio", "night", "channel", "since"]
    linear = train(made, quick("logistic"))
    assert "channel" not in [each.name for each in linear.signature.inputs]
    assert all(each.missing is not None for each in linear.signature.inputs)
    with_time = train(made, quick(include=("amount", "last_at")))
    assert [each.name for each in with_time.signature.inputs] == ["amount", "last_at"]


def test_scores_are_probabilities(made: TrainingTable) -> None:
    for model in ("logistic", "lightgbm"):
        for weight in ("none", "balanced", "5"):
            settings = Settings(trees=40, learning_rate=0.1, class_weight=weight)
            trained = train(made, quick(model, settings=settings))
            assert trained.scores.mean() == pytest.approx((trained.labels == 1).mean(), abs=0.025)
    raw = train(made, quick("logistic", calibrate=False, settings=Settings(class_weight="balanced")))
    assert raw.scores.mean() > 0.2


def test_early_stopping_takes_fewer_trees(made: TrainingTable) -> None:
    settings = Settings(trees=400, learning_rate=0.3, patience=10)
    trained = train(made, quick(settings=settings))
    assert int(trained.signature.parameters["trees"] or 0) < 200
    assert trained.difference < 1e-6
    plan = SplitPlan(validation_share=0)
    whole = train(made, quick(settings=Settings(trees=30), plan=plan))
    assert whole.signature.parameters["trees"] == 30
    assert "not calibrated" in whole.notes[0]


def test_bags_are_averaged(made: TrainingTable) -> None:
    settings = Settings(trees=20, bags=3, learning_rate=0.1)
    trained = train(made, quick(settings=settings, calibrate=False, plan=SplitPlan(validation_share=0)))
    # A tree that finds nothing to split is left out.
    assert 40 < int(trained.signature.parameters["trees"] or 0) <= 60
    assert trained.difference < 1e-6


def test_any_estimator_can_be_brought(made: TrainingTable) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    told: list[Told] = []
    estimator = ensemble.RandomForestClassifier(20, max_depth=5, random_state=1)
    trained = train(made, quick(), estimator, told.append)
    assert trained.signature.kind == "sklearn.RandomForestClassifier"
    assert trained.difference < 1e-6
    assert trained.test is not None
    assert trained.test.auc > 0.8
    assert not hasattr(estimator, "estimators_")
    assert told


def test_files_can_be_loaded_again(made: TrainingTable, tmp_path: Path) -> None:
    trained = train(made, quick(name="mine"))
    onnx, signature = trained.write(tmp_path / "mine.onnx")
    loaded = load_model(onnx.read_bytes(), Signature.decode(signature.read_bytes()))
    matrix = matrix_of_frame(made.frame[trained.split.test], loaded.signature.inputs)
    assert (loaded.score(matrix) == trained.scores).all()
    assert loaded.signature.name == "mine"
    assert loaded.signature.detector == "sample@0"
    assert loaded.signature.metrics["average_precision"] == pytest.approx(
        trained.as_dict()["metrics"]["average_precision"]
    )
    assert loaded.signature.data is not None
    assert loaded.signature.data.rows == len(trained.split.train) + len(trained.split.validation)


def test_isolation_forests_find_what_is_unusual() -> None:
    random = np.random.default_rng(1)
    matrix = random.normal(0, 1, (3_000, 4)).astype(np.float32)
    matrix[:30] += 6
    labels = np.zeros(3_000, np.int8)
    found = fit("isolation-forest", Parts(matrix, labels, matrix[:0], labels[:0]), Settings(), lambda *_: None)
    scores = found.margin(matrix)
    assert scores[:30].min() > np.quantile(scores[30:], 0.99)
    tables = forest_tables(found.estimator)  # type: ignore[attr-defined]
    assert tables.score(np.ascontiguousarray(matrix.T)) == pytest.approx(scores, abs=1e-9)


def test_wrong_use_names_what_may(made: TrainingTable) -> None:
    for training, word in (
        (quick("forest"), "logistic, lightgbm"), (quick(include=("amuont",)), "amount"),
        (quick(exclude=("ammount",)), "amount"), (quick(entity="channel"), "card"), (quick(value="card"), "amount"),
        (quick(include=("card",)), "anything but ids"), (quick(include=("same",)), "nothing is left"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=word):
            train(made, training)
    with pytest.raises(ConfigurationError, match="class-weight"):
        Settings(class_weight="much")
    with pytest.raises(ConfigurationError, match="leaves"):
        Settings(leaves=1)
    with pytest.raises(ConfigurationError, match="learning-rate"):
        Settings(learning_rate=0)
    genuine = TrainingTable(made.frame.filter(~made.frame["label"]), made.content)
    with pytest.raises(InputError, match="0 frauds"):
        train(genuine, quick())


def test_margins_and_scores_agree() -> None:
    assert logistic(np.array([-800.0, 0.0, 800.0])).tolist() == [0.0, 0.5, 1.0]
