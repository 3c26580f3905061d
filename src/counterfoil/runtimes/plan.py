"""What every runtime needs of a compiled detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.decisions.model_scoring import ModelScoring, Serving
    from counterfoil.detector import Detector
    from counterfoil.events.batch import Batch
    from counterfoil.rules.types import ValueType


class CompiledProgram(Protocol):
    """A compiled, stateful detector: ``counterfoil.program.Program`` is one.

    ``process`` is a pure function of the events so far: the same events in the same order give the same decisions,
    however they are cut into batches.
    """

    detector: Detector
    feature_names: tuple[str, ...]
    feature_types: tuple[ValueType, ...]
    models: ModelScoring

    def process(self, batch: Batch, serving: Serving | None = None, /) -> Decided:
        """Decide a batch, with the versions of models that serve it, and take it into the state."""
        ...

    def explain_hit(self, batch: Batch, decided: Decided, column: int, rule: int, /) -> tuple[Mapping[str, Any], str]:
        """Return the values that a rule saw on the ``column``-th decision, and its reason as a sentence."""
        ...

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as arrays; they are only good until the next ``process``."""
        ...

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the state of a snapshot."""
        ...

    def entities(self) -> dict[str, int]:
        """Return how many of each entity are known."""
        ...

    def state_bytes(self) -> int:
        """Return the size of the state."""
        ...
