"""A model's inputs and scores over a table, held against its training table: as a whole and day by day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError
from counterfoil.models.drift import DAY, Drift, DriftSettings, measure

if TYPE_CHECKING:
    from counterfoil.models.profile import FeatureProfile, Profile
    from counterfoil.models.signature import Input

STABLE, SHIFTED, MOVED, MOVING = "stable", "shifted", "moved", "moving"
"""What is said of a feature: below the lower bounds, between, beyond the upper ones; and that it moved within training
itself, as an age does, so that where it lies now is no news."""


@dataclass(frozen=True, slots=True)
class DayDrift:
    """One day.

    Parameters
    ----------
    day
        Days since 1970.
    rows
        Its rows.
    drifts
        One for each feature, the score last; empty where there are too few rows to say.
    """

    day: int
    rows: int
    drifts: tuple[Drift, ...]


@dataclass(frozen=True)
class DriftStudy:
    """How far a table lies from what a model was trained on.

    Parameters
    ----------
    model
        The model and its version.
    inputs
        What it takes in.
    profile
        Of its training table.
    drifts
        Over all rows: one for each feature, the score last.
    days
        The same for each day.
    settings
        The bounds.
    """

    model: str
    inputs: tuple[Input, ...]
    profile: Profile
    drifts: tuple[Drift, ...]
    days: tuple[DayDrift, ...]
    settings: DriftSettings

    @cached_property
    def moving(self) -> frozenset[str]:
        """The features that moved within training itself."""
        return frozenset(each.name for each in self.profile.features if not each.stationary)

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.drifts[-1].rows

    def verdict(self, drift: Drift) -> str:
        """Return what is to be said of a feature."""
        if drift.name in self.moving and not drift.calm(self.settings):
            return MOVING
        if drift.beyond(self.settings):
            return MOVED
        return STABLE if drift.calm(self.settings) else SHIFTED

    def profile_of(self, drift: Drift) -> FeatureProfile:
        """Return the training table's part for a feature."""
        return self.profile.score if drift is self.drifts[-1] else self.profile.by_name[drift.name]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "model": self.model,
            "rows": self.rows,
            "features": [each.as_dict() | {"verdict": self.verdict(each)} for each in self.drifts[:-1]],
            "score": self.drifts[-1].as_dict() | {"verdict": self.verdict(self.drifts[-1])},
            "days": [
                {
                    "day": str(np.datetime64(each.day, "D")),
                    "rows": each.rows,
                    "moved": [drift.name for drift in each.drifts if self.verdict(drift) == MOVED],
                }
                for each in self.days
            ],
        }


def study_drift(
    model: str,
    inputs: tuple[Input, ...],
    profile: Profile,
    matrix: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float64],
    times: npt.NDArray[np.int64],
    settings: DriftSettings | None = None,
) -> DriftStudy:
    """Return how far a table lies from a model's training table.

    Parameters
    ----------
    model
        The model and its version.
    inputs
        What it takes in, in the order of the matrix.
    profile
        Of its training table.
    matrix
        (rows, features): NaN for null.
    scores
        (rows,): the model's raw scores.
    times
        (rows,): event times in microseconds since 1970.
    settings
        The bounds.

    Raises
    ------
    InputError
        If the table has no rows, or the profile is not of this model's inputs.
    """
    if not len(matrix):
        raise InputError("table: found no rows in the period; give another table or period")
    missing = [each.name for each in inputs if each.name not in profile.by_name]
    if missing:
        raise InputError(f"the training table's profile lacks {', '.join(missing)}; train the model again")
    settings = settings or DriftSettings()
    parts = [(profile.by_name[each.name], matrix[:, column]) for column, each in enumerate(inputs)]
    parts.append((profile.score, np.asarray(scores)))
    days = times // DAY
    found = []
    for day in np.unique(days).tolist():
        rows = np.flatnonzero(days == day)
        enough = len(rows) >= settings.rows_min
        drifts = tuple(measure(each, each.bins(values[rows])) for each, values in parts) if enough else ()
        found.append(DayDrift(day, len(rows), drifts))
    drifts = tuple(measure(each, each.bins(values)) for each, values in parts)
    return DriftStudy(model, inputs, profile, drifts, tuple(found), settings)
