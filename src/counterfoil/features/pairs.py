"""The map (entity, what, value) to a number, for distinct counts and frequencies: one flat table a shard.

Entry ``i`` is four words: the entity's slot and the measure's number packed in one (plus one, so that 0 is empty), the
value, the number, and nothing (an entry is half a cache line and never straddles two).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features.access import load, store
from counterfoil.memory import reserve

CAPACITY_FIRST = 1 << 8
FILL_MAX = 0.6
WORDS = 4
OWNER_BITS = 11
"""Bits for the measure's number beside the slot: a detector has 2,000 features at most (``definition/limits.py``)."""


@nb.njit(inline="always")
def owner_of(slot: np.int64, measure: np.int64) -> np.int64:
    """Return the packed owner of a pair."""
    return ((slot << OWNER_BITS) | measure) + 1


@nb.njit(inline="always")
def place_of(owner: np.int64, value: np.int64, mask: np.int64) -> np.int64:
    """Return the first place to look at (a multiply-xorshift mix of both words: values are keyed hashes already)."""
    mixed = (np.uint64(owner) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(value)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    return np.int64(mixed & np.uint64(mask))


@nb.njit(inline="always")
def locate(table: Words, owner: np.int64, value: np.int64) -> np.int64:
    """Return the place of a pair, or of the empty entry where it belongs."""
    mask = (table.shape[0] >> 2) - 1
    place = place_of(owner, value, mask)
    while load(table, 4 * place) != 0 and not (load(table, 4 * place) == owner and load(table, 4 * place + 1) == value):
        place = (place + 1) & mask
    return place


@nb.njit(inline="always")
def present(table: Words, place: np.int64) -> bool:
    """Tell whether a located place holds a pair."""
    return load(table, 4 * place) != 0


@nb.njit(inline="always")
def number(table: Words, place: np.int64) -> np.int64:
    """Return the number at a place."""
    return load(table, 4 * place + 2)


@nb.njit(inline="always")
def put(table: Words, place: np.int64, owner: np.int64, value: np.int64, amount: np.int64) -> None:
    """Write a pair at its located place."""
    store(table, 4 * place, owner)
    store(table, 4 * place + 1, value)
    store(table, 4 * place + 2, amount)


@nb.njit(inline="always")
def remove(table: Words, place: np.int64) -> None:
    """Empty a place and move up the entries behind it that would no longer be found."""
    mask = (table.shape[0] >> 2) - 1
    hole = place
    probe = place
    while True:
        probe = (probe + 1) & mask
        if load(table, 4 * probe) == 0:
            break
        home = place_of(load(table, 4 * probe), load(table, 4 * probe + 1), mask)
        if ((probe - home) & mask) >= ((probe - hole) & mask):
            for word in range(3):
                store(table, 4 * hole + word, load(table, 4 * probe + word))
            hole = probe
    for word in range(3):
        store(table, 4 * hole + word, 0)


@nb.njit(nogil=True, cache=True)
def _copy(old: Words, new: Words) -> None:
    for place in range(old.shape[0] >> 2):
        if load(old, 4 * place) != 0:
            owner, value = load(old, 4 * place), load(old, 4 * place + 1)
            put(new, locate(new, owner, value), owner, value, load(old, 4 * place + 2))


def with_room(table: Words, used: int, more: int) -> Words:
    """Return a table that holds ``more`` pairs beside the ``used`` ones: the same one where it has room."""
    capacity = len(table) // WORDS
    if used + more <= capacity * FILL_MAX:
        return table
    while used + more > capacity * FILL_MAX:
        capacity *= 2
    grown = reserve(WORDS * capacity, dense=True)
    _copy(table, grown)
    return grown
