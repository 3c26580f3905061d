"""The hash index of a shard: key to record, open addressing with linear probing, in one flat array.

Entry ``i`` is the two words ``table[2 * i]`` (key, 0 for empty) and ``table[2 * i + 1]`` (where its record begins in
the arena). Entries lie in the order of their keys' hashes, so that a table is copied into one of twice the size from
beginning to end.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features.access import load, store
from counterfoil.hash_table import home_of, tag_of
from counterfoil.memory import reserve

CAPACITY_FIRST = 1 << 10
FILL_MAX = 0.6
"""Beyond this share of used entries the table doubles: at 0.6 a look-up probes 1.75 entries on average."""


@nb.njit(inline="always")
def place_of(table: Words, key: np.int64) -> np.int64:
    """Return the word of the first entry to look at."""
    return 2 * home_of(tag_of(key), table.shape[0] >> 1)


@nb.njit(inline="always")
def find(table: Words, key: np.int64) -> np.int64:
    """Return where a key's record begins, or -1."""
    place = place_of(table, key)
    while True:
        found = load(table, place)
        if found == key:
            return load(table, place + 1)
        if found == 0:
            return np.int64(-1)
        place += 2
        if place == table.shape[0]:
            place = np.int64(0)


@nb.njit(inline="always")
def insert(table: Words, key: np.int64, record: np.int64) -> None:
    """Add a key that is not there yet; there must be room."""
    place = place_of(table, key)
    while load(table, place) != 0:
        place += 2
        if place == table.shape[0]:
            place = np.int64(0)
    store(table, place, key)
    store(table, place + 1, record)


@nb.njit(nogil=True, cache=True)
def _copy(old: Words, new: Words) -> None:
    for place in range(0, old.shape[0], 2):
        if load(old, place) != 0:
            insert(new, load(old, place), load(old, place + 1))


def is_nearly_full(table: Words, used: int) -> bool:
    """Tell whether a table will have to be copied into one of twice the size before long."""
    return used > _NEARLY * FILL_MAX * (len(table) >> 1)


_NEARLY = 0.8


def with_room(table: Words, used: int, more: int, larger: Words | None = None) -> Words:
    """Return a table that holds ``more`` keys beside the ``used`` ones: the same one where it has room.

    Parameters
    ----------
    table
        The table.
    used
        How many keys it holds.
    more
        How many may come.
    larger
        An empty one of twice the size, where there is one already.
    """
    capacity = len(table) >> 1
    if used + more <= capacity * FILL_MAX:
        return table
    while used + more > capacity * FILL_MAX:
        capacity *= 2
    grown = larger if larger is not None and len(larger) == 2 * capacity else reserve(2 * capacity, dense=True)
    _copy(table, grown)
    return grown
