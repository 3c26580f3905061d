"""An isolation forest, trained offline, in rules and policy: its score decides, and its reasons sum up."""

from __future__ import annotations

import numpy as np
import pytest

from counterfoil.decisions.feature_words import feature_words
from counterfoil.detector_file import read_detector
from counterfoil.events.batch import Batch
from counterfoil.models.definition import ModelUse
from counterfoil.models.fixed_serving import FixedServing
from counterfoil.models.mapping import IDENTITY
from counterfoil.models.model import load_model
from counterfoil.models.model_files import ModelFiles
from counterfoil.models.signature import Input, Signature
from counterfoil.program import Program

DEFINITION = """
detector: watched
events:
  payment: {id: id, time: at, decide: true, fields: {card: id, amount: money, tries: int}}
entities: {card: card}
features: [{name: spend, sum: amount, by: card, over: 1h}]
models: {anomaly: forest@champion}
rules: [{name: odd, when: anomaly_score > 0.3, score: 0.8, reason: "anomaly {anomaly_score}"}]
policy: {review: "anomaly_score > 0.3"}
"""
INPUTS = (Input("amount", "money", 0.0), Input("tries", "int", 0.0), Input("spend_1h", "money", 0.0))


def test_a_forest_decides_and_says_why() -> None:
    pytest.importorskip("sklearn")
    from counterfoil.training.learners import Parts, Settings, fit

    random = np.random.default_rng(1)
    table = np.stack([random.lognormal(3, 1, 3_000), random.poisson(1, 3_000), random.lognormal(4, 1, 3_000)], axis=1)
    rows = table.astype(np.float32)
    forest = fit(
        "isolation-forest", Parts(rows, np.zeros(3_000, np.int8), rows[:0], np.zeros(0, np.int8)), Settings(),
        lambda *_: None,
    )  # fmt: skip
    model = load_model(forest.onnx(1.0, 0.0), Signature("forest", "isolation-forest", "watched@0", INPUTS))
    assert model.engine == "trees"

    detector = read_detector(DEFINITION)
    program = Program(detector)
    serving = ModelFiles(None, feature_words(detector.features)).keep(model, "forest@1", IDENTITY, None)
    batch = Batch.empty(detector.schema, 200)
    columns = detector.schema.column_index
    for name, values in (("card", np.arange(200)), ("amount", rows[:200, 0] * 100), ("tries", rows[:200, 1])):
        batch.values[columns[name]] = values.astype(np.int64) + (name == "card")
    batch.values[columns["amount"], -1], batch.values[columns["tries"], -1] = 10**8, 40
    batch.nulls[:], batch.identity[:] = 0, np.arange(1, 201)
    decided = program.process(batch, FixedServing((ModelUse("anomaly", "forest@champion"),), (serving,)))

    assert decided.models is not None
    scores = decided.models.acted(0)
    assert np.argmax(scores) == 199
    assert np.array_equal(decided.hits[0] == 1, scores > 0.3)
    assert np.array_equal(decided.outcome != 0, scores > 0.3)
    said = decided.models.reasons(np.array([199]))[199]["anomaly"]
    assert said["method"] == "exact, trees"
    total = said["base"] + sum(each["contribution"] for each in said["features"]) + said["rest"]
    assert total == pytest.approx(scores[199], abs=1e-6)
    assert {each["name"] for each in said["features"][:2]} <= {"amount", "tries", "spend_1h"}
