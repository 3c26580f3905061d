"""Whether what a model sees is still what it was trained on: each feature and the score, against the training table.

Two measures of how far two distributions lie apart, both over the bins of the training table's profile, with missing
values as a bin of their own:

- PSI, the population stability index: over about ten groups, the sum of (now - then) ln(now / then). By custom 0.1 is
  worth a look and 0.25 a change. Where nothing has changed it is about (groups - 1) (1/n + 1/m), with a spread that
  Yurdakul and Naranjo give: what a sample's chance alone could make of it never raises an alarm.
- KS, the statistic of Kolmogorov and Smirnov: the largest difference between the two cumulative distributions, taken at
  the ends of the bins, so at most a bin's share below the true one.

An alarm must not cry wolf. A window is closed when it spans a day of event time (nights differ from days) and holds a
minimum of rows. A feature that lies beyond its bounds for several windows in a row opens an episode, and only one that
lies below much lower bounds for several windows closes it: one alarm an episode.

A feature that moved within training itself (an age, a count since ever) goes on moving, and a comparison with the whole
of training says nothing of it: the last quarter of the training table is held against the one before it, and what lies
apart there is measured and shown, and never raises an alarm.

References
----------
Yurdakul, B., Naranjo, J. (2020). Statistical properties of the population stability index. Journal of Risk Model
Validation 14 (4), 89-100.
Massey, F. J. (1951). The Kolmogorov-Smirnov test for goodness of fit. Journal of the American Statistical Association
46 (253), 68-78.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from counterfoil.models.profile import Counts, FeatureProfile, Profile

GROUPS = 10
"""Groups of bins for PSI; more would make it noisier, not sharper."""
SCORE = "score"
"""What the score is called among the features."""
_BUFFER = 1_024
"""Rows that are gathered before they are counted: counting one row costs as much as counting a hundred."""
_SPREADS = 5.0
"""How many standard deviations above its mean the PSI of an unchanged feature is still put down to chance."""
_CHANCE = 1e-6
"""The chance that the KS of an unchanged feature lies above what is still put down to chance."""

DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """When a feature has drifted.

    Parameters
    ----------
    window
        Microseconds of event time that a window spans at least: a whole number of the traffic's cycles.
    rows_min
        Rows that a window holds at least; one with fewer stays open longer.
    every
        One row in so many is looked at.
    psi_raise, ks_raise
        A window with a higher value lies beyond.
    psi_clear, ks_clear
        A window in which both are lower is calm.
    windows_raise, windows_clear
        So many windows in a row beyond open an episode, and so many calm ones close it.
    """

    window: int = DAY
    rows_min: int = 2_000
    every: int = 16
    psi_raise: float = 0.25
    psi_clear: float = 0.1
    ks_raise: float = 0.2
    ks_clear: float = 0.1
    windows_raise: int = 2
    windows_clear: int = 2

    def __post_init__(self) -> None:
        for name in ("window", "rows_min", "every", "windows_raise", "windows_clear"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"drift.{name}: found {getattr(self, name)}; allowed: 1 or more")
        for low, high in (("psi_clear", "psi_raise"), ("ks_clear", "ks_raise")):
            if not 0 < getattr(self, low) <= getattr(self, high):
                raise ConfigurationError(
                    f"drift.{low}: found {getattr(self, low)}; allowed: above 0 and at most {high}, "
                    f"which is {getattr(self, high)}"
                )


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one feature lies from the training table.

    Parameters
    ----------
    name
        The feature, or ``score``.
    psi, ks
        The measures.
    psi_chance, ks_chance
        What chance alone may make of them, with so many rows.
    rows
        Rows that were looked at.
    missing, missing_before
        The share without a value, now and in training.
    counts
        Rows in each bin of the profile, those missing last.
    """

    name: str
    psi: float
    ks: float
    psi_chance: float
    ks_chance: float
    rows: int
    missing: float
    missing_before: float
    counts: tuple[int, ...]

    def beyond(self, settings: DriftSettings) -> bool:
        """Return whether it lies beyond the bounds, and beyond chance."""
        return self.psi > max(settings.psi_raise, self.psi_chance) or self.ks > max(settings.ks_raise, self.ks_chance)

    def calm(self, settings: DriftSettings) -> bool:
        """Return whether it lies below the lower bounds, or may be there by chance."""
        return self.psi < max(settings.psi_clear, self.psi_chance) and self.ks < max(settings.ks_clear, self.ks_chance)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "psi": round(self.psi, 6),
            "ks": round(self.ks, 6),
            "rows": self.rows,
            "missing": round(self.missing, 6),
            "missing_before": round(self.missing_before, 6),
        }


