"""Rings: an entity's events of one kind in time order, with running totals; insertion, trimming and window edges.

The slow twin is ``features/twin.py``: a plain list, filtered anew for every question.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Words
from counterfoil.features import layout, pairs, wide
from counterfoil.features.access import load, load2, store
from counterfoil.features.blocks import block_words, fold_block, rebuild_blocks
from counterfoil.features.views import Events, Plan, State

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
def _allocate(state: State, track: np.int64, power: np.int64, words: np.int64) -> np.int64:
    """Return the address of a free ring, or -1 where the arena is full."""
    free = layout.META_FREE + track * layout.FREE_CAPACITIES + power
    address = load(state.meta, free)
    if address != 0:
        store(state.meta, free, load(state.arena, address))
        return address
    address = load(state.meta, layout.META_ARENA)
    if address + words > state.arena.shape[0]:
        return np.int64(-1)
    store(state.meta, layout.META_ARENA, address + words)
    return address


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def create(state: State, plan: Plan, track: np.int64, record: np.int64) -> bool:
    """Give an entity its first ring for a track, holding the sentinel; False where the arena is full."""
    part = record + load2(plan.tracks, track, layout.TRACK_RECORD)
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    power = layout.RING_FIRST
    words = (stride << power) + block_words(load2(plan.tracks, track, layout.TRACK_EXTREMES), 1 << power)
    address = _allocate(state, track, power, words)
    if address < 0:
        return False
    store(state.arena, address, layout.TIME_NONE)
    for word in range(1, stride):
        store(state.arena, address + word, 0)
    store(state.arena, part + layout.RING, (address << layout.RING_SHIFT) | power)
    store(state.arena, part + layout.FLOOR, 0)
    store(state.arena, part + layout.HEAD, 1)
    store(state.arena, part + layout.NEWEST, layout.TIME_NONE)
    first = load2(plan.tracks, track, layout.TRACK_FIRST)
    if first >= 0:
        store(state.arena, record + first, layout.TIME_NEVER)
    return True


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _forget(state: State, plan: Plan, track: np.int64, record: np.int64, at: np.int64, sequence: np.int64) -> None:
    """Take one entry that leaves the ring out of the tallies and the map of pairs."""
    start = load2(plan.tracks, track, layout.TRACK_TALLIES)
    for tally in range(start, start + load2(plan.tracks, track, layout.TRACK_TALLY_COUNT)):
        word = record + load2(plan.tallies, tally, layout.TALLY_RECORD)
        if load2(plan.tallies, tally, layout.TALLY_LIFETIME) == 0 and load(state.arena, word) <= sequence:
            leave(state, plan, tally, record, word, at)
            store(state.arena, word, sequence + 1)
    start = load2(plan.tracks, track, layout.TRACK_MEASURES)
    for measure in range(start, start + load2(plan.tracks, track, layout.TRACK_MEASURE_COUNT)):
        if load2(plan.measures, measure, layout.MEASURE_CODE) == layout.VALUE_NEXT:
            value = at + load2(plan.measures, measure, layout.MEASURE_WORD)
            if load(state.arena, value + 1) == layout.TIME_NEVER:
                pair = load2(plan.measures, measure, layout.MEASURE_PAIR)
                place = pairs.locate(state, record, pair, load(state.arena, value))
                if pairs.present(state, place) and pairs.number(state, place) == sequence:
                    pairs.remove(state, record, place)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def leave(state: State, plan: Plan, tally: np.int64, record: np.int64, word: np.int64, at: np.int64) -> None:
    """Take the entry at ``at`` out of a tally: it is the one at the tally's edge."""
    value = at + load2(plan.measures, load2(plan.tallies, tally, layout.TALLY_MEASURE), layout.MEASURE_WORD)
    if load2(plan.tallies, tally, layout.TALLY_CODE) == layout.TALLY_DISTINCT:
        if load(state.arena, value + 1) == layout.TIME_NEVER:
            store(state.arena, word + 1, load(state.arena, word + 1) - 1)
        return
    if load(state.arena, value) == layout.NULL:
        return
    place = pairs.locate(state, record, load2(plan.tallies, tally, layout.TALLY_PAIR), load(state.arena, value))
    if not pairs.present(state, place):
        # Only where the arena had no room for it.
        return
    count = pairs.number(state, place) - 1
    if count > 0:
        pairs.change(state, place, count)
    else:
        pairs.remove(state, record, place)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def enter(state: State, plan: Plan, tally: np.int64, record: np.int64, word: np.int64, at: np.int64) -> None:
    """Put the entry at ``at`` into a tally."""
    value = at + load2(plan.measures, load2(plan.tallies, tally, layout.TALLY_MEASURE), layout.MEASURE_WORD)
    if load2(plan.tallies, tally, layout.TALLY_CODE) == layout.TALLY_DISTINCT:
        if load(state.arena, value + 1) == layout.TIME_NEVER:
            store(state.arena, word + 1, load(state.arena, word + 1) + 1)
        return
    if load(state.arena, value) == layout.NULL:
        return
    pair = load2(plan.tallies, tally, layout.TALLY_PAIR)
    place = pairs.locate(state, record, pair, load(state.arena, value))
    if pairs.present(state, place):
        pairs.change(state, place, pairs.number(state, place) + 1)
    else:
        pairs.add(state, record, place, pair, load(state.arena, value), 1)


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _make_room(state: State, plan: Plan, track: np.int64, record: np.int64) -> bool:
    """Trim a full ring, and double it where more than half of it is still needed; False where the arena is full."""
    part = record + load2(plan.tracks, track, layout.TRACK_RECORD)
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    address = load(state.arena, part + layout.RING) >> layout.RING_SHIFT
    power = load(state.arena, part + layout.RING) & ((1 << layout.RING_SHIFT) - 1)
    capacity = 1 << power
    mask = capacity - 1
    floor = load(state.arena, part + layout.FLOOR)
    head = load(state.arena, part + layout.HEAD)
    keep = _needed_from(
        state.arena, address, mask, stride, floor, head, load2(plan.tracks, track, layout.TRACK_HORIZON)
    )
    for sequence in range(floor + 1, keep + 1):
        at = entry(address, mask, stride, sequence)
        _forget(state, plan, track, record, at, sequence)
    store(state.arena, part + layout.FLOOR, keep)
    if head - keep <= capacity >> 1:
        return True
    words = (stride << (power + 1)) + block_words(load2(plan.tracks, track, layout.TRACK_EXTREMES), capacity << 1)
    grown = _allocate(state, track, power + 1, words)
    if grown < 0:
        return False
    for sequence in range(keep, head):
        source = entry(address, mask, stride, sequence)
        target = entry(grown, 2 * capacity - 1, stride, sequence)
        for word in range(stride):
            store(state.arena, target + word, load(state.arena, source + word))
    store(state.arena, part + layout.RING, (grown << layout.RING_SHIFT) | (power + 1))
    free = layout.META_FREE + track * layout.FREE_CAPACITIES + power
    store(state.arena, address, load(state.meta, free))
    store(state.meta, free, address)
    rebuild_blocks(state.arena, grown, 2 * capacity, stride, plan.tracks, track, plan.measures, keep, head)
    return True


