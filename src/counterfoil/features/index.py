"""The hash index of a shard: key to slot, open addressing with linear probing, in one flat array.

Entry ``i`` is the two words ``table[2 * i]`` (key, 0 for empty) and ``table[2 * i + 1]`` (slot). Keys are keyed hashes
already, so their low bits are the place; the high bits choose the shard.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features.access import load, store
from counterfoil.memory import reserve

CAPACITY_FIRST = 1 << 10
FILL_MAX = 0.6
"""Beyond this share of used entries the table doubles: at 0.6 a look-up probes 1.75 entries on average."""


@nb.njit(inline="always")
def find(table: Words, key: np.int64) -> np.int64:
    """Return the slot of a key, or -1."""
    mask = (table.shape[0] >> 1) - 1
    place = key & mask
    while True:
        found = load(table, 2 * place)
        if found == key:
            return load(table, 2 * place + 1)
        if found == 0:
            return np.int64(-1)
        place = (place + 1) & mask


@nb.njit(inline="always")
def insert(table: Words, key: np.int64, slot: np.int64) -> None:
    """Add a key that is not there yet; there must be room."""
    mask = (table.shape[0] >> 1) - 1
    place = key & mask
    while load(table, 2 * place) != 0:
        place = (place + 1) & mask
    store(table, 2 * place, key)
    store(table, 2 * place + 1, slot)


@nb.njit(nogil=True, cache=True)
def _copy(old: Words, new: Words) -> None:
    for place in range(old.shape[0] >> 1):
        if load(old, 2 * place) != 0:
            insert(new, load(old, 2 * place), load(old, 2 * place + 1))


def with_room(table: Words, used: int, more: int) -> Words:
    """Return a table that holds ``more`` keys beside the ``used`` ones: the same one where it has room."""
    capacity = len(table) >> 1
    if used + more <= capacity * FILL_MAX:
        return table
    while used + more > capacity * FILL_MAX:
        capacity *= 2
    grown = reserve(2 * capacity, dense=True)
    _copy(table, grown)
    return grown
