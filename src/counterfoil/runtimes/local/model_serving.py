"""Where the runtime and the models meet: what serves is asked for at each batch, and noted with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from counterfoil.config import ModelsConfig
    from counterfoil.decisions.decided import Decided
    from counterfoil.decisions.model_scoring import ModelScoring
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch
    from counterfoil.models.fixed_serving import RecordedServing
    from counterfoil.models.model_files import ModelFiles
    from counterfoil.models.scores import ModelScores
    from counterfoil.models.serving import ModelHost
    from counterfoil.observability import Metrics
    from counterfoil.runtimes.plan import CompiledProgram


# Models are imported where a detector has some: every other start is spared the wait.


def model_files(folder: Path, detector: Detector) -> ModelFiles | None:
    """Return the models that served a state folder; None for a detector without."""
    if not detector.models:
        return None
    from counterfoil.decisions.feature_words import feature_words  # noqa: PLC0415
    from counterfoil.models.model_files import ModelFiles  # noqa: PLC0415

    return ModelFiles(folder, feature_words(detector.features))


def repeat_of(files: ModelFiles | None, models: ModelScores | None) -> RecordedServing | None:
    """Return what served decisions of which the scores are recorded; None where no model did."""
    if files is None or models is None:
        return None
    from counterfoil.models.fixed_serving import repeat_of as recorded  # noqa: PLC0415

    return recorded(files, models)


def host_of(
    detector: Detector, scoring: ModelScoring, settings: ModelsConfig, folder: Path, metrics: Metrics
) -> ModelHost:
    """Return what hands over the models of a detector."""
    from counterfoil.decisions.feature_words import feature_words  # noqa: PLC0415
    from counterfoil.models.serving import ModelHost  # noqa: PLC0415

    return ModelHost(
        detector.models,
        scoring,
        settings.registry,
        folder,
        settings.poll_ms / 1000,
        feature_words(detector.features),
        metrics,
        detector.version,
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
