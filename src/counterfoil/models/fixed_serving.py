"""Versions that serve without a clock: those that the log names, and those that a registry names once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from counterfoil.errors import InputError
from counterfoil.models import kernel
from counterfoil.models.definition import ModelUse
from counterfoil.models.mapping import IDENTITY
from counterfoil.models.matrix import Planner
from counterfoil.models.model_files import ModelFiles
from counterfoil.models.registry import open_registry
from counterfoil.models.scores import SERVED, ModelScores, Served
from counterfoil.models.serving_model import Lineup, ServingModel


class RecordedServing:
    """What served a batch once, to perform it again.

    Parameters
    ----------
    files
        Where the models are.
    recorded
        What the log holds of the batch.
    """

    def __init__(self, files: ModelFiles, recorded: tuple[Served, ...]) -> None:
        self._files, self._recorded = files, recorded

    def asked(self, entry: int) -> ServingModel | None:
        """Return the model of an entry; None where it gave no scores then."""
        served = self._recorded[entry]
        return self._files.load(served) if served.status == SERVED else None

    def score(self, entry: int, columns: kernel.Floats) -> kernel.Doubles | None:
        """Return the scores that it gave then."""
        return self._files.load(self._recorded[entry]).model.score_columns(columns)

    def served(self) -> tuple[Served, ...]:
        """Return who served."""
        return self._recorded


def repeat_of(files: ModelFiles, models: ModelScores | None) -> RecordedServing | None:
    """Return what served a recorded batch; None where it had no models."""
    return None if models is None else RecordedServing(files, models.served)


class FixedServing:
    """Versions that serve as long as it takes, without a clock: for back-tests and training tables.

    Parameters
    ----------
    uses
        The models of the definition.
    lineup
        Their versions.
    """

    def __init__(self, uses: Sequence[ModelUse], lineup: Lineup) -> None:
        self._uses, self._lineup = tuple(uses), lineup

    def asked(self, entry: int) -> ServingModel | None:
        """Return the model of an entry."""
        return self._lineup[entry]

    def score(self, entry: int, columns: kernel.Floats) -> kernel.Doubles | None:
        """Return the scores of (features, rows)."""
        serving = self._lineup[entry]
        return None if serving is None else serving.model.score_columns(columns)

    def served(self) -> tuple[Served, ...]:
        """Return who served."""
        pairs = zip(self._uses, self._lineup, strict=True)
        return tuple(Served(use.name) if each is None else each.served(use.name, SERVED) for use, each in pairs)


def fixed_serving(
    uses: Sequence[ModelUse], planner: Planner, place: str | None, words: Mapping[str, str] | None = None
) -> FixedServing | None:
    """Return what a registry says serves now; None for a definition without models.

    Raises
    ------
    InputError
        If a model that acts for all is not there, or does not fit the detector.
    """
    if not uses:
        return None
    registry = open_registry(place, read_only=True)
    try:
        files = ModelFiles(None, words)
        lineup: list[ServingModel | None] = []
        for use in uses:
            try:
                version = registry.resolve(use.use)
            except InputError:
                if use.acts:
                    raise
                lineup.append(None)
                continue
            planner.plan(version.signature)
            lineup.append(files.keep(registry.model(version), version.reference, IDENTITY, None))
    finally:
        registry.close()
    return FixedServing(uses, tuple(lineup))
