"""The sample detector with models, and a registry for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from counterfoil.config import LimitsConfig, ModelsConfig, RunConfig, SinkConfig, SourceConfig, StateConfig
from counterfoil.models.onnx_writing import linear_onnx
from counterfoil.models.registry import FolderRegistry
from counterfoil.models.signature import Input, Signature
from tests.runtimes.sample import DEFINITION, sample_detector

WITH_MODELS = (
    DEFINITION
    + """
  - {name: odd, when: "model_score > 0.8", then: review, score: 0.75, reason: "The model says {model_score}."}
models:
  fraud: sample@champion
  arm: {use: sample@challenger, share: 0.3, by: customer}
  next: {use: sample@2, shadow: true}
"""
)
DETECTOR = sample_detector(WITH_MODELS)
INPUTS = (
    Input("amount", "money"),
    Input("count_1h", "int", 0.0),
    Input("channel", "text", -1.0, ("online", "pos")),
    Input("since_change", "interval", 1e6),
)


def weights(number: int) -> bytes:
    """Return the model of a version: each scores a little higher than the one before."""
    return linear_onnx(np.array([0.01 + 0.002 * number, 0.2, 0.1, -1e-6]), -3.0 + 0.5 * number)


def add_versions(folder: Path, count: int = 2) -> FolderRegistry:
    """Return a registry with some versions; the first is champion, the second challenger."""
    registry = FolderRegistry(folder)
    for number in range(count):
        registry.add(weights(number), Signature("sample", "logistic", DETECTOR.version, INPUTS), "test", "to try")
    registry.promote("sample", 1, "champion", "test", "to begin")
    registry.promote("sample", 2, "challenger", "test", "to begin")
    return registry


def config(folder: Path, state: str = "state", out: str = "out.ndjson", batch: int = 512, shards: int = 1) -> RunConfig:
    return RunConfig(
        detector="sample",
        source=SourceConfig(path=str(folder / "in.ndjson")),
        sinks=(SinkConfig(path=str(folder / out)),),
        state=StateConfig(folder=str(folder / state)),
        limits=LimitsConfig(batch_events=batch, commit_events=batch, shards=shards),
        models=ModelsConfig(registry=str(folder / "registry"), poll_ms=20),
    )