@nb.njit(inline="always")
def _delta(plan: Plan, events: Events, measure: np.int64, row: np.int64) -> bool:
    """Tell whether an event counts for a measure."""
    mask = load2(plan.measures, measure, layout.MEASURE_MASK)
    if mask >= 0 and load2(events.inputs, mask, row) == 0:
        # The word of a condition that is null is 0 too.
        return False
    source = load2(plan.measures, measure, layout.MEASURE_INPUT)
    return source < 0 or load2(events.input_nulls, source, row) == 0


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _accumulate(
    state: State, plan: Plan, events: Events, track: np.int64, row: np.int64, before: np.int64, at: np.int64
) -> None:
    """Write an entry's words: the totals of the entry before it, and the event's own contribution."""
    start = load2(plan.tracks, track, layout.TRACK_MEASURES)
    for measure in range(start, start + load2(plan.tracks, track, layout.TRACK_MEASURE_COUNT)):
        code = load2(plan.measures, measure, layout.MEASURE_CODE)
        word = load2(plan.measures, measure, layout.MEASURE_WORD)
        source = load2(plan.measures, measure, layout.MEASURE_INPUT)
        if code == layout.ADD_INTEGER:
            # The word of a null is 0, so that it adds nothing.
            amount = load2(events.inputs, source, row)
            mask = load2(plan.measures, measure, layout.MEASURE_MASK)
            if mask >= 0 and load2(events.inputs, mask, row) == 0:
                amount = 0
            store(state.arena, at + word, load(state.arena, before + word) + amount)
            continue
        counts = _delta(plan, events, measure, row)
        if code == layout.ADD_ONE:
            store(state.arena, at + word, load(state.arena, before + word) + np.int64(counts))
        elif code in (layout.ADD_FLOAT, layout.ADD_SQUARE_FLOAT, layout.ADD_SQUARE_INTEGER):
            high, low = np.uint64(0), np.uint64(0)
            if counts:
                high, low = _wide_value(events, code, source, row)
            high, low = wide.add(
                np.uint64(load(state.arena, before + word)), np.uint64(load(state.arena, before + word + 1)), high, low
            )
            store(state.arena, at + word, np.int64(high))
            store(state.arena, at + word + 1, np.int64(low))
        elif code == layout.RUNNING_MIN or code == layout.RUNNING_MAX:
            # Two words: the extreme so far, and whether there is one.
            store(state.arena, at + word, load(state.arena, before + word))
            store(state.arena, at + word + 1, load(state.arena, before + word + 1))
            if counts:
                _improve(state, plan, measure, at + word, load2(events.inputs, source, row))
        elif code == layout.RUNNING_DISTINCT:
            store(state.arena, at + word, load(state.arena, before + word))
        elif code == layout.VALUE_NEXT:
            store(state.arena, at + word, load2(events.inputs, source, row))
            store(state.arena, at + word + 1, layout.TIME_NEVER if counts else layout.NULL)
        else:
            value = load2(events.inputs, source, row)
            if load2(plan.measures, measure, layout.MEASURE_FLOAT) == 1 and value == layout.NULL:
                value = 0
            store(state.arena, at + word, value if counts else layout.NULL)


