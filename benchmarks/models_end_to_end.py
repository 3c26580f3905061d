"""Full ``payments`` with a model and its reasons on alerts: an NDJSON file to durable decisions, on two cores.

The model is a LightGBM of 100 trees over 60 features of ``payments``, trained on generated payments through the
product's own replay; a rule makes its highest scores alerts, and every payment that is reviewed or blocked gets the
reasons of the model. The time is that of the whole command.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.file_to_decisions import EVENTS, WARM_UP, decide, write_payments
from benchmarks.harness import Result, report
from counterfoil.backtest.replay import Backtest
from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector, write_detector
from counterfoil.models.conversion import lightgbm_onnx
from counterfoil.models.definition import ModelUse
from counterfoil.models.importing import inputs_of
from counterfoil.models.matrix import MatrixPlan
from counterfoil.models.registry import FolderRegistry
from counterfoil.models.signature import Signature
from counterfoil.program import Program
from counterfoil.rules.definition import Outcome, Rule
from counterfoil.rules.types import Base

FEATURES, TREES, TRAINED_ON = 60, 100, 60_000


def with_model(detector: Detector) -> Detector:
    """Return ``payments`` with a model that acts."""
    rule = Rule("model", "model_score >= 0.5", Outcome.REVIEW, 0.8, "The model gives {model_score}.", "card")
    uses = (ModelUse("fraud", "payments@champion"),)
    return replace(detector, models=uses, rules=(*detector.rules, rule))


def train(detector: Detector, folder: Path, trees: Sequence[int] = (TREES,)) -> None:
    """Train a model of so many trees for each version on generated payments, and let the first serve."""
    import lightgbm

    program = Program(detector)
    variables = program.models._variables
    numbers = [name for name in program.feature_names if variables[name].type.base is not Base.TEXT][:FEATURES]
    signature = Signature("payments", "lightgbm", detector.version, inputs_of(numbers, variables))
    plan = MatrixPlan(signature, variables, program.key)
    parts: list[np.ndarray] = []
    labels: list[np.ndarray] = []

    def take(batch: object, decided: object, known: np.ndarray) -> None:
        parts.append(plan.build(batch, decided.rows, decided.features, decided.feature_nulls))  # type: ignore[attr-defined, arg-type]
        labels.append(known == 1)

    write_payments(folder / "train.ndjson", TRAINED_ON)
    plain = replace(detector, models=(), rules=detector.rules[:-1])
    Backtest(plain, (folder / "train.ndjson",), labels="fraud", on_decided=take).run()
    matrix, label = np.concatenate(parts, axis=1).T, np.concatenate(labels)
    with FolderRegistry(folder / "registry") as registry:
        for count in trees:
            made = lightgbm.LGBMClassifier(n_estimators=count, n_jobs=2, verbose=-1).fit(matrix, label)
            registry.add(lightgbm_onnx(made.booster_.model_to_string()), signature, "benchmark", "to measure")
        registry.promote("payments", 1, "champion", "benchmark", "to measure")


def prepared(folder: Path, trees: Sequence[int] = (TREES,)) -> list[str]:
    """Return the options of a run with a model: a detector and a registry in a folder."""
    detector = with_model(load_detector("payments"))
    path = folder / "payments-model.yaml"
    path.write_text(write_detector(detector), "utf-8")
    train(detector, folder, trees)
    return ["--detector", str(path), "--models", str(folder / "registry")]


def main() -> list[Result]:
    """Decide a file in a process of its own."""
    parser = argparse.ArgumentParser(description="Events a second with a model and reasons on alerts.")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--json", action="store_true")
    events: int = parser.parse_args().events
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as name:
        folder = Path(name)
        _, detector, *more = prepared(folder)
        decide(folder, "warm_up", WARM_UP, detector, more)
        seconds = decide(folder, "measured", events, detector, more)
        with (folder / "measured.decisions").open("rb") as lines:
            alerts = sum(b'"model_reasons"' in line for line in lines)
    note = f"{events:,} events of payments; {alerts:,} with reasons of the model"
    return [
        Result("File to durable decisions with a model and reasons", events / seconds, "events/s", "≥ 100,000", note)
    ]


if __name__ == "__main__":
    report(main)
