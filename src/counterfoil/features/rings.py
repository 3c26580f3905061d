"""Rings: an entity's events of one kind in time order, with running totals; insertion, trimming and window edges.

The slow twin is ``features/twin.py``: a plain list, filtered anew for every question.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.features import layout, pairs, wide
from counterfoil.features.access import load, load2, store
from counterfoil.features.blocks import block_words, fold_block, rebuild_blocks

_STEPS_MAX = 16
"""Entries that a search walks one by one before it bisects: nearly every window moves by one or two."""


@nb.njit(inline="always")
def entry(address: np.int64, mask: np.int64, stride: np.int64, sequence: np.int64) -> np.int64:
    """Return the arena word where an entry begins."""
    return address + (sequence & mask) * stride


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def bound(
    arena: Words,
    address: np.int64,
    mask: np.int64,
    stride: np.int64,
    guess: np.int64,
    low: np.int64,
    high: np.int64,
    time: np.int64,
) -> np.int64:
    """Return the first sequence number in ``[low, high]`` whose entry is later than ``time``, starting at a guess."""
    place = min(max(guess, low), high)
    if place < high and load(arena, address + (place & mask) * stride) <= time:
        stop = min(place + _STEPS_MAX, high)
        place += 1
        while place < stop and load(arena, address + (place & mask) * stride) <= time:
            place += 1
        if place < stop or place == high:
            return place
        low = place
    else:
        stop = max(place - _STEPS_MAX, low)
        while place > stop and load(arena, address + ((place - 1) & mask) * stride) > time:
            place -= 1
        if place > stop or place == low:
            return place
        high = place
    while low < high:
        middle = (low + high) >> 1
        if load(arena, address + (middle & mask) * stride) <= time:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _needed_from(
    arena: Words,
    address: np.int64,
    mask: np.int64,
    stride: np.int64,
    floor: np.int64,
    head: np.int64,
    horizon: np.int64,
) -> np.int64:
    """Return the newest entry that lies at or before the horizon: what is older is not needed any more."""
    newest = load(arena, address + ((head - 1) & mask) * stride)
    return max(floor, bound(arena, address, mask, stride, floor + 1, floor + 1, head, newest - horizon) - 1)


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _allocate(arena: Words, meta: Words, track: np.int64, power: np.int64, words: np.int64) -> np.int64:
    """Return the address of a free ring, or -1 where the arena is full."""
    free = layout.META_FREE + track * layout.FREE_CAPACITIES + power
    address = load(meta, free)
    if address != 0:
        store(meta, free, load(arena, address))
        return address
    address = load(meta, layout.META_ARENA)
    if address + words > arena.shape[0]:
        return np.int64(-1)
    store(meta, layout.META_ARENA, address + words)
    return address


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def create(arena: Words, meta: Words, tracks: Words, track: np.int64, records: Words, part: np.int64) -> bool:
    """Give an entity its first ring for a track, holding the sentinel; False where the arena is full."""
    stride = load2(tracks, track, layout.TRACK_STRIDE)
    power = layout.RING_FIRST
    words = (stride << power) + block_words(load2(tracks, track, layout.TRACK_EXTREMES), 1 << power)
    address = _allocate(arena, meta, track, power, words)
    if address < 0:
        return False
    store(arena, address, layout.TIME_NONE)
    for word in range(1, stride):
        store(arena, address + word, 0)
    store(records, part + layout.RING, (address << layout.RING_SHIFT) | power)
    store(records, part + layout.FLOOR, 0)
    store(records, part + layout.HEAD, 1)
    store(records, part + layout.FIRST, layout.TIME_NEVER)
    return True


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _forget(
    arena: Words,
    table: Words,
    meta: Words,
    measures: Words,
    tallies: Words,
    tracks: Words,
    track: np.int64,
    records: Words,
    record: np.int64,
    slot: np.int64,
    at: np.int64,
    sequence: np.int64,
) -> None:
    """Take one entry that leaves the ring out of the tallies and the map of pairs."""
    start = load2(tracks, track, layout.TRACK_TALLIES)
    for tally in range(start, start + load2(tracks, track, layout.TRACK_TALLY_COUNT)):
        word = record + load2(tallies, tally, layout.TALLY_RECORD)
        if load2(tallies, tally, layout.TALLY_LIFETIME) == 0 and load(records, word) <= sequence:
            leave(arena, table, meta, measures, tallies, tally, records, word, slot, at)
            store(records, word, sequence + 1)
    start = load2(tracks, track, layout.TRACK_MEASURES)
    for measure in range(start, start + load2(tracks, track, layout.TRACK_MEASURE_COUNT)):
        if load2(measures, measure, layout.MEASURE_CODE) == layout.VALUE_NEXT:
            value = at + load2(measures, measure, layout.MEASURE_WORD)
            if load(arena, value + 1) == layout.TIME_NEVER:
                owner = pairs.owner_of(slot, load2(measures, measure, layout.MEASURE_PAIR))
                place = pairs.locate(table, owner, load(arena, value))
                if pairs.present(table, place) and pairs.number(table, place) == sequence:
                    pairs.remove(table, place)
                    store(meta, layout.META_PAIRS, load(meta, layout.META_PAIRS) - 1)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def leave(
    arena: Words,
    table: Words,
    meta: Words,
    measures: Words,
    tallies: Words,
    tally: np.int64,
    records: Words,
    word: np.int64,
    slot: np.int64,
    at: np.int64,
) -> None:
    """Take the entry at ``at`` out of a tally: it is the one at the tally's edge."""
    value = at + load2(measures, load2(tallies, tally, layout.TALLY_MEASURE), layout.MEASURE_WORD)
    if load2(tallies, tally, layout.TALLY_CODE) == layout.TALLY_DISTINCT:
        if load(arena, value + 1) == layout.TIME_NEVER:
            store(records, word + 1, load(records, word + 1) - 1)
        return
    if load(arena, value) == layout.NULL:
        return
    owner = pairs.owner_of(slot, load2(tallies, tally, layout.TALLY_PAIR))
    place = pairs.locate(table, owner, load(arena, value))
    count = pairs.number(table, place) - 1
    if count > 0:
        pairs.put(table, place, owner, load(arena, value), count)
    else:
        pairs.remove(table, place)
        store(meta, layout.META_PAIRS, load(meta, layout.META_PAIRS) - 1)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def enter(
    arena: Words,
    table: Words,
    meta: Words,
    measures: Words,
    tallies: Words,
    tally: np.int64,
    records: Words,
    word: np.int64,
    slot: np.int64,
    at: np.int64,
) -> None:
    """Put the entry at ``at`` into a tally."""
    value = at + load2(measures, load2(tallies, tally, layout.TALLY_MEASURE), layout.MEASURE_WORD)
    if load2(tallies, tally, layout.TALLY_CODE) == layout.TALLY_DISTINCT:
        if load(arena, value + 1) == layout.TIME_NEVER:
            store(records, word + 1, load(records, word + 1) + 1)
        return
    if load(arena, value) == layout.NULL:
        return
    owner = pairs.owner_of(slot, load2(tallies, tally, layout.TALLY_PAIR))
    place = pairs.locate(table, owner, load(arena, value))
    if pairs.present(table, place):
        pairs.put(table, place, owner, load(arena, value), pairs.number(table, place) + 1)
    else:
        pairs.put(table, place, owner, load(arena, value), 1)
        store(meta, layout.META_PAIRS, load(meta, layout.META_PAIRS) + 1)


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _make_room(
    arena: Words,
    table: Words,
    meta: Words,
    tracks: Words,
    track: np.int64,
    measures: Words,
    tallies: Words,
    records: Words,
    record: np.int64,
    slot: np.int64,
) -> bool:
    """Trim a full ring, and double it where more than half of it is still needed; False where the arena is full."""
    part = record + load2(tracks, track, layout.TRACK_RECORD)
    stride = load2(tracks, track, layout.TRACK_STRIDE)
    address = load(records, part + layout.RING) >> layout.RING_SHIFT
    power = load(records, part + layout.RING) & ((1 << layout.RING_SHIFT) - 1)
    capacity = 1 << power
    mask = capacity - 1
    floor = load(records, part + layout.FLOOR)
    head = load(records, part + layout.HEAD)
    keep = _needed_from(arena, address, mask, stride, floor, head, load2(tracks, track, layout.TRACK_HORIZON))
    for sequence in range(floor + 1, keep + 1):
        at = entry(address, mask, stride, sequence)
        _forget(arena, table, meta, measures, tallies, tracks, track, records, record, slot, at, sequence)
    store(records, part + layout.FLOOR, keep)
    if head - keep <= capacity >> 1:
        return True
    words = (stride << (power + 1)) + block_words(load2(tracks, track, layout.TRACK_EXTREMES), capacity << 1)
    grown = _allocate(arena, meta, track, power + 1, words)
    if grown < 0:
        return False
    for sequence in range(keep, head):
        source = entry(address, mask, stride, sequence)
        target = entry(grown, 2 * capacity - 1, stride, sequence)
        for word in range(stride):
            store(arena, target + word, load(arena, source + word))
    store(records, part + layout.RING, (grown << layout.RING_SHIFT) | (power + 1))
    free = layout.META_FREE + track * layout.FREE_CAPACITIES + power
    store(arena, address, load(meta, free))
    store(meta, free, address)
    rebuild_blocks(arena, grown, 2 * capacity, stride, tracks, track, measures, keep, head)
    return True