def measure(profile: FeatureProfile, counts: Counts) -> Drift:
    """Return how far the rows of a window lie from a profile.

    Parameters
    ----------
    profile
        Of the training table.
    counts
        Rows in each of its bins, those missing last.
    """
    return apart(profile.name, profile.all_counts, counts)


def apart(name: str, counts_before: Counts, counts: Counts) -> Drift:
    """Return how far two counts over the same bins, those missing last, lie apart."""
    before, now = counts_before.astype(np.float64), counts.astype(np.float64)
    rows, rows_before = int(now.sum()), int(before.sum())
    if not rows or not rows_before:
        return Drift(name, 0.0, 0.0, 0.0, 0.0, rows, 0.0, 0.0, tuple(counts.tolist()))
    starts = groups(before)
    grouped_before, grouped = np.add.reduceat(before, starts), np.add.reduceat(now, starts)
    # Half a row more in each group: an empty one would be infinitely far away.
    then = (grouped_before + 0.5) / (rows_before + 0.5 * len(starts))
    today = (grouped + 0.5) / (rows + 0.5 * len(starts))
    psi = float(((today - then) * np.log(today / then)).sum())
    cumulated = np.cumsum(np.roll(now, 1)) / rows - np.cumsum(np.roll(before, 1)) / rows_before
    noise = 1 / rows + 1 / rows_before
    free = len(starts) - 1
    return Drift(
        name,
        psi,
        float(np.abs(cumulated).max()),
        noise * (free + _SPREADS * sqrt(2 * max(free, 1))),
        sqrt(-log(_CHANCE / 2) / 2 * noise),
        rows,
        float(now[-1] / rows),
        float(before[-1] / rows_before),
        tuple(counts.tolist()),
    )


