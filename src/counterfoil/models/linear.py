"""Linear models as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from counterfoil.errors import InputError
from counterfoil.models import kernel
from counterfoil.models.trees import LINKS


@dataclass(frozen=True)
class LinearWeights:
    """A weighted sum of the columns; scaling is folded in.

    Parameters
    ----------
    weights
        (features,).
    intercept
        What is added once.
    link
        What the sum goes through: ``identity`` or ``logistic``.

    Examples
    --------
    >>> LinearWeights(np.array([1.0, -1.0]), 0.5).score(np.array([[2.0], [1.0]], np.float32)).tolist()
    [1.5]
    """

    weights: kernel.Doubles
    intercept: float
    link: str = "identity"

    def __post_init__(self) -> None:
        if not np.isfinite(self.weights).all() or not np.isfinite(self.intercept):
            raise InputError("linear model: found a weight that is no number; allowed: finite numbers")
        if self.link not in LINKS:
            raise InputError(f'linear model: found the link "{self.link}"; allowed: {", ".join(LINKS)}')

    def margin(self, columns: kernel.Floats) -> kernel.Doubles:
        """Return the sum for each row of (features, rows), in the order of the columns whatever the batch."""
        out = np.full(columns.shape[1], self.intercept)
        kernel.add_linear(columns, self.weights, out)
        return out

    def score(self, columns: kernel.Floats) -> kernel.Doubles:
        """Return the score of each row of (features, rows)."""
        out = self.margin(columns)
        if self.link == "logistic":
            kernel.logistic(out)
        return out