@nb.njit(inline="always")
def _wide_value(events: Events, code: np.int64, source: np.int64, row: np.int64) -> tuple[np.uint64, np.uint64]:
    if code == layout.ADD_SQUARE_INTEGER:
        return wide.square(load2(events.inputs, source, row))
    value = load2(events.inputs_float, source, row)
    return wide.fixed(value * value if code == layout.ADD_SQUARE_FLOAT else value)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _improve(state: State, plan: Plan, measure: np.int64, at: np.int64, value: np.int64) -> None:
    """Fold a value into a running extreme (two words: the extreme, and whether there is one)."""
    if load(state.arena, at + 1) == 0:
        store(state.arena, at, value)
        store(state.arena, at + 1, 1)
        return
    before = load(state.arena, at)
    was = load(state.arena_float, at)
    store(state.arena, at, value)
    largest = load2(plan.measures, measure, layout.MEASURE_CODE) == layout.RUNNING_MAX
    if load2(plan.measures, measure, layout.MEASURE_FLOAT) == 1:
        worse = load(state.arena_float, at) <= was if largest else load(state.arena_float, at) >= was
    else:
        worse = value <= before if largest else value >= before
    if worse:
        store(state.arena, at, before)


@nb.njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _carry_forward(
    state: State,
    plan: Plan,
    events: Events,
    track: np.int64,
    row: np.int64,
    address: np.int64,
    mask: np.int64,
    first: np.int64,
    head: np.int64,
) -> None:
    """Add a late event's contribution to the totals of every entry from ``first`` on."""
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    start = load2(plan.tracks, track, layout.TRACK_MEASURES)
    for measure in range(start, start + load2(plan.tracks, track, layout.TRACK_MEASURE_COUNT)):
        code = load2(plan.measures, measure, layout.MEASURE_CODE)
        word = load2(plan.measures, measure, layout.MEASURE_WORD)
        source = load2(plan.measures, measure, layout.MEASURE_INPUT)
        if code > layout.ADD_SQUARE_FLOAT and code != layout.RUNNING_MIN and code != layout.RUNNING_MAX:
            continue
        if not _delta(plan, events, measure, row):
            continue
        if code == layout.ADD_INTEGER or code == layout.ADD_ONE:
            amount = load2(events.inputs, source, row) if code == layout.ADD_INTEGER else np.int64(1)
            for sequence in range(first, head):
                store(
                    state.arena,
                    entry(address, mask, stride, sequence) + word,
                    load(state.arena, entry(address, mask, stride, sequence) + word) + amount,
                )
        elif code <= layout.ADD_SQUARE_FLOAT:
            more_high, more_low = _wide_value(events, code, source, row)
            for sequence in range(first, head):
                at = entry(address, mask, stride, sequence) + word
                high, low = wide.add(
                    np.uint64(load(state.arena, at)), np.uint64(load(state.arena, at + 1)), more_high, more_low
                )
                store(state.arena, at, np.int64(high))
                store(state.arena, at + 1, np.int64(low))
        else:
            for sequence in range(first, head):
                at = entry(address, mask, stride, sequence) + word
                _improve(state, plan, measure, at, load2(events.inputs, source, row))


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _link_values(
    state: State,
    plan: Plan,
    track: np.int64,
    record: np.int64,
    address: np.int64,
    mask: np.int64,
    sequence: np.int64,
    head: np.int64,
) -> None:
    """Link the new entry with the occurrences of its value before and after it; update what counts values."""
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    floor = load(state.arena, record + load2(plan.tracks, track, layout.TRACK_RECORD) + layout.FLOOR)
    at = entry(address, mask, stride, sequence)
    start = load2(plan.tracks, track, layout.TRACK_TALLIES)
    stop = start + load2(plan.tracks, track, layout.TRACK_TALLY_COUNT)
    for tally in range(start, stop):
        if load2(plan.tallies, tally, layout.TALLY_LIFETIME) == 1:
            continue
        word = record + load2(plan.tallies, tally, layout.TALLY_RECORD)
        if load(state.arena, word) == 0:
            store(state.arena, word, floor + 1)
        if sequence < load(state.arena, word):
            store(state.arena, word, load(state.arena, word) + 1)
    first = load2(plan.tracks, track, layout.TRACK_MEASURES)
    for measure in range(first, first + load2(plan.tracks, track, layout.TRACK_MEASURE_COUNT)):
        code = load2(plan.measures, measure, layout.MEASURE_CODE)
        if code == layout.VALUE_NEXT:
            _link_next(state, plan, track, measure, record, address, mask, sequence, floor, head)
    for tally in range(start, stop):
        word = record + load2(plan.tallies, tally, layout.TALLY_RECORD)
        if load2(plan.tallies, tally, layout.TALLY_LIFETIME) == 1 or sequence >= load(state.arena, word):
            enter(state, plan, tally, record, word, at)


