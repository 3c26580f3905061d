"""A version of a model as it serves: the model, the mapping of its scores, and its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from counterfoil.models import kernel
from counterfoil.models.explanations import Explainer
from counterfoil.models.mapping import IDENTITY
from counterfoil.models.mapping import Mapping as ScoreMapping
from counterfoil.models.model import Model
from counterfoil.models.scores import Served
from counterfoil.models.signature import Signature
from counterfoil.observability import get_logger

_REASONS = 5

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A version with the mapping of its scores.

    Parameters
    ----------
    reference
        ``payments@3``.
    model
        The loaded model.
    mapping
        From its scores to those that thresholds are meant for.
    words
        How features are called when reasons are told.
    """

    reference: str
    model: Model
    mapping: ScoreMapping = IDENTITY
    words: Mapping[str, str] = field(default_factory=dict)
    _explainer: list[Explainer] = field(default_factory=list, compare=False)

    @property
    def signature(self) -> Signature:
        """What it expects."""
        return self.model.signature

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        return self.model.sha256

    def map(self, raw: kernel.Doubles) -> kernel.Doubles:
        """Return raw scores on the scale of the thresholds."""
        return self.mapping.apply(raw)

    def explain(self, rows: npt.NDArray[np.float32]) -> list[Any]:
        """Return why rows (rows, features) are scored as they are, each for JSON."""
        try:
            if not self._explainer:
                self._explainer.append(Explainer(self.model, self.words))
            return [each.as_dict() for each in self._explainer[0].explain(rows, _REASONS)]
        except Exception as error:
            # A decision without reasons is better than none.
            _log.warning("reasons of a model failed", model=self.reference, reason=str(error)[:300])
            return [{"method": "failed", "features": []} for _ in rows]

    def served(self, name: str, status: str) -> Served:
        """Return what is recorded of it."""
        return Served(name, self.reference, self.sha256, self.mapping.sha256, status)


Lineup = tuple[ServingModel | None, ...]
"""The version of each model of the definition; None where there is none."""
