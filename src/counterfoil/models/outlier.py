"""How unusual a payment is among the payments just before it: an online score that needs no labels and no training.

Each feature has a histogram of the values of recent payments. A payment's value has a surprise there: minus the
logarithm of the share of payments that lie at least as far out on the same side, both sides counted (after ECOD), or
that also have no value where it has none. The surprises of all features are added up, as Fisher combines tests, and the
score is the rank of that sum among the sums of recent payments: 0.999 is more unusual than 999 of 1,000. So a threshold
keeps its alert rate as traffic changes, and what each feature added can be shown.

It is robust because it knows values by their rank alone: an amount of a billion weighs no more than the largest of the
day, and one payment among a million moves no rank by more than a millionth. It forgets: a payment's weight falls to a
half after some 700,000 payments, or what ``memory`` says.

It is exact arithmetic on whole counts, performed payment by payment in the order of arrival: the scores are the same
whatever the size of the batches, and after a restart. Each payment is held against the payments before it, as they
stood when the tables were last made: every 4,096 payments, and more often in the beginning.

References
----------
Li, Z., Zhao, Y., Hu, X., Botta, N., Ionescu, C., Chen, G. (2022). ECOD: unsupervised outlier detection using empirical
cumulative distribution functions. IEEE Transactions on Knowledge and Data Engineering 35 (12), 12181-12193.
Fisher, R. A. (1932). Statistical methods for research workers, 4th edition, section 21.1. Oliver and Boyd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.errors import StorageError

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WARM = 1_000
"""Payments before the first score: rank among fewer says little."""
EPOCH = 4_096
"""Payments after which the tables are made anew: making them costs as much as 600 payments."""
MEMORY = 8
"""An epoch forgets one part in 2 to this power: half of the weight in 0.69 × 2^8 × 4,096 = 730,000 payments."""

_UNIT = 1_024
"""What a payment adds to a count: parts of it can be forgotten, too."""
_OCTAVES, _LOWEST = 48, -16
"""Values are told apart from 2^-16 to 2^32; what is nearer to zero is zero, what is beyond is the outermost bin."""
_STEPS = 4
"""Bins to an octave."""
_SIDE = _OCTAVES * _STEPS
_BINS = 2 * _SIDE + 1
_MISSING = _BINS
"""The last column of a feature's histogram: payments without a value."""
_SUM_STEPS = 32
_SUM_BINS = 32 * _SUM_STEPS
"""Bins of the sums of surprises, from 2^-16 to 2^16."""

_SEEN, _PENDING = 0, 1


class OutlierState:
    """The histograms of one detector's unusualness.

    Parameters
    ----------
    features
        How many features are looked at.
    memory
        How slowly it forgets: each step more doubles the payments that it remembers.
    """

    def __init__(self, features: int, memory: int = MEMORY) -> None:
        self._memory = memory
        self._counts = np.zeros((features, _BINS + 1), np.int64)
        self._sums = np.zeros(_SUM_BINS, np.int64)
        self._meta = np.zeros(2, np.int64)
        self._surprises = np.zeros((features, _BINS + 1), np.float64)
        self._ranks = np.zeros(_SUM_BINS, np.float64)

    def update(
        self, matrix: npt.NDArray[np.float32], surprises: npt.NDArray[np.float32] | None = None
    ) -> tuple[Floats, Floats]:
        """Score payments, each by those before it, and learn from them.

        Parameters
        ----------
        matrix
            (n, features): in order of arrival; NaN for a missing value.
        surprises
            (n, features): where given, what each feature added is written here.

        Returns
        -------
        tuple
            (n,) sums of surprises and (n,) scores from 0 to 1, higher for more unusual; NaN until there have been
            enough payments.
        """
        size = len(matrix)
        raw, score = np.empty(size, np.float64), np.empty(size, np.float64)
        told = np.empty((0, matrix.shape[1]), np.float32) if surprises is None else surprises
        words = np.ascontiguousarray(matrix, np.float32).view(np.int32)
        _update(
            words, self._counts, self._sums, self._meta, self._surprises, self._ranks, self._memory, raw, score, told
        )
        return raw, score

    def snapshot(self) -> dict[str, Words]:
        """Return the state as named arrays: views, valid until the next update."""
        return {
            "counts": self._counts.reshape(-1),
            "sums": self._sums,
            "meta": self._meta,
            "surprises": self._surprises.view(np.int64).reshape(-1),
            "ranks": self._ranks.view(np.int64),
        }

    def restore(self, arrays: Mapping[str, Words]) -> None:
        """Take over what ``snapshot`` gave for as many features.

        Raises
        ------
        StorageError
            If it is of another shape.
        """
        for name, array in self.snapshot().items():
            given = arrays[name]
            if given.shape != array.shape:
                raise StorageError(f"state of the outlier score, {name}: found {given.shape}; allowed: {array.shape}")
            array[:] = given