@nb.njit(inline="always")
def _delta(inputs: Words, input_nulls: Bytes, measures: Words, measure: np.int64, row: np.int64) -> bool:
    """Tell whether an event counts for a measure."""
    mask = load2(measures, measure, layout.MEASURE_MASK)
    if mask >= 0 and load2(inputs, mask, row) == 0:
        # The word of a condition that is null is 0 too.
        return False
    source = load2(measures, measure, layout.MEASURE_INPUT)
    return source < 0 or load2(input_nulls, source, row) == 0


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _accumulate(
    arena: Words,
    arena_float: nb.float64[:],
    inputs: Words,
    inputs_float: nb.float64[:, :],
    input_nulls: Bytes,
    tracks: Words,
    track: np.int64,
    measures: Words,
    row: np.int64,
    before: np.int64,
    at: np.int64,
) -> None:
    """Write an entry's words: the totals of the entry before it, and the event's own contribution."""
    start = load2(tracks, track, layout.TRACK_MEASURES)
    for measure in range(start, start + load2(tracks, track, layout.TRACK_MEASURE_COUNT)):
        code = load2(measures, measure, layout.MEASURE_CODE)
        word = load2(measures, measure, layout.MEASURE_WORD)
        source = load2(measures, measure, layout.MEASURE_INPUT)
        if code == layout.ADD_INTEGER:
            # The word of a null is 0, so that it adds nothing.
            amount = load2(inputs, source, row)
            mask = load2(measures, measure, layout.MEASURE_MASK)
            if mask >= 0 and load2(inputs, mask, row) == 0:
                amount = 0
            store(arena, at + word, load(arena, before + word) + amount)
            continue
        counts = _delta(inputs, input_nulls, measures, measure, row)
        if code == layout.ADD_ONE:
            store(arena, at + word, load(arena, before + word) + np.int64(counts))
        elif code in (layout.ADD_FLOAT, layout.ADD_SQUARE_FLOAT, layout.ADD_SQUARE_INTEGER):
            high, low = np.uint64(0), np.uint64(0)
            if counts:
                high, low = _wide_value(inputs, inputs_float, code, source, row)
            high, low = wide.add(
                np.uint64(load(arena, before + word)), np.uint64(load(arena, before + word + 1)), high, low
            )
            store(arena, at + word, np.int64(high))
            store(arena, at + word + 1, np.int64(low))
        elif code == layout.RUNNING_MIN or code == layout.RUNNING_MAX:
            # Two words: the extreme so far, and whether there is one.
            store(arena, at + word, load(arena, before + word))
            store(arena, at + word + 1, load(arena, before + word + 1))
            if counts:
                _improve(arena, arena_float, measures, measure, at + word, load2(inputs, source, row))
        elif code == layout.RUNNING_DISTINCT:
            store(arena, at + word, load(arena, before + word))
        elif code == layout.VALUE_NEXT:
            store(arena, at + word, load2(inputs, source, row))
            store(arena, at + word + 1, layout.TIME_NEVER if counts else layout.NULL)
        else:
            value = load2(inputs, source, row)
            if load2(measures, measure, layout.MEASURE_FLOAT) == 1 and value == layout.NULL:
                value = 0
            store(arena, at + word, value if counts else layout.NULL)


