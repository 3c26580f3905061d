"""Where a key belongs in an open-addressing table: what all tables of keyed hashes share."""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(inline="always")
def tag_of(key: np.int64) -> np.uint64:
    """Return 32 bits of a key that depend on all of its bits (multiplicative hashing, Knuth, TAOCP 3, 6.4)."""
    return (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)


@nb.njit(inline="always")
def home_of(tag: np.uint64, capacity: np.int64) -> np.int64:
    """Return the first place to look at, of a capacity below 2^31 that need not be a power of two.

    Places follow the order of tags: a table that is copied into a larger one is read and written from beginning to end.
    """
    return np.int64((tag * np.uint64(capacity)) >> np.uint64(32))