@nb.njit(nogil=True, cache=True)
def _bin(word: np.int32) -> int:
    """Return the bin of a float32 by its bits: ascending with the value, with one of its own where there is none."""
    size = word & np.int32(0x7FFFFFFF)
    if size > 0x7F800000:
        return _MISSING
    # Exponent and the two highest bits of the fraction are next to one another.
    step = min(max(int(size >> 21) - (_LOWEST + 127) * _STEPS + 1, 0), _SIDE)
    return _SIDE - step if word < 0 else _SIDE + step


@nb.njit(nogil=True, cache=True)
def _sum_bin(value: np.float64) -> int:
    """Return the bin of a sum of surprises."""
    if value < 2.0**-16:
        return 0
    bits = np.float64(value).view(np.int64)
    return min(max(int(bits >> 47) - (1023 - 16) * _SUM_STEPS, 0), _SUM_BINS - 1)


@nb.njit(nogil=True, cache=True)
def _update(
    words: npt.NDArray[np.int32],
    counts: Words,
    sums: Words,
    meta: Words,
    surprises: Floats,
    ranks: Floats,
    memory: int,
    raw: Floats,
    score: Floats,
    told: npt.NDArray[np.float32],
) -> None:
    features = words.shape[1]
    for row in range(len(words)):
        total = 0.0
        for feature in range(features):
            place = _bin(words[row, feature])
            surprise = surprises[feature, place]
            total += surprise
            counts[feature, place] += _UNIT
            if len(told) > 0:
                told[row, feature] = surprise
        warm = meta[_SEEN] >= WARM
        place = _sum_bin(total)
        raw[row] = total if warm else np.nan
        score[row] = ranks[place] if warm else np.nan
        # Before there are tables every sum is zero, and no rank.
        if meta[_SEEN] >= WARM // 4:
            sums[place] += _UNIT
        meta[_SEEN] += 1
        meta[_PENDING] += 1
        seen = meta[_SEEN]
        if meta[_PENDING] == EPOCH or seen == WARM // 4 or seen == WARM or seen == 2 * WARM:
            _make_tables(counts, sums, surprises, ranks)
            if meta[_PENDING] == EPOCH:
                meta[_PENDING] = 0
                _forget(counts, sums, memory)


@nb.njit(nogil=True, cache=True)
def _make_tables(counts: Words, sums: Words, surprises: Floats, ranks: Floats) -> None:
    for feature in range(len(counts)):
        present = counts[feature, :_BINS].sum()
        every = present + counts[feature, _MISSING]
        below = 0
        for place in range(_BINS):
            here = counts[feature, place]
            # Shares at or below, and at or above, with the payment itself counted in: never zero.
            least = min(below + here, present - below) + _UNIT
            both = min(2.0 * least, present + _UNIT)
            surprises[feature, place] = -log(both / (every + _UNIT))
            below += here
        surprises[feature, _MISSING] = -log((counts[feature, _MISSING] + _UNIT) / (every + _UNIT))
    every, below = sums.sum(), 0
    for place in range(_SUM_BINS):
        # The payment itself counted in, as for surprises: a sum beyond all others ranks below 1.
        ranks[place] = (below + 0.5 * (sums[place] + _UNIT)) / (every + _UNIT)
        below += sums[place]


@nb.njit(nogil=True, cache=True)
def _forget(counts: Words, sums: Words, memory: int) -> None:
    for feature in range(len(counts)):
        for place in range(_BINS + 1):
            counts[feature, place] -= counts[feature, place] >> memory
    for place in range(_SUM_BINS):
        sums[place] -= sums[place] >> memory


def surprise_order(surprises: npt.NDArray[np.float32], names: Sequence[str], most: int) -> list[tuple[str, float]]:
    """Return the features that surprised most, with what each added to the sum, for one payment.

    Parameters
    ----------
    surprises
        (features,): what ``OutlierState.update`` wrote for it.
    names
        The features.
    most
        How many to return.
    """
    order = np.argsort(-surprises, kind="stable")[:most]
    return [(names[place], float(surprises[place])) for place in order if surprises[place] > 0]