@nb.njit(inline="always")
def _wide_value(
    inputs: Words, inputs_float: nb.float64[:, :], code: np.int64, source: np.int64, row: np.int64
) -> tuple[np.uint64, np.uint64]:
    if code == layout.ADD_SQUARE_INTEGER:
        return wide.square(load2(inputs, source, row))
    value = load2(inputs_float, source, row)
    return wide.fixed(value * value if code == layout.ADD_SQUARE_FLOAT else value)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _improve(
    arena: Words, arena_float: nb.float64[:], measures: Words, measure: np.int64, at: np.int64, value: np.int64
) -> None:
    """Fold a value into a running extreme (two words: the extreme, and whether there is one)."""
    if load(arena, at + 1) == 0:
        store(arena, at, value)
        store(arena, at + 1, 1)
        return
    before = load(arena, at)
    was = load(arena_float, at)
    store(arena, at, value)
    largest = load2(measures, measure, layout.MEASURE_CODE) == layout.RUNNING_MAX
    if load2(measures, measure, layout.MEASURE_FLOAT) == 1:
        worse = load(arena_float, at) <= was if largest else load(arena_float, at) >= was
    else:
        worse = value <= before if largest else value >= before
    if worse:
        store(arena, at, before)


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _carry_forward(
    arena: Words,
    arena_float: nb.float64[:],
    inputs: Words,
    inputs_float: nb.float64[:, :],
    input_nulls: Bytes,
    tracks: Words,
    track: np.int64,
    measures: Words,
    row: np.int64,
    address: np.int64,
    mask: np.int64,
    first: np.int64,
    head: np.int64,
) -> None:
    """Add a late event's contribution to the totals of every entry from ``first`` on."""
    stride = load2(tracks, track, layout.TRACK_STRIDE)
    start = load2(tracks, track, layout.TRACK_MEASURES)
    for measure in range(start, start + load2(tracks, track, layout.TRACK_MEASURE_COUNT)):
        code = load2(measures, measure, layout.MEASURE_CODE)
        word = load2(measures, measure, layout.MEASURE_WORD)
        source = load2(measures, measure, layout.MEASURE_INPUT)
        if code > layout.ADD_SQUARE_FLOAT and code != layout.RUNNING_MIN and code != layout.RUNNING_MAX:
            continue
        if not _delta(inputs, input_nulls, measures, measure, row):
            continue
        if code == layout.ADD_INTEGER or code == layout.ADD_ONE:
            amount = load2(inputs, source, row) if code == layout.ADD_INTEGER else np.int64(1)
            for sequence in range(first, head):
                store(
                    arena,
                    entry(address, mask, stride, sequence) + word,
                    load(arena, entry(address, mask, stride, sequence) + word) + amount,
                )
        elif code <= layout.ADD_SQUARE_FLOAT:
            more_high, more_low = _wide_value(inputs, inputs_float, code, source, row)
            for sequence in range(first, head):
                at = entry(address, mask, stride, sequence) + word
                high, low = wide.add(np.uint64(load(arena, at)), np.uint64(load(arena, at + 1)), more_high, more_low)
                store(arena, at, np.int64(high))
                store(arena, at + 1, np.int64(low))
        else:
            for sequence in range(first, head):
                at = entry(address, mask, stride, sequence) + word
                _improve(arena, arena_float, measures, measure, at, load2(inputs, source, row))


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _link_values(
    arena: Words,
    table: Words,
    meta: Words,
    tracks: Words,
    track: np.int64,
    measures: Words,
    tallies: Words,
    records: Words,
    record: np.int64,
    slot: np.int64,
    address: np.int64,
    mask: np.int64,
    sequence: np.int64,
    head: np.int64,
) -> None:
    """Link the new entry with the occurrences of its value before and after it; update what counts values."""
    stride = load2(tracks, track, layout.TRACK_STRIDE)
    floor = load(records, record + load2(tracks, track, layout.TRACK_RECORD) + layout.FLOOR)
    at = entry(address, mask, stride, sequence)
    start = load2(tracks, track, layout.TRACK_TALLIES)
    stop = start + load2(tracks, track, layout.TRACK_TALLY_COUNT)
    for tally in range(start, stop):
        word = record + load2(tallies, tally, layout.TALLY_RECORD)
        if load(records, word) == 0:
            store(records, word, floor + 1)
        if sequence < load(records, word):
            store(records, word, load(records, word) + 1)
    first = load2(tracks, track, layout.TRACK_MEASURES)
    for measure in range(first, first + load2(tracks, track, layout.TRACK_MEASURE_COUNT)):
        code = load2(measures, measure, layout.MEASURE_CODE)
        if code == layout.VALUE_NEXT:
            _link_next(
                arena,
                table,
                meta,
                tracks,
                track,
                measures,
                measure,
                tallies,
                records,
                record,
                slot,
                address,
                mask,
                sequence,
                floor,
                head,
            )
    for tally in range(start, stop):
        word = record + load2(tallies, tally, layout.TALLY_RECORD)
        if sequence >= load(records, word) or load2(tallies, tally, layout.TALLY_LIFETIME) == 1:
            enter(arena, table, meta, measures, tallies, tally, records, word, slot, at)


