"""Scores on one scale: after a swap the same threshold raises as many alerts as before.

A mapping takes the scores of a new model to those that the serving one gives the same payments: equal quantiles become
equal. It is a broken line through quantiles, closest where thresholds stand: in the upper tail.

Examples
--------
>>> former, new = np.linspace(0, 1, 10_001), np.linspace(0, 1, 10_001) ** 2
>>> mapping = fit_mapping(new, former)
>>> round(float(mapping.apply(np.array([0.25]))[0]), 2)
0.5
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError

Doubles = npt.NDArray[np.float64]
KNOTS_MAX = 2_000
ROWS_LEAST = 200
"""Fewer scores than these say too little of a tail."""
_TAIL = np.concatenate([10.0 ** -np.linspace(0, 5, 401), [0.0]])
_BODY = np.linspace(0.0, 0.9, 91)
LEVELS = np.unique(np.concatenate([_BODY, 1.0 - _TAIL]))
"""The quantiles of the knots: every hundredth up to 0.9, and eighty a decade of the share above."""


@dataclass(frozen=True, eq=False)
class Mapping:
    """A broken line from raw scores to the reference.

    Parameters
    ----------
    x, y
        Its knots: raw scores, strictly rising, and what they become, never falling.
    rows
        How many scores it was fitted on; 0 for the identity.
    """

    x: Doubles
    y: Doubles
    rows: int = 0

    def apply(self, raw: Doubles) -> Doubles:
        """Return raw scores on the scale of the reference; NaN stays NaN. Beyond the knots it goes on at slope 1."""
        if not len(self.x):
            return raw
        mapped = np.interp(raw, self.x, self.y)
        above, below = raw > self.x[-1], raw < self.x[0]
        if above.any():
            mapped[above] = self.y[-1] + (raw[above] - self.x[-1])
        if below.any():
            mapped[below] = self.y[0] + (raw[below] - self.x[0])
        return np.clip(mapped, 0.0, 1.0) if self._unit else mapped

    @property
    def _unit(self) -> bool:
        return bool(self.y[0] >= 0.0 and self.y[-1] <= 1.0)

    @property
    def sha256(self) -> str:
        """The hash of its content; empty for the identity."""
        return hashlib.sha256(self.encode()).hexdigest() if len(self.x) else ""

    def encode(self) -> bytes:
        """Return it as JSON; its numbers read back bit for bit."""
        return msgspec.json.encode({"rows": self.rows, "x": self.x.tolist(), "y": self.y.tolist()})

    @classmethod
    def decode(cls, data: bytes) -> Mapping:
        """Return what ``encode`` gave.

        Raises
        ------
        InputError
            If it is none.
        """
        try:
            found = msgspec.json.decode(data)
            x, y = np.array(found["x"], np.float64), np.array(found["y"], np.float64)
            rows = int(found["rows"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"mapping of scores: is damaged: {error}") from error
        if len(x) != len(y) or len(x) > KNOTS_MAX or (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
            raise InputError("mapping of scores: its knots do not rise")
        return cls(x, y, rows)


IDENTITY = Mapping(np.zeros(0), np.zeros(0))


def fit_mapping(scores: Doubles, reference: Doubles) -> Mapping:
    """Return the mapping that takes the quantiles of some scores to those of a reference.

    Parameters
    ----------
    scores
        Raw scores of the new model on recent payments; NaN is left out.
    reference
        The scores that thresholds are meant for, on the same payments.
    """
    scores, reference = scores[np.isfinite(scores)], reference[np.isfinite(reference)]
    rows = min(len(scores), len(reference))
    if rows < ROWS_LEAST:
        return IDENTITY
    # Beyond one in the number of scores there is nothing between the last two.
    levels = LEVELS[(1.0 - 1.0 / rows >= LEVELS) | (LEVELS == 1.0)]
    x, y = np.quantile(scores, levels), np.quantile(reference, levels)
    # Where several quantiles are one score, its place is the middle of theirs.
    knots, first, count = np.unique(x, return_index=True, return_counts=True)
    values = np.add.reduceat(y, first) / count
    return Mapping(knots, np.maximum.accumulate(values), rows)
