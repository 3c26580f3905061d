"""Random numbers that are a pure function of what they are for.

A draw is the hash of a key and a counter (SplitMix64), so the number that decides the tenth payment of a story is the
same whichever chunk it falls in and whatever was drawn before. Keys come from ``numpy.random.SeedSequence``: seeds
that differ in one bit, and subjects of one seed, give unrelated streams. Only integers and IEEE multiplications
follow, never a library's ``exp`` or ``log``, whose last bit differs between machines.

References
----------
Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Whole = npt.NDArray[np.int64]
Unit = npt.NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def subject_key(seed: int, subject: str) -> np.uint64:
    """Return the key of one subject's draws under a seed.

    Examples
    --------
    >>> int(subject_key(0, "population")) == int(subject_key(0, "population"))
    True
    >>> int(subject_key(0, "population")) == int(subject_key(1, "population"))
    False
    """
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(subject.encode()))
    return np.uint64(sequence.generate_state(1, np.uint64)[0])


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def mix(word: np.uint64) -> np.uint64:
    """Return SplitMix64's finaliser of a word: a bijection, so distinct words stay distinct."""
    word = (word ^ (word >> np.uint64(30))) * _FIRST
    word = (word ^ (word >> np.uint64(27))) * _SECOND
    return word ^ (word >> np.uint64(31))


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def draw(key: np.uint64, counter: np.uint64) -> np.uint64:
    """Return 64 random bits: the ``counter``-th of the key's stream."""
    return mix(key + _GOLDEN * (counter + np.uint64(1)))


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def below(word: np.uint64, bound: int) -> int:
    """Return the upper 32 bits of a draw as a whole number in [0, bound)."""
    return np.int64(((word >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


def draws(key: np.uint64, counters: Keys) -> Keys:
    """Return ``draw`` of every counter."""
    words = counters + np.uint64(1)
    words *= _GOLDEN
    words += key
    words ^= words >> np.uint64(30)
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words


def units(words: Keys) -> Unit:
    """Return draws as numbers in [0, 1)."""
    return np.asarray((words >> np.uint64(11)).astype(np.float64) * 2.0**-53)


@dataclass(frozen=True, slots=True)
class Lots:
    """The draws of some numbered things: people, merchants, tellings of a story.

    Parameters
    ----------
    key
        The subject's key.
    number
        (n,): what is drawn for.
    """

    key: np.uint64
    number: Keys

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def of(cls, key: np.uint64, first: int, past: int) -> Lots:
        """Return the lots of the numbers in [first, past)."""
        return cls(key, np.arange(first, past, dtype=np.uint64))

    def words(self, label: int, steps: int | None = None) -> Keys:
        """Return 64 bits each, (n,) or with ``steps`` (n, steps). Equal labels give equal draws."""
        counters = (self.number << np.uint64(16)) + np.uint64(label * 64)
        if steps is None:
            return draws(self.key, counters)
        assert steps <= 64, "a label has 64 steps"
        each: Keys = counters[:, None] + np.arange(steps, dtype=np.uint64)
        return draws(self.key, each)

    def unit(self, label: int, steps: int | None = None) -> Unit:
        """Return numbers in [0, 1)."""
        return units(self.words(label, steps))

    def between(self, low: float, high: float, label: int, steps: int | None = None) -> Unit:
        """Return numbers in [low, high)."""
        return low + (high - low) * self.unit(label, steps)

    def whole(self, low: int, high: int, label: int, steps: int | None = None) -> Whole:
        """Return whole numbers in [low, high], both included."""
        return low + (self.unit(label, steps) * (high - low + 1)).astype(np.int64)

    def chance(self, probability: float, label: int, steps: int | None = None) -> npt.NDArray[np.bool_]:
        """Return True with a probability."""
        return np.asarray(self.unit(label, steps) < probability)