@nb.njit(inline="always")
def _holds(arena: Words, at: np.int64, value: np.int64) -> bool:
    """Tell whether a linked value is this one; a null is none."""
    return load(arena, at) == value and load(arena, at + 1) != layout.NULL


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _link_next(
    state: State,
    plan: Plan,
    track: np.int64,
    measure: np.int64,
    record: np.int64,
    address: np.int64,
    mask: np.int64,
    sequence: np.int64,
    floor: np.int64,
    head: np.int64,
) -> None:
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    word = load2(plan.measures, measure, layout.MEASURE_WORD)
    pair = load2(plan.measures, measure, layout.MEASURE_PAIR)
    for later in range(sequence + 1, head):
        # A late event moved these up by one; the map holds the number of each value's last occurrence.
        at = entry(address, mask, stride, later) + word
        if load(state.arena, at + 1) == layout.TIME_NEVER:
            place = pairs.locate(state, record, pair, load(state.arena, at))
            if pairs.present(state, place):
                pairs.change(state, place, later)
    at = entry(address, mask, stride, sequence)
    if load(state.arena, at + word + 1) == layout.NULL:
        return
    value = load(state.arena, at + word)
    place = pairs.locate(state, record, pair, value)
    if not pairs.present(state, place):
        pairs.add(state, record, place, pair, value, sequence)
        return
    last = pairs.number(state, place)
    if last > sequence:
        later = sequence + 1
        while not _holds(state.arena, entry(address, mask, stride, later) + word, value):
            later += 1
        store(state.arena, at + word + 1, load(state.arena, entry(address, mask, stride, later)))
        earlier = sequence - 1
        while earlier > floor and not _holds(state.arena, entry(address, mask, stride, earlier) + word, value):
            earlier -= 1
        if earlier > floor:
            store(state.arena, entry(address, mask, stride, earlier) + word + 1, load(state.arena, at))
        return
    pairs.change(state, place, sequence)
    if last <= floor:
        return
    store(state.arena, entry(address, mask, stride, last) + word + 1, load(state.arena, at))
    start = load2(plan.tracks, track, layout.TRACK_TALLIES)
    for tally in range(start, start + load2(plan.tracks, track, layout.TRACK_TALLY_COUNT)):
        place_word = record + load2(plan.tallies, tally, layout.TALLY_RECORD)
        if (
            load2(plan.tallies, tally, layout.TALLY_CODE) == layout.TALLY_DISTINCT
            and load2(plan.tallies, tally, layout.TALLY_MEASURE) == measure
            and load(state.arena, place_word) <= last
        ):
            store(state.arena, place_word + 1, load(state.arena, place_word + 1) - 1)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _count_new_values(
    state: State,
    plan: Plan,
    events: Events,
    track: np.int64,
    record: np.int64,
    row: np.int64,
    address: np.int64,
    mask: np.int64,
    sequence: np.int64,
    head: np.int64,
) -> None:
    """Keep the running numbers of distinct values over the whole past; the map holds each value's first time."""
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    first = load2(plan.tracks, track, layout.TRACK_MEASURES)
    time = load(state.arena, entry(address, mask, stride, sequence))
    for measure in range(first, first + load2(plan.tracks, track, layout.TRACK_MEASURE_COUNT)):
        if load2(plan.measures, measure, layout.MEASURE_CODE) != layout.RUNNING_DISTINCT:
            continue
        source = load2(plan.measures, measure, layout.MEASURE_INPUT)
        if load2(events.input_nulls, source, row) != 0:
            continue
        value = load2(events.inputs, source, row)
        pair = load2(plan.measures, measure, layout.MEASURE_PAIR)
        place = pairs.locate(state, record, pair, value)
        until = head
        if pairs.present(state, place):
            known = pairs.number(state, place)
            if known <= time:
                continue
            pairs.change(state, place, time)
            # It was first seen later than this late event: from there on it is counted already.
            until = bound(state.arena, address, mask, stride, sequence + 1, sequence + 1, head, known - 1)
        else:
            pairs.add(state, record, place, pair, value, time)
        word = load2(plan.measures, measure, layout.MEASURE_WORD)
        for later in range(sequence, until):
            store(
                state.arena,
                entry(address, mask, stride, later) + word,
                load(state.arena, entry(address, mask, stride, later) + word) + 1,
            )


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def insert(
    state: State,
    plan: Plan,
    events: Events,
    track: np.int64,
    record: np.int64,
    row: np.int64,
    time: np.int64,
) -> bool:
    """Enter one event into an entity's ring; False where the arena is full."""
    part = record + load2(plan.tracks, track, layout.TRACK_RECORD)
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    if load(state.arena, part + layout.RING) == 0 and not create(state, plan, track, record):
        return False
    floor = load(state.arena, part + layout.FLOOR)
    head = load(state.arena, part + layout.HEAD)
    if head - floor == 1 << (load(state.arena, part + layout.RING) & ((1 << layout.RING_SHIFT) - 1)):
        if not _make_room(state, plan, track, record):
            return False
        floor = load(state.arena, part + layout.FLOOR)
    address = load(state.arena, part + layout.RING) >> layout.RING_SHIFT
    mask = (1 << (load(state.arena, part + layout.RING) & ((1 << layout.RING_SHIFT) - 1))) - 1
    resolution = load2(plan.tracks, track, layout.TRACK_RESOLUTION)
    if resolution > 0:
        time -= time % resolution
    first = load2(plan.tracks, track, layout.TRACK_FIRST)
    if first >= 0:
        store(state.arena, record + first, min(load(state.arena, record + first), time))
    sequence = head
    if load(state.arena, part + layout.NEWEST) > time:
        sequence = bound(state.arena, address, mask, stride, head, floor + 1, head, time)
    else:
        store(state.arena, part + layout.NEWEST, time)
    if (
        resolution > 0
        and load(state.arena, entry(address, mask, stride, sequence - 1)) == time
        and sequence - 1 > floor
    ):
        _carry_forward(state, plan, events, track, row, address, mask, sequence - 1, head)
        return True
    for later in range(head, sequence, -1):
        source = entry(address, mask, stride, later - 1)
        target = entry(address, mask, stride, later)
        for word in range(stride):
            store(state.arena, target + word, load(state.arena, source + word))
    at = entry(address, mask, stride, sequence)
    before = entry(address, mask, stride, sequence - 1)
    store(state.arena, at, time)
    _accumulate(state, plan, events, track, row, before, at)
    head += 1
    store(state.arena, part + layout.HEAD, head)
    if sequence + 1 < head:
        _carry_forward(state, plan, events, track, row, address, mask, sequence + 1, head)
    if load2(plan.tracks, track, layout.TRACK_TALLY_COUNT) > 0:
        _link_values(state, plan, track, record, address, mask, sequence, head)
    _count_new_values(state, plan, events, track, record, row, address, mask, sequence, head)
    if load2(plan.tracks, track, layout.TRACK_EXTREMES) > 0:
        if sequence + 1 == head:
            fold_block(state.arena, address, mask + 1, stride, plan.tracks, track, plan.measures, sequence)
        else:
            rebuild_blocks(state.arena, address, mask + 1, stride, plan.tracks, track, plan.measures, sequence, head)
    return True
