"""Where the runtime and the models meet: what serves is asked for at each batch, and noted with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.decisions.feature_words import feature_words
from counterfoil.models.serving import ModelFiles, ModelHost

if TYPE_CHECKING:
    from counterfoil.config import ModelsConfig
    from counterfoil.decisions.decided import Decided
    from counterfoil.decisions.model_scoring import ModelScoring
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch
    from counterfoil.models.scores import ModelScores
    from counterfoil.observability import Metrics
    from counterfoil.runtimes.plan import CompiledProgram


def model_files(folder: Path, detector: Detector) -> ModelFiles:
    """Return the models that served a state folder."""
    return ModelFiles(folder, feature_words(detector.features) if detector.models else None)


def host_of(
    detector: Detector, scoring: ModelScoring, settings: ModelsConfig, folder: Path, metrics: Metrics
) -> ModelHost:
    """Return what hands over the models of a detector."""
    return ModelHost(
        detector.models,
        scoring,
        settings.registry,
        folder,
        settings.poll_ms / 1000,
        feature_words(detector.features),
        metrics,
    )


def decide(program: CompiledProgram, batch: Batch, models: ModelHost | None) -> Decided:
    """Decide a batch with what serves now."""
    if models is None:
        return program.process(batch)
    decided = program.process(batch, models.current())
    models.observe(batch, decided.rows, decided.features, decided.feature_nulls)
    return decided


def count_scores(metrics: Metrics, models: ModelScores) -> None:
    """Count who spoke for how many decisions, and how many had no score."""
    for slot, main in enumerate(models.slots):
        name = models.uses[main].name
        for entry in np.unique(models.arm[slot]).tolist():
            silent = np.isnan(models.raw[entry, models.arm[slot] == entry])
            missing = int(np.count_nonzero(silent))
            version, arm = models.served[entry].reference, models.uses[entry].name
            metrics.model_scores.labels(name, version, arm, "scored").inc(len(silent) - missing)
            if missing:
                metrics.model_scores.labels(name, version, arm, "missing").inc(missing)
