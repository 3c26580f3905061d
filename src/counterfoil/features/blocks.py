"""Extremes of blocks of 32 and of 1,024 entries of a ring.

They make min and max over a window cost little however long it is: whole blocks are asked for their extreme, only the
ends are read entry by entry.

A block that the window covers in full holds only entries of the window; what a block says while it is being filled, or
while its oldest entries leave, is never asked.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features.access import load, load2, store

SMALL = 5
LARGE = 10
"""Binary logarithms of the sizes of blocks."""


@nb.njit(inline="always")
def block_words(extremes: np.int64, capacity: np.int64) -> np.int64:
    """Return how many words behind a ring its blocks take."""
    return extremes * ((capacity >> SMALL) + (capacity >> LARGE))


@nb.njit(inline="always")
def better(first: np.int64, second: np.int64, largest: bool, is_float: bool) -> bool:
    """Tell whether the first value is the more extreme. Floats are compared by their bits.

    A null is the least extreme. The bits of two floats order like integers where one is positive, and the other way
    round where both are negative.
    """
    if first == layout.NULL or second == layout.NULL:
        return first != layout.NULL
    if is_float and first < 0 and second < 0:
        first, second = second, first
    return first > second if largest else first < second


@nb.njit(inline="always")
def _is_extreme(measures: Words, measure: np.int64) -> bool:
    return load2(measures, measure, layout.MEASURE_BLOCK) >= 0


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def fold_block(
    arena: Words,
    address: np.int64,
    capacity: np.int64,
    stride: np.int64,
    tracks: Words,
    track: np.int64,
    measures: Words,
    sequence: np.int64,
) -> None:
    """Fold one entry into the blocks that it belongs to."""
    place = sequence & (capacity - 1)
    start = load2(tracks, track, layout.TRACK_MEASURES)
    for measure in range(start, start + load2(tracks, track, layout.TRACK_MEASURE_COUNT)):
        if not _is_extreme(measures, measure):
            continue
        largest = load2(measures, measure, layout.MEASURE_CODE) == layout.RAW_MAX
        is_float = load2(measures, measure, layout.MEASURE_FLOAT) == 1
        value = load(arena, address + place * stride + load2(measures, measure, layout.MEASURE_WORD))
        base = address + capacity * stride + block_words(load2(measures, measure, layout.MEASURE_BLOCK), capacity)
        for power in (SMALL, LARGE):
            if capacity < (1 << power):
                break
            block = base + (place >> power)
            if place & ((1 << power) - 1) == 0 or better(value, load(arena, block), largest, is_float):
                store(arena, block, value)
            base += capacity >> SMALL


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def rebuild_blocks(
    arena: Words,
    address: np.int64,
    capacity: np.int64,
    stride: np.int64,
    tracks: Words,
    track: np.int64,
    measures: Words,
    first: np.int64,
    head: np.int64,
) -> None:
    """Make the blocks anew from the one that holds ``first`` on."""
    if load2(tracks, track, layout.TRACK_EXTREMES) == 0:
        return
    size = min(capacity, np.int64(1 << LARGE))
    for sequence in range(max(first - (first & (size - 1)), 0), head):
        fold_block(arena, address, capacity, stride, tracks, track, measures, sequence)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def extreme(
    arena: Words,
    address: np.int64,
    capacity: np.int64,
    stride: np.int64,
    word: np.int64,
    block: np.int64,
    largest: bool,
    is_float: bool,
    low: np.int64,
    high: np.int64,
) -> np.int64:
    """Return the extreme of one word over the entries ``[low, high)``, which must not be empty; null where all are."""
    base = address + capacity * stride + block_words(block, capacity)
    best = load(arena, address + (low & (capacity - 1)) * stride + word)
    sequence = low
    while sequence < high:
        place = sequence & (capacity - 1)
        if place & ((1 << LARGE) - 1) == 0 and sequence + (1 << LARGE) <= high and capacity >= 1 << LARGE:
            value = load(arena, base + (capacity >> SMALL) + (place >> LARGE))
            sequence += 1 << LARGE
        elif place & ((1 << SMALL) - 1) == 0 and sequence + (1 << SMALL) <= high and capacity >= 1 << SMALL:
            value = load(arena, base + (place >> SMALL))
            sequence += 1 << SMALL
        else:
            value = load(arena, address + place * stride + word)
            sequence += 1
        if better(value, best, largest, is_float):
            best = value
    return best
