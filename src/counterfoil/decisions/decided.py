"""What a batch becomes: decisions as columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes, Words

if TYPE_CHECKING:
    from counterfoil.models.scores import ModelScores

HIT = 1
FAILED = 2
"""Values of ``Decided.hits`` beside 0 for no."""


@dataclass(frozen=True, slots=True)
class AlertChange:
    """An alert that a decision opened or extended.

    Parameters
    ----------
    alert
        Its id: ``rule@position`` of the decision that opened it, or ``@position`` for a decision's own alert.
    opened
        Whether this decision opened it.
    column
        Index of the decision in ``Decided``.
    rules
        Indices of the rules that speak for it.
    entity
        The entity whose episode it is; None for a decision's own alert.
    """

    alert: str
    opened: bool
    column: int
    rules: tuple[int, ...]
    entity: str | None


@dataclass(slots=True)
class Decided:
    """The decisions of a batch, in arrival order, as columns; m is their number."""

    rows: Words
    """(m,): row of the batch."""
    score: npt.NDArray[np.float64]
    """(m,): 0 to 1; a higher score is more suspicious."""
    outcome: Bytes
    """(m,): 0 approve, 1 review, 2 block."""
    hits: Bytes
    """(rules, m): 0 no, 1 hit, 2 failed (the rule was left out)."""
    late: Bytes
    """(m,): 1 where the event was older than ``max_lateness`` allows: its features may lack what was forgotten."""
    features: Words
    """(features, m): words, see ``Program.feature_types``."""
    feature_nulls: Bytes
    """(features, m): 1 null, 2 failed."""
    duplicates: Words
    """(d,): rows of the batch that are duplicates: they were not decided and changed nothing."""
    firsts: Words
    """(d,): the position of the event that each duplicate repeats."""
    observed: int
    """How many rows only fed state."""
    alerts: list[AlertChange] = field(default_factory=list)
    models: ModelScores | None = None
    """What models said; None where the detector has none."""
    outliers: npt.NDArray[np.float64] | None = None
    """(outlier scores, m): NaN until there have been enough events; None where the detector has none."""

    def __len__(self) -> int:
        return len(self.rows)