def groups(before: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return where groups of neighbouring bins begin, each about a tenth of the rows; the missing stand alone."""
    starts, held = [0], 0.0
    least = before[:-1].sum() / GROUPS * 0.999
    for place, count in enumerate(before[:-1]):
        if held >= least:
            starts.append(place)
            held = 0.0
        held += count
    if len(starts) > 1 and held < least / 2:
        # What is left over behind the last full group is too little to stand alone.
        starts.pop()
    return np.array([*starts, len(before) - 1], np.int64)


@dataclass(slots=True)
class _Watched:
    """One feature's way through the windows."""

    profile: FeatureProfile
    counts: Counts
    stationary: bool
    beyond: int = 0
    calm: int = 0
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Episode:
    """The beginning or end of an alarm.

    Parameters
    ----------
    drift
        What was measured in the window.
    opened
        Whether it begins.
    """

    drift: Drift
    opened: bool


@dataclass(frozen=True, slots=True)
class WindowReport:
    """What a closed window has shown.

    Parameters
    ----------
    start, end
        The event times of its first and newest row.
    rows
        Rows that were looked at.
    drifts
        One for each feature, the score last.
    alarms
        Names of the features whose episode is open.
    changes
        Episodes that began or ended with it.
    """

    start: int
    end: int
    rows: int
    drifts: tuple[Drift, ...]
    alarms: frozenset[str]
    changes: tuple[Episode, ...]


@dataclass(slots=True)
class DriftMonitor:
    """Watches what one model sees, window by window.

    It is no part of any decision and is not kept over a restart: a new process begins a new window.

    Parameters
    ----------
    profile
        Of the model's training table.
    settings
        When a feature has drifted.
    """

    profile: Profile
    settings: DriftSettings = field(default_factory=DriftSettings)
    _features: list[_Watched] = field(init=False)
    _score: _Watched = field(init=False)
    _rows: list[npt.NDArray[np.float32]] = field(default_factory=list)
    _scores: list[npt.NDArray[np.float64]] = field(default_factory=list)
    _waiting: int = 0
    _skip: int = 0
    _counted: int = 0
    _start: int | None = None
    _newest: int = 0

    def __post_init__(self) -> None:
        self._features = [_watched(each) for each in self.profile.features]
        self._score = _watched(self.profile.score)
        # A score that moves is what the watch is for, whatever it did in training.
        self._score.stationary = True

    @property
    def moving(self) -> list[str]:
        """The features that moved within training itself, and raise no alarm."""
        return [each.profile.name for each in self._features if not each.stationary]

    def observe(
        self, matrix: npt.NDArray[np.float32], scores: npt.NDArray[np.float64], times: npt.NDArray[np.int64]
    ) -> WindowReport | None:
        """Look at one row in ``every`` of a batch; return the window's report where one is closed.

        Parameters
        ----------
        matrix
            (n, features): as the model got it, NaN for null.
        scores
            (n,): its raw scores; NaN where it gave none.
        times
            (n,): event times in microseconds since 1970.
        """
        chosen = slice(self._skip, None, self.settings.every)
        taken = times[chosen]
        self._skip = (self._skip - len(times)) % self.settings.every
        if not len(taken):
            return None
        # Copies: the batch's own arrays are large, and a slice would keep them alive.
        self._rows.append(matrix[chosen].copy())
        self._scores.append(np.array(scores[chosen], np.float64))
        self._waiting += len(taken)
        self._start = int(taken.min()) if self._start is None else self._start
        self._newest = max(self._newest, int(taken.max()))
        if self._waiting >= _BUFFER:
            self._count()
        full = self._counted + self._waiting >= self.settings.rows_min
        return self._close() if full and self._newest - self._start >= self.settings.window else None

    def _count(self) -> None:
        rows, scores = np.concatenate(self._rows), np.concatenate(self._scores)
        for column, each in enumerate(self._features):
            each.counts += each.profile.bins(rows[:, column])
        self._score.counts += self._score.profile.bins(scores)
        self._counted += self._waiting
        self._rows, self._scores, self._waiting = [], [], 0

    def _close(self) -> WindowReport:
        if self._waiting:
            self._count()
        assert self._start is not None
        drifts, changes = [], []
        watched = [*self._features, self._score]
        for each in watched:
            drift = measure(each.profile, each.counts)
            drifts.append(drift)
            if self._judge(each, drift):
                changes.append(Episode(drift, each.alarm))
            each.counts = np.zeros_like(each.counts)
        report = WindowReport(
            self._start,
            self._newest,
            self._counted,
            tuple(drifts),
            frozenset(each.profile.name for each in watched if each.alarm),
            tuple(changes),
        )
        self._start, self._newest, self._counted = None, 0, 0
        return report

    def _judge(self, each: _Watched, drift: Drift) -> bool:
        """Count the window for or against an alarm; return whether one began or ended."""
        settings = self.settings
        each.beyond = each.beyond + 1 if each.stationary and drift.beyond(settings) else 0
        each.calm = each.calm + 1 if drift.calm(settings) else 0
        before = each.alarm
        each.alarm = each.calm < settings.windows_clear if before else each.beyond >= settings.windows_raise
        return each.alarm != before


def _watched(profile: FeatureProfile) -> _Watched:
    return _Watched(profile, np.zeros(len(profile.counts) + 1, np.int64), profile.stationary)
