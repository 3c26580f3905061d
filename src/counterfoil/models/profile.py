"""The profile of a training table: how each feature and the score are distributed, small enough to lie in a signature.

Reasons take from it what is usual, linear contributions their means, sampled ones their medians, and the watch for
drift what it holds the live traffic against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError
from counterfoil.models.drift import DriftSettings, apart

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CUTS = 40
"""Bins of a profile, at most: two and a half percent of the rows in each. Sixty features take about 60 KiB of JSON."""
ROWS_MAX = 200_000
"""Rows that quantiles are taken of: an even choice of them, where there are more. It puts a quantile's place in the
distribution within 0.3 % of where it belongs."""

Counts = npt.NDArray[np.int64]


class Named(Protocol):
    """What a model takes in: all that counts here is its name."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


class FeatureProfile(msgspec.Struct, frozen=True, dict=True):
    """How one feature, or the score, was distributed.

    Parameters
    ----------
    name
        Its name.
    cuts
        Where bins end, ascending, each bin including its end; behind the last cut lies one bin more. A value that very
        many rows have is a cut, so that it has a bin of its own.
    counts
        Rows in each bin.
    missing
        Rows without a value.
    mean
        Of the rows that have a value; 0 where none has.
    stationary
        Whether the table's last quarter lies where the one before it lies. An age moves within training itself, and so
        does a count since ever: that they move afterwards is no news.
    """

    name: str
    cuts: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int
    mean: float
    stationary: bool = True

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return sum(self.counts)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.present + self.missing

    @cached_property
    def ends(self) -> npt.NDArray[np.float64]:
        """The cuts as an array."""
        return np.array(self.cuts, np.float64)

    @cached_property
    def all_counts(self) -> Counts:
        """Rows in each bin, those without a value last: what ``bins`` is held against."""
        return np.array([*self.counts, self.missing], np.int64)

    def bins(self, values: ArrayLike) -> Counts:
        """Return how many values lie in each bin, those missing last."""
        return bins_of(self.ends, values)

    def quantile(self, share: float) -> float:
        """Return the cut at or below which at least a share of the rows with a value lies; NaN where none has."""
        if not self.present:
            return float("nan")
        sums = np.cumsum(self.counts)
        place = int(np.searchsorted(sums, share * self.present - 1e-9))
        return self.cuts[min(place, len(self.cuts) - 1)]


class Profile(msgspec.Struct, frozen=True, dict=True):
    """How a training table was distributed.

    Parameters
    ----------
    features
        One for each input of the model, in order.
    score
        Of the raw scores on the same rows.
    """

    features: tuple[FeatureProfile, ...]
    score: FeatureProfile

    @cached_property
    def by_name(self) -> dict[str, FeatureProfile]:
        """The features by name."""
        return {each.name: each for each in self.features}


def profile_of(
    inputs: Iterable[Named], matrix: npt.NDArray[np.float32], scores: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Return the profile of a training table, as a signature holds it.

    Parameters
    ----------
    inputs
        What the model takes in, one for each column.
    matrix
        (rows, features): NaN for a missing value, before anything is imputed; in the order of time.
    scores
        (rows,): the model's raw scores.
    """
    features = tuple(_profile(each.name, matrix[:, column]) for column, each in enumerate(inputs))
    found: dict[str, Any] = msgspec.to_builtins(Profile(features, _profile("score", scores)))
    return found


def read_profile(content: Mapping[str, Any]) -> Profile | None:
    """Return the profile that a signature holds; None where it holds none.

    Raises
    ------
    InputError
        If what it holds is no profile.
    """
    if not content:
        return None
    try:
        profile = msgspec.convert(content, Profile)
    except msgspec.ValidationError as error:
        raise InputError(f"the signature's profile cannot be read: {error}; train the model again") from error
    for each in (*profile.features, profile.score):
        if len(each.counts) != len(each.cuts) + 1 or list(each.cuts) != sorted(set(each.cuts)):
            raise InputError(
                f"the signature's profile of {each.name}: found {len(each.cuts)} cuts and {len(each.counts)} counts; "
                "allowed: ascending cuts and one count more; train the model again"
            )
    return profile


def bins_of(ends: npt.NDArray[np.float64], values: ArrayLike) -> Counts:
    """Return how many values lie in each bin that ends somewhere, in the one behind, and are missing."""
    array = np.asarray(values, np.float64)
    place = np.searchsorted(ends, array, side="left")
    place[np.isnan(array)] = len(ends) + 1
    return np.bincount(place, minlength=len(ends) + 2)


def _profile(name: str, column: npt.NDArray[np.floating[Any]]) -> FeatureProfile:
    present = np.asarray(column[~np.isnan(column)], np.float64)
    missing = len(column) - len(present)
    if not len(present):
        return FeatureProfile(name, (), (0,), missing, 0.0)
    chosen = present if len(present) <= ROWS_MAX else present[:: -(-len(present) // ROWS_MAX)]
    shares = np.arange(1, CUTS) / CUTS
    cuts = np.unique(np.quantile(chosen, [*shares, 1.0], method="inverted_cdf"))
    # Cuts must be numbers that JSON can hold; values beyond them fall into the first and last bin.
    cuts = cuts[np.isfinite(cuts)]
    counts = np.bincount(np.searchsorted(cuts, present, side="left"), minlength=len(cuts) + 1)
    mean = float(present[np.isfinite(present)].mean()) if np.isfinite(present).any() else 0.0
    stays = _stationary(cuts, column)
    return FeatureProfile(name, tuple(cuts.tolist()), tuple(counts.tolist()), missing, mean, stays)


def _stationary(cuts: npt.NDArray[np.float64], column: npt.NDArray[np.floating[Any]]) -> bool:
    """Return whether the last quarter of a column lies where the one before it lies, but for chance."""
    middle, third = len(column) // 2, len(column) * 3 // 4
    return apart("", bins_of(cuts, column[middle:third]), bins_of(cuts, column[third:])).calm(DriftSettings())
