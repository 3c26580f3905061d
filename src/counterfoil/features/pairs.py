"""An entity's values: a small map (what, value) to a number for each entity, for distinct counts and frequencies.

All values of an entity lie together, in one block of the arena: a look-up of several of them walks one page, and no
table of all entities has to grow at once. Word 0 of a block says how many values it holds; then come entries of three
words: the number of the measure or tally (0 is empty), the value, and its number. Open addressing with linear probing;
a full block is copied into one of twice the size, as rings are. The record points to it: see ``layout.py``.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.features import layout
from counterfoil.features.access import load, store
from counterfoil.features.views import State

FIRST = 2
"""Binary logarithm of a block's first capacity."""
WORDS = 3
"""Words an entry."""
FILL_MAX = 0.75
"""Share of used entries beyond which a block doubles; ``_is_full`` reckons with it in whole numbers."""


@nb.njit(inline="always")
def block_words(power: np.int64) -> np.int64:
    """Return the words of a block whose capacity has this binary logarithm."""
    return 1 + (np.int64(WORDS) << power)


@nb.njit(inline="always")
def place_of(address: np.int64, power: np.int64, measure: np.int64, value: np.int64) -> np.int64:
    """Return the arena word of the first entry to look at: by a mix, as values are hashes or small numbers."""
    mixed = np.uint64(value) + np.uint64(measure) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    return address + 1 + WORDS * np.int64(mixed >> (np.uint64(64) - np.uint64(power)))


@nb.njit(inline="always")
def locate(state: State, record: np.int64, measure: np.int64, value: np.int64) -> np.int64:
    """Return the arena word of a value's entry, or of the empty entry where it belongs; -1 where there is no block."""
    block = load(state.arena, record + layout.RECORD_VALUES)
    if block == 0:
        return np.int64(-1)
    address = block >> layout.RING_SHIFT
    power = block & ((1 << layout.RING_SHIFT) - 1)
    end = address + block_words(power)
    at = place_of(address, power, measure, value)
    while load(state.arena, at) != 0 and not (load(state.arena, at) == measure and load(state.arena, at + 1) == value):
        at += WORDS
        if at == end:
            at = address + 1
    return at


@nb.njit(inline="always")
def present(state: State, at: np.int64) -> bool:
    """Tell whether what was located holds a value."""
    if at < 0:
        return False
    return load(state.arena, at) != 0


@nb.njit(inline="always")
def number(state: State, at: np.int64) -> np.int64:
    """Return the number of a value that is there."""
    return load(state.arena, at + 2)


@nb.njit(inline="always")
def change(state: State, at: np.int64, amount: np.int64) -> None:
    """Change the number of a value that is there."""
    store(state.arena, at + 2, amount)


@nb.njit(inline="always")
def add(state: State, record: np.int64, at: np.int64, measure: np.int64, value: np.int64, amount: np.int64) -> None:
    """Add a value that was located and is not there. Where the arena is full, the shard is marked as such."""
    if at < 0 or _is_full(state, load(state.arena, record + layout.RECORD_VALUES)):
        if not _grow(state, record):
            store(state.meta, layout.META_FULL, 1)
            return
        at = locate(state, record, measure, value)
    store(state.arena, at, measure)
    store(state.arena, at + 1, value)
    store(state.arena, at + 2, amount)
    address = load(state.arena, record + layout.RECORD_VALUES) >> layout.RING_SHIFT
    store(state.arena, address, load(state.arena, address) + 1)


@nb.njit(inline="always")
def _is_full(state: State, block: np.int64) -> bool:
    capacity = np.int64(1) << (block & ((1 << layout.RING_SHIFT) - 1))
    return 4 * (load(state.arena, block >> layout.RING_SHIFT) + 1) > 3 * capacity


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def remove(state: State, record: np.int64, at: np.int64) -> None:
    """Empty the entry of a value that is there, and move up those behind it that would no longer be found."""
    block = load(state.arena, record + layout.RECORD_VALUES)
    address = block >> layout.RING_SHIFT
    power = block & ((1 << layout.RING_SHIFT) - 1)
    mask = (np.int64(1) << power) - 1
    hole = (at - address - 1) // WORDS
    probe = hole
    while True:
        probe = (probe + 1) & mask
        entry = address + 1 + WORDS * probe
        if load(state.arena, entry) == 0:
            break
        wanted = place_of(address, power, load(state.arena, entry), load(state.arena, entry + 1))
        home = (wanted - address - 1) // WORDS
        if ((probe - home) & mask) >= ((probe - hole) & mask):
            for word in range(WORDS):
                store(state.arena, address + 1 + WORDS * hole + word, load(state.arena, entry + word))
            hole = probe
    store(state.arena, address + 1 + WORDS * hole, 0)
    store(state.arena, address, load(state.arena, address) - 1)


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _grow(state: State, record: np.int64) -> bool:
    """Give an entity its first block or one of twice the size; False where the arena is full."""
    old = load(state.arena, record + layout.RECORD_VALUES)
    old_power = old & ((1 << layout.RING_SHIFT) - 1)
    power = old_power + 1 if old != 0 else np.int64(FIRST)
    words = block_words(power)
    free = layout.META_VALUES_FREE + power
    address = load(state.meta, free)
    if address != 0:
        store(state.meta, free, load(state.arena, address))
    else:
        address = load(state.meta, layout.META_ARENA)
        if address + words > state.arena.shape[0]:
            return False
        store(state.meta, layout.META_ARENA, address + words)
    for word in range(words):
        store(state.arena, address + word, 0)
    store(state.arena, record + layout.RECORD_VALUES, (address << layout.RING_SHIFT) | power)
    if old != 0:
        before = old >> layout.RING_SHIFT
        store(state.arena, address, load(state.arena, before))
        for entry in range(before + 1, before + block_words(old_power), WORDS):
            if load(state.arena, entry) != 0:
                at = locate(state, record, load(state.arena, entry), load(state.arena, entry + 1))
                for word in range(WORDS):
                    store(state.arena, at + word, load(state.arena, entry + word))
        store(state.arena, before, load(state.meta, layout.META_VALUES_FREE + old_power))
        store(state.meta, layout.META_VALUES_FREE + old_power, before)
    return True