@nb.njit(inline="always")
def _holds(arena: Words, at: np.int64, value: np.int64) -> bool:
    """Tell whether a linked value is this one; a null is none."""
    return load(arena, at) == value and load(arena, at + 1) != layout.NULL


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _link_next(
    arena: Words,
    table: Words,
    meta: Words,
    tracks: Words,
    track: np.int64,
    measures: Words,
    measure: np.int64,
    tallies: Words,
    records: Words,
    record: np.int64,
    slot: np.int64,
    address: np.int64,
    mask: np.int64,
    sequence: np.int64,
    floor: np.int64,
    head: np.int64,
) -> None:
    stride = load2(tracks, track, layout.TRACK_STRIDE)
    word = load2(measures, measure, layout.MEASURE_WORD)
    pair = load2(measures, measure, layout.MEASURE_PAIR)
    owner = pairs.owner_of(slot, pair)
    for later in range(sequence + 1, head):
        # A late event moved these up by one; the map holds the number of each value's last occurrence.
        at = entry(address, mask, stride, later) + word
        if load(arena, at + 1) == layout.TIME_NEVER:
            place = pairs.locate(table, owner, load(arena, at))
            pairs.put(table, place, owner, load(arena, at), later)
    at = entry(address, mask, stride, sequence)
    if load(arena, at + word + 1) == layout.NULL:
        return
    value = load(arena, at + word)
    place = pairs.locate(table, owner, value)
    if not pairs.present(table, place):
        pairs.put(table, place, owner, value, sequence)
        store(meta, layout.META_PAIRS, load(meta, layout.META_PAIRS) + 1)
        return
    last = pairs.number(table, place)
    if last > sequence:
        later = sequence + 1
        while not _holds(arena, entry(address, mask, stride, later) + word, value):
            later += 1
        store(arena, at + word + 1, load(arena, entry(address, mask, stride, later)))
        earlier = sequence - 1
        while earlier > floor and not _holds(arena, entry(address, mask, stride, earlier) + word, value):
            earlier -= 1
        if earlier > floor:
            store(arena, entry(address, mask, stride, earlier) + word + 1, load(arena, at))
        return
    pairs.put(table, place, owner, value, sequence)
    if last <= floor:
        return
    store(arena, entry(address, mask, stride, last) + word + 1, load(arena, at))
    start = load2(tracks, track, layout.TRACK_TALLIES)
    for tally in range(start, start + load2(tracks, track, layout.TRACK_TALLY_COUNT)):
        place_word = record + load2(tallies, tally, layout.TALLY_RECORD)
        if (
            load2(tallies, tally, layout.TALLY_CODE) == layout.TALLY_DISTINCT
            and load2(tallies, tally, layout.TALLY_MEASURE) == measure
            and load(records, place_word) <= last
        ):
            store(records, place_word + 1, load(records, place_word + 1) - 1)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _count_new_values(
    arena: Words,
    table: Words,
    meta: Words,
    tracks: Words,
    track: np.int64,
    measures: Words,
    slot: np.int64,
    inputs: Words,
    input_nulls: Bytes,
    row: np.int64,
    address: np.int64,
    mask: np.int64,
    sequence: np.int64,
    head: np.int64,
) -> None:
    """Keep the running numbers of distinct values over the whole past; the map holds each value's first time."""
    stride = load2(tracks, track, layout.TRACK_STRIDE)
    first = load2(tracks, track, layout.TRACK_MEASURES)
    time = load(arena, entry(address, mask, stride, sequence))
    for measure in range(first, first + load2(tracks, track, layout.TRACK_MEASURE_COUNT)):
        if load2(measures, measure, layout.MEASURE_CODE) != layout.RUNNING_DISTINCT:
            continue
        source = load2(measures, measure, layout.MEASURE_INPUT)
        if load2(input_nulls, source, row) != 0:
            continue
        value = load2(inputs, source, row)
        owner = pairs.owner_of(slot, load2(measures, measure, layout.MEASURE_PAIR))
        place = pairs.locate(table, owner, value)
        until = head
        if pairs.present(table, place):
            known = pairs.number(table, place)
            if known <= time:
                continue
            # It was first seen later than this late event: from there on it is counted already.
            until = bound(arena, address, mask, stride, sequence + 1, sequence + 1, head, known - 1)
        else:
            store(meta, layout.META_PAIRS, load(meta, layout.META_PAIRS) + 1)
        pairs.put(table, place, owner, value, time)
        word = load2(measures, measure, layout.MEASURE_WORD)
        for later in range(sequence, until):
            store(
                arena,
                entry(address, mask, stride, later) + word,
                load(arena, entry(address, mask, stride, later) + word) + 1,
            )


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def insert(
    arena: Words,
    arena_float: nb.float64[:],
    table: Words,
    meta: Words,
    tracks: Words,
    track: np.int64,
    measures: Words,
    tallies: Words,
    records: Words,
    record: np.int64,
    slot: np.int64,
    inputs: Words,
    inputs_float: nb.float64[:, :],
    input_nulls: Bytes,
    row: np.int64,
    time: np.int64,
) -> bool:
    """Enter one event into an entity's ring; False where the arena is full."""
    part = record + load2(tracks, track, layout.TRACK_RECORD)
    stride = load2(tracks, track, layout.TRACK_STRIDE)
    if load(records, part + layout.RING) == 0 and not create(arena, meta, tracks, track, records, part):
        return False
    floor = load(records, part + layout.FLOOR)
    head = load(records, part + layout.HEAD)
    if head - floor == 1 << (load(records, part + layout.RING) & ((1 << layout.RING_SHIFT) - 1)):
        if not _make_room(arena, table, meta, tracks, track, measures, tallies, records, record, slot):
            return False
        floor = load(records, part + layout.FLOOR)
    address = load(records, part + layout.RING) >> layout.RING_SHIFT
    mask = (1 << (load(records, part + layout.RING) & ((1 << layout.RING_SHIFT) - 1))) - 1
    resolution = load2(tracks, track, layout.TRACK_RESOLUTION)
    if resolution > 0:
        time -= time % resolution
    store(records, part + layout.FIRST, min(load(records, part + layout.FIRST), time))
    newest = load(arena, entry(address, mask, stride, head - 1))
    sequence = head
    if newest > time:
        sequence = bound(arena, address, mask, stride, head, floor + 1, head, time)
    if resolution > 0 and load(arena, entry(address, mask, stride, sequence - 1)) == time and sequence - 1 > floor:
        _carry_forward(
            arena,
            arena_float,
            inputs,
            inputs_float,
            input_nulls,
            tracks,
            track,
            measures,
            row,
            address,
            mask,
            sequence - 1,
            head,
        )
        return True
    for later in range(head, sequence, -1):
        source = entry(address, mask, stride, later - 1)
        target = entry(address, mask, stride, later)
        for word in range(stride):
            store(arena, target + word, load(arena, source + word))
    at = entry(address, mask, stride, sequence)
    before = entry(address, mask, stride, sequence - 1)
    store(arena, at, time)
    _accumulate(arena, arena_float, inputs, inputs_float, input_nulls, tracks, track, measures, row, before, at)
    head += 1
    store(records, part + layout.HEAD, head)
    if sequence + 1 < head:
        _carry_forward(
            arena,
            arena_float,
            inputs,
            inputs_float,
            input_nulls,
            tracks,
            track,
            measures,
            row,
            address,
            mask,
            sequence + 1,
            head,
        )
    if load2(tracks, track, layout.TRACK_TALLY_COUNT) > 0:
        _link_values(
            arena, table, meta, tracks, track, measures, tallies, records, record, slot, address, mask, sequence, head
        )
    _count_new_values(
        arena, table, meta, tracks, track, measures, slot, inputs, input_nulls, row, address, mask, sequence, head
    )
    if load2(tracks, track, layout.TRACK_EXTREMES) > 0:
        if sequence + 1 == head:
            fold_block(arena, address, mask + 1, stride, tracks, track, measures, sequence)
        else:
            rebuild_blocks(arena, address, mask + 1, stride, tracks, track, measures, sequence, head)
    return True
