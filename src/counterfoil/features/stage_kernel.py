"""The one kernel that carries a batch through stages: look up, answer, enter, answer, event by event.

It is table-driven (``layout.py``), so it is compiled once for all detectors. Events are processed in arrival order;
for each, what leaves the event itself out is asked before it enters, everything else after.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.features import index, layout, pairs
from counterfoil.features.access import load, load2, store, store2, take
from counterfoil.features.addresses import call_at, floats_at, words_at
from counterfoil.features.aggregations.count import count_total
from counterfoil.features.aggregations.distance import great_circle
from counterfoil.features.aggregations.distinct import distinct_scan
from counterfoil.features.aggregations.frequency import occurrences
from counterfoil.features.aggregations.mean import mean_float, mean_integer
from counterfoil.features.aggregations.speed import kilometres_an_hour
from counterfoil.features.aggregations.std import std_float, std_integer
from counterfoil.features.aggregations.sum import sum_float
from counterfoil.features.blocks import extreme
from counterfoil.features.rings import bound, enter, entry, insert, leave
from counterfoil.features.views import Events, Plan, State
from counterfoil.prefetch import prefetch

# Columns of the directory: a row a shard of a stage.
TRACKS, TRACKS_ROWS = 0, 1
EDGES, EDGES_ROWS = 2, 3
MEASURES, MEASURES_ROWS = 4, 5
TALLIES, TALLIES_ROWS = 6, 7
OPERATIONS, OPERATIONS_ROWS = 8, 9
DIVISORS = 10
TABLE, TABLE_WORDS = 11, 12
ARENA, ARENA_WORDS = 13, 14
META, META_WORDS = 15, 16
RECORD_WORDS = 17
READ_KEY = 18
"""Row of the keys under which events are judged."""
FEED_KEY = 19
"""Row of the keys under which events enter; the same row for nearly every stage."""
SHARD = 20
SHARDS = 21
SPECIAL = 22
"""Address of the kernel that was compiled for this very stage (``special.py``); 0 for none."""
DIRECTORY_COLUMNS = 23

# What such a kernel is told of a batch: sizes and addresses.
BATCH_EVENTS = 0
BATCH_WIDTH = 1
"""Room for decisions: words a row of the outputs."""
BATCH_LATENESS = 2
BATCH_KEYS, BATCH_KINDS, BATCH_TIMES, BATCH_DECIDED = 3, 4, 5, 6
BATCH_INPUTS, BATCH_INPUT_NULLS = 7, 8
BATCH_OUTPUTS, BATCH_OUTPUT_NULLS = 9, 10
BATCH_LATE = 11
BATCH_KIND_FEEDS, BATCH_PLACES, BATCH_RECORDS = 12, 13, 14
"""Scratch: what ``run_shard`` is given for it."""
BATCH_COLUMNS = 15

KINDS_MAX = 64
"""Event kinds of a detector."""
_ADDRESSES = 4096
"""Where the addresses of window edges begin in the scratch array, behind their places: more than a track can have."""
PLACES_WORDS = 2 * _ADDRESSES

# How many events ahead each line is asked for: the index first, then the record it points to, then the rings.
_AHEAD_INDEX = 18
_AHEAD_RECORD = 11
_AHEAD_RINGS = 5
_LINE = 8
"""Words a cache line."""
_COPIED = 32 * _LINE
"""Most words of a ring that are asked for because it is to be copied: longer ones the processor foresees."""


@nb.njit(inline="always")
def shard_of(key: np.int64, shards: np.int64) -> np.int64:
    """Return the shard of a key: by its high bits, as the low ones place it in the index."""
    return np.int64((np.uint64(key) >> np.uint64(40)) % np.uint64(shards))


@nb.njit(nogil=True, cache=True)
def run_stages(directory: Words, order: Words, taken: Words, events: Events, lateness: int) -> int:
    """Carry a batch through shards of the directory, until none is left.

    Parameters
    ----------
    directory
        (shards of stages, DIRECTORY_COLUMNS): where plans and states lie.
    order
        Its rows in the order in which they are begun.
    taken
        (1,): how many have been. Several threads may share it: each takes what comes next.
    events
        The batch, and where to write.
    lateness
        Microseconds by which an event may be older than its entity's newest.

    Returns
    -------
    int
        ``STATUS_DONE``, or ``STATUS_ARENA_FULL``: then the state is no longer fit for use.
    """
    kind_feeds = np.empty(KINDS_MAX, np.uint8)
    places = np.empty(PLACES_WORDS, np.int64)
    records = np.empty((3, events.times.shape[0]), np.int64)
    batch = np.empty(BATCH_COLUMNS, np.int64)
    _describe(events, lateness, kind_feeds, places, records, batch)
    while True:
        place = take(taken)
        if place >= order.shape[0]:
            return layout.STATUS_DONE
        d = directory[order[place]]
        if d[SPECIAL] != 0:
            if call_at(d[SPECIAL], d.ctypes.data, batch.ctypes.data) != layout.STATUS_DONE:
                return layout.STATUS_ARENA_FULL
            continue
        plan = Plan(
            nb.carray(words_at(d[TRACKS]), (d[TRACKS_ROWS], layout.TRACK_COLUMNS)),
            nb.carray(words_at(d[EDGES]), (d[EDGES_ROWS], layout.EDGE_COLUMNS)),
            nb.carray(words_at(d[MEASURES]), (d[MEASURES_ROWS], layout.MEASURE_COLUMNS)),
            nb.carray(words_at(d[TALLIES]), (d[TALLIES_ROWS], layout.TALLY_COLUMNS)),
            nb.carray(words_at(d[OPERATIONS]), (d[OPERATIONS_ROWS], layout.OPERATION_COLUMNS)),
            nb.carray(floats_at(d[DIVISORS]), (d[OPERATIONS_ROWS],)),
        )
        state = state_of(d)
        done = run_shard(
            state,
            plan,
            events,
            d[RECORD_WORDS],
            d[READ_KEY],
            d[FEED_KEY],
            d[SHARD],
            d[SHARDS],
            kind_feeds,
            places,
            records[0],
            records[1],
            records[2],
            lateness,
        )
        if not done:
            return layout.STATUS_ARENA_FULL


@nb.njit(inline="always")
def _describe(
    events: Events, lateness: np.int64, kind_feeds: Bytes, places: Words, records: Words, batch: Words
) -> None:
    """Write what a kernel that was compiled for a stage is told of a batch."""
    batch[BATCH_EVENTS] = events.times.shape[0]
    batch[BATCH_WIDTH] = events.outputs.shape[1]
    batch[BATCH_LATENESS] = lateness
    batch[BATCH_KEYS] = events.keys.ctypes.data
    batch[BATCH_KINDS] = events.kinds.ctypes.data
    batch[BATCH_TIMES] = events.times.ctypes.data
    batch[BATCH_DECIDED] = events.decided.ctypes.data
    batch[BATCH_INPUTS] = events.inputs.ctypes.data
    batch[BATCH_INPUT_NULLS] = events.input_nulls.ctypes.data
    batch[BATCH_OUTPUTS] = events.outputs.ctypes.data
    batch[BATCH_OUTPUT_NULLS] = events.output_nulls.ctypes.data
    batch[BATCH_LATE] = events.late.ctypes.data
    batch[BATCH_KIND_FEEDS] = kind_feeds.ctypes.data
    batch[BATCH_PLACES] = places.ctypes.data
    batch[BATCH_RECORDS] = records.ctypes.data


@nb.njit(inline="always")
def state_of(d: Words) -> State:
    """Return the state that a row of the directory describes."""
    return State(
        nb.carray(words_at(d[TABLE]), (d[TABLE_WORDS],)),
        nb.carray(words_at(d[ARENA]), (d[ARENA_WORDS],)),
        nb.carray(floats_at(d[ARENA]), (d[ARENA_WORDS],)),
        nb.carray(words_at(d[META]), (d[META_WORDS],)),
    )


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def run_shard(
    state: State,
    plan: Plan,
    events: Events,
    record_words: np.int64,
    read_key: np.int64,
    feed_key: np.int64,
    shard: np.int64,
    shards: np.int64,
    kind_feeds: Bytes,
    places: Words,
    rows: Words,
    read_records: Words,
    feed_records: Words,
    lateness: np.int64,
) -> bool:
    """Carry a batch through one shard of one stage; False where its state has become unfit for use.

    The words behind ``shards`` are scratch: ``KINDS_MAX`` bytes, ``PLACES_WORDS`` words, and thrice a word an event.
    """
    n = events.times.shape[0]
    same_key = read_key == feed_key
    kind_feeds[:] = 0
    for track in range(plan.tracks.shape[0]):
        store(kind_feeds, load2(plan.tracks, track, layout.TRACK_KIND), 1)
    # Only rows that this shard has to do with go through the pipeline: whether one does is hard to foresee, so it is
    # asked once, and without a jump.
    active = np.int64(0)
    for row in range(n):
        store(rows, active, row)
        key = load2(events.keys, read_key, row)
        feeds = load(kind_feeds, load(events.kinds, row)) == 1
        concerns = _concerns(key, shard, shards) & ((load(events.decided, row) >= 0) | (same_key & feeds))
        if not same_key:
            concerns |= _concerns(load2(events.keys, feed_key, row), shard, shards) & feeds
        active += np.int64(concerns)
    for step in range(active + _AHEAD_INDEX):
        if step < active:
            row = load(rows, step)
            prefetch(state.table, index.place_of(state.table, load2(events.keys, read_key, row)))
            if not same_key:
                prefetch(state.table, index.place_of(state.table, load2(events.keys, feed_key, row)))
        ahead = step - (_AHEAD_INDEX - _AHEAD_RECORD)
        if 0 <= ahead < active:
            row = load(rows, ahead)
            feeds = load(kind_feeds, load(events.kinds, row)) == 1
            key = load2(events.keys, read_key, row)
            wanted = same_key or (load(events.decided, row) >= 0 and _concerns(key, shard, shards))
            store(read_records, ahead, _look_up(state, record_words, key, wanted))
            if same_key:
                store(feed_records, ahead, load(read_records, ahead))
            else:
                key = load2(events.keys, feed_key, row)
                store(feed_records, ahead, _look_up(state, record_words, key, feeds and _concerns(key, shard, shards)))
        ahead = step - (_AHEAD_INDEX - _AHEAD_RINGS)
        if 0 <= ahead < active:
            row = load(rows, ahead)
            if load(read_records, ahead) >= 0:
                _prefetch_rings(state, plan, events, load(read_records, ahead), row)
            if not same_key and load(feed_records, ahead) >= 0:
                _prefetch_rings(state, plan, events, load(feed_records, ahead), row)
        ahead = step - _AHEAD_INDEX
        if ahead < 0:
            continue
        row = load(rows, ahead)
        record = load(read_records, ahead)
        feed_record = load(feed_records, ahead)
        time = load(events.times, row)
        kind = np.int64(load(events.kinds, row))
        column = load(events.decided, row)
        if record == _ABSENT:
            record = _record(state, record_words, load2(events.keys, read_key, row))
        if same_key:
            feed_record = record
        elif feed_record == _ABSENT:
            feed_record = _record(state, record_words, load2(events.keys, feed_key, row))
        if record == _FULL or feed_record == _FULL:
            return False
        if record >= 0:
            effective = _move_clock(state.arena, record, time, lateness)
            if effective != time and column >= 0:
                store(events.late, column, 1)
            time = effective
        for phase in range(2):
            # First what leaves the event itself out, then the event enters, then everything else.
            if phase == 1 and feed_record >= 0 and load(kind_feeds, kind) == 1:
                if not same_key:
                    time = _move_clock(state.arena, feed_record, load(events.times, row), lateness)
                for track in range(plan.tracks.shape[0]):
                    if load2(plan.tracks, track, layout.TRACK_KIND) != kind:
                        continue
                    mask = load2(plan.tracks, track, layout.TRACK_MASK)
                    if mask >= 0 and load2(events.inputs, mask, row) == 0:
                        continue
                    if not insert(state, plan, events, track, feed_record, row, time):
                        return False
            if column < 0 or record < 0:
                continue
            if phase == 1 and not same_key:
                time = _move_clock(state.arena, record, load(events.times, row), lateness)
            for track in range(plan.tracks.shape[0]):
                if phase == 0 or not same_key:
                    _find_edges(state, plan, track, record, time, kind)
                start = load2(plan.tracks, track, layout.TRACK_OPERATIONS_PRIOR + 2 * phase)
                count = load2(plan.tracks, track, layout.TRACK_OPERATION_COUNT_PRIOR + 2 * phase)
                if count == 0:
                    continue
                if _nothing_in_sight(state, plan, track, record, time, layout.TRACK_WIDEST_PRIOR + phase):
                    _answer_nothing(plan, events, start, start + count, column)
                    continue
                asked = load2(plan.tracks, track, layout.TRACK_ASKED_PRIOR + phase)
                _answer(
                    state,
                    plan,
                    events,
                    track,
                    start,
                    start + count,
                    asked,
                    record,
                    time,
                    row,
                    column,
                    places,
                )
    return load(state.meta, layout.META_FULL) == 0


_ABSENT = -1
_FOREIGN = -2
_FULL = -3


@nb.njit(inline="always")
def _concerns(key: np.int64, shard: np.int64, shards: np.int64) -> bool:
    """Tell whether a key is there and belongs to this shard."""
    return (key != 0) & ((shards == 1) | (shard_of(key, shards) == shard))


@nb.njit(inline="always")
def _look_up(state: State, record_words: np.int64, key: np.int64, wanted: bool) -> np.int64:
    """Return where a key's record is: ``_ABSENT`` where it has none yet, ``_FOREIGN`` where there is nothing to do."""
    if not wanted:
        return np.int64(_FOREIGN)
    record = index.find(state.table, key)
    if record >= 0:
        for word in range(0, record_words, _LINE):
            prefetch(state.arena, record + word)
    return record


@nb.njit(inline="always")
def _move_clock(arena: Words, record: np.int64, time: np.int64, lateness: np.int64) -> np.int64:
    """Move an entity's clock on, and return the time as of which an event counts and is judged.

    That is its own time; where it is older than the lateness allows, the oldest time allowed. So whatever comes, no
    answer needs an entry that was trimmed.
    """
    clock = load(arena, record)
    if time >= clock:
        store(arena, record, time)
        return time
    return max(time, clock - lateness)


@nb.njit(inline="always")
def _record(state: State, record_words: np.int64, key: np.int64) -> np.int64:
    """Return where a key's record is and make it where it is not there yet; ``_FULL`` where the arena has no room."""
    record = index.find(state.table, key)
    if record < 0:
        record = (load(state.meta, layout.META_ARENA) + _LINE - 1) & -_LINE
        if record + record_words > state.arena.shape[0]:
            return np.int64(_FULL)
        store(state.meta, layout.META_ARENA, record + record_words)
        store(state.meta, layout.META_ENTITIES, load(state.meta, layout.META_ENTITIES) + 1)
        index.insert(state.table, key, record)
        store(state.arena, record, layout.TIME_NONE)
    return record


@nb.njit(inline="always")
def _prefetch_new(state: State, words: np.int64) -> None:
    """Ask for the lines that the next new ring will be written to."""
    address = load(state.meta, layout.META_ARENA)
    for word in range(0, min(words, _COPIED), _LINE):
        prefetch(state.arena, address + word)


@nb.njit(inline="always")
def _prefetch_value(state: State, record: np.int64, pair: np.int64, value: np.int64) -> None:
    """Ask for the entry of one of an entity's values, and for how many there are."""
    block = load(state.arena, record + layout.RECORD_VALUES)
    if block != 0:
        address = block >> layout.RING_SHIFT
        place = pairs.place_of(address, block & ((1 << layout.RING_SHIFT) - 1), pair, value)
        prefetch(state.arena, address)
        prefetch(state.arena, place)
        prefetch(state.arena, place + pairs.WORDS - 1)


@nb.njit(inline="always")
def _prefetch_rings(state: State, plan: Plan, events: Events, record: np.int64, row: np.int64) -> None:
    kind = np.int64(load(events.kinds, row))
    for track in range(plan.tracks.shape[0]):
        part = record + load2(plan.tracks, track, layout.TRACK_RECORD)
        ring = load(state.arena, part + layout.RING)
        enters = load2(plan.tracks, track, layout.TRACK_KIND) == kind
        if ring == 0:
            if enters:
                _prefetch_new(state, load2(plan.tracks, track, layout.TRACK_STRIDE) << layout.RING_FIRST)
            continue
        reach = load2(plan.tracks, track, layout.TRACK_REACH)
        newest = load(state.arena, part + layout.NEWEST)
        if not enters and reach >= 0 and newest <= load(events.times, row) - reach:
            continue
        address = ring >> layout.RING_SHIFT
        mask = (1 << (ring & ((1 << layout.RING_SHIFT) - 1))) - 1
        stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
        head = load(state.arena, part + layout.HEAD)
        if enters:
            place = entry(address, mask, stride, head)
            if head - load(state.arena, part + layout.FLOOR) > mask:
                # It is full: unless enough of it has grown old, it is copied into one of twice the size.
                for word in range(0, min((mask + 1) * stride, _COPIED), _LINE):
                    prefetch(state.arena, address + word)
                _prefetch_new(state, 2 * (mask + 1) * stride)
            for word in range(0, stride, _LINE):
                prefetch(state.arena, place + word)
            prefetch(state.arena, place + stride - 1)
        place = entry(address, mask, stride, head - 1)
        words = load2(plan.tracks, track, layout.TRACK_TOTAL_WORDS)
        for word in range(0, words, _LINE):
            prefetch(state.arena, place + word)
        prefetch(state.arena, place + words - 1)
        first_place = record + load2(plan.tracks, track, layout.TRACK_PLACES)
        edge_first = load2(plan.tracks, track, layout.TRACK_EDGES)
        for edge in range(load2(plan.tracks, track, layout.TRACK_EDGE_COUNT)):
            sequence = load(state.arena, first_place + edge)
            since = load(events.times, row) - load2(plan.edges, edge_first + edge, layout.EDGE_OFFSET)
            if sequence >= head or newest <= since:
                continue
            # The totals of the entry before the edge are read, and the time of the one behind it.
            prefetch(state.arena, entry(address, mask, stride, sequence))
            if sequence == head - 1:
                continue
            prefetch(state.arena, entry(address, mask, stride, sequence + 1))
            place = entry(address, mask, stride, sequence - 1)
            words = load2(plan.edges, edge_first + edge, layout.EDGE_WORDS)
            for word in range(0, words, _LINE):
                prefetch(state.arena, place + word)
            prefetch(state.arena, place + words - 1)
        if load2(plan.tracks, track, layout.TRACK_TALLY_COUNT) > 0:
            first = load2(plan.tracks, track, layout.TRACK_MEASURES)
            for measure in range(first, first + load2(plan.tracks, track, layout.TRACK_MEASURE_COUNT)):
                pair = load2(plan.measures, measure, layout.MEASURE_PAIR)
                if pair >= 0:
                    value = load2(events.inputs, load2(plan.measures, measure, layout.MEASURE_INPUT), row)
                    _prefetch_value(state, record, pair, value)
            first = load2(plan.tracks, track, layout.TRACK_TALLIES)
            for tally in range(first, first + load2(plan.tracks, track, layout.TRACK_TALLY_COUNT)):
                pair = load2(plan.tallies, tally, layout.TALLY_PAIR)
                if pair >= 0:
                    value = load2(
                        events.inputs,
                        load2(plan.measures, load2(plan.tallies, tally, layout.TALLY_MEASURE), layout.MEASURE_INPUT),
                        row,
                    )
                    _prefetch_value(state, record, pair, value)


@nb.njit(inline="always")
def _find_edges(state: State, plan: Plan, track: np.int64, record: np.int64, time: np.int64, kind: np.int64) -> None:
    """Find where the windows that a track is asked for begin, as of an event that has not entered yet.

    Whether it enters or not, they begin there: at the first entry later than their edge, and so is the event. A window
    in which there is nothing else needs no look at the ring: the record knows the newest.
    """
    part = record + load2(plan.tracks, track, layout.TRACK_RECORD)
    ring = load(state.arena, part + layout.RING)
    edges = load2(plan.tracks, track, layout.TRACK_EDGE_COUNT)
    if ring == 0 or edges == 0:
        return
    resolution = load2(plan.tracks, track, layout.TRACK_RESOLUTION)
    if resolution > 0:
        time -= time % resolution
    newest = load(state.arena, part + layout.NEWEST)
    reach = load2(plan.tracks, track, layout.TRACK_REACH)
    if reach >= 0 and newest <= time - reach and load2(plan.tracks, track, layout.TRACK_KIND) != kind:
        return
    asked = load2(plan.tracks, track, layout.TRACK_ASKED_PRIOR) | load2(plan.tracks, track, layout.TRACK_ASKED)
    head = load(state.arena, part + layout.HEAD)
    first_place = record + load2(plan.tracks, track, layout.TRACK_PLACES)
    edge_first = load2(plan.tracks, track, layout.TRACK_EDGES)
    for edge in range(edges):
        if edge < layout.ASKED_BITS and (asked >> edge) & 1 == 0:
            continue
        since = time - load2(plan.edges, edge_first + edge, layout.EDGE_OFFSET)
        place = head
        if newest > since:
            place = bound(
                state.arena,
                ring >> layout.RING_SHIFT,
                (1 << (ring & ((1 << layout.RING_SHIFT) - 1))) - 1,
                load2(plan.tracks, track, layout.TRACK_STRIDE),
                load(state.arena, first_place + edge),
                load(state.arena, part + layout.FLOOR) + 1,
                head,
                since,
            )
        store(state.arena, first_place + edge, place)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _answer(
    state: State,
    plan: Plan,
    events: Events,
    track: np.int64,
    first: np.int64,
    last: np.int64,
    asked: np.int64,
    record: np.int64,
    time: np.int64,
    row: np.int64,
    column: np.int64,
    places: Words,
) -> None:
    """Answer some of a track's operations as of one event."""
    part = record + load2(plan.tracks, track, layout.TRACK_RECORD)
    ring = load(state.arena, part + layout.RING)
    stride = load2(plan.tracks, track, layout.TRACK_STRIDE)
    address = ring >> layout.RING_SHIFT
    mask = (1 << (ring & ((1 << layout.RING_SHIFT) - 1))) - 1
    floor = load(state.arena, part + layout.FLOOR)
    head = load(state.arena, part + layout.HEAD)
    resolution = load2(plan.tracks, track, layout.TRACK_RESOLUTION)
    if resolution > 0:
        time -= time % resolution
    now = head
    if load(state.arena, part + layout.NEWEST) > time:
        now = bound(state.arena, address, mask, stride, head, floor + 1, head, time)
    # A window over the whole past begins at the entry before the beginning, whose totals are zero.
    store(places, layout.EDGE_BEGINNING, 1)
    store(places, _ADDRESSES + layout.EDGE_BEGINNING, 0)
    store(places, layout.EDGE_NOW, now)
    store(places, _ADDRESSES + layout.EDGE_NOW, entry(address, mask, stride, now - 1))
    first_place = record + load2(plan.tracks, track, layout.TRACK_PLACES)
    edge_first = load2(plan.tracks, track, layout.TRACK_EDGES)
    for edge in range(load2(plan.tracks, track, layout.TRACK_EDGE_COUNT)):
        if edge < layout.ASKED_BITS and (asked >> edge) & 1 == 0:
            continue
        place = max(load(state.arena, first_place + edge), floor + 1)
        store(places, layout.EDGES_ALWAYS + edge, place)
        store(places, _ADDRESSES + layout.EDGES_ALWAYS + edge, entry(address, mask, stride, place - 1))
    travelled = np.float64(-1.0)
    for operation in range(first, last):
        code = load2(plan.operations, operation, layout.OPERATION_CODE)
        output = load2(plan.operations, operation, layout.OPERATION_OUTPUT)
        word = load2(plan.operations, operation, layout.OPERATION_WORD)
        high_edge = load2(plan.operations, operation, layout.OPERATION_HIGH)
        low_edge = load2(plan.operations, operation, layout.OPERATION_LOW)
        high = load(places, high_edge)
        low = load(places, low_edge)
        if code == layout.COUNT_ROWS:
            store2(events.outputs, output, column, high - low)
            store2(events.output_nulls, output, column, 0)
            continue
        high_at = load(places, _ADDRESSES + high_edge)
        low_at = load(places, _ADDRESSES + low_edge)
        if code <= layout.SHARE:
            count_word = load2(plan.operations, operation, layout.OPERATION_COUNT_WORD)
            count = high - low if count_word < 0 else count_total(state.arena, high_at, low_at, count_word)
            _answer_additive(
                state,
                events,
                code,
                high_at,
                low_at,
                word,
                load2(plan.operations, operation, layout.OPERATION_SQUARE_WORD),
                count,
                load(plan.divisors, operation),
                output,
                column,
            )
            continue
        if code == layout.EXTREME:
            if high > low:
                flags = load2(plan.operations, operation, layout.OPERATION_TALLY)
                value = extreme(
                    state.arena,
                    address,
                    mask + 1,
                    stride,
                    word,
                    load2(plan.operations, operation, layout.OPERATION_BLOCK),
                    flags & 1 == 1,
                    flags & 2 == 2,
                    low,
                    high,
                )
                if value != layout.NULL:
                    store2(events.outputs, output, column, value)
                    store2(events.output_nulls, output, column, 0)
        elif code == layout.RUNNING_EXTREME:
            if load(state.arena, high_at + word + 1) != 0:
                store2(events.outputs, output, column, load(state.arena, high_at + word))
                store2(events.output_nulls, output, column, 0)
        elif code == layout.AGE:
            seen = load(state.arena, record + load2(plan.tracks, track, layout.TRACK_FIRST))
            if seen <= time:
                store2(events.outputs, output, column, time - seen)
                store2(events.output_nulls, output, column, 0)
        elif code == layout.TIME_SINCE and high == head:
            store2(events.outputs, output, column, time - load(state.arena, part + layout.NEWEST))
            store2(events.output_nulls, output, column, 0)
        elif code == layout.DISTINCT_LIFETIME:
            store2(events.outputs, output, column, load(state.arena, high_at + word))
            store2(events.output_nulls, output, column, 0)
        elif code == layout.DISTINCT:
            _answer_distinct(
                state,
                plan,
                events,
                operation,
                record,
                address,
                mask,
                stride,
                low,
                high,
                head,
                floor,
                time
                if high_edge == layout.EDGE_NOW
                else time - load2(plan.edges, edge_first + high_edge - layout.EDGES_ALWAYS, layout.EDGE_OFFSET),
                column,
            )
        elif code == layout.FREQUENCY:
            _answer_frequency(
                state, plan, events, operation, record, address, mask, stride, low, high, head, floor, row, column
            )
        elif load(state.arena, high_at) != layout.TIME_NONE:
            if code == layout.SPEED and operation > first and _same_way(plan, operation):
                if travelled >= 0:
                    hours = time - load(state.arena, high_at)
                    store2(events.outputs_float, output, column, kilometres_an_hour(travelled, hours))
                    store2(events.output_nulls, output, column, 0)
                continue
            travelled = _answer_latest(state, plan, events, code, high_at, word, operation, time, row, output, column)


@nb.njit(inline="always")
def _nothing_in_sight(
    state: State, plan: Plan, track: np.int64, record: np.int64, time: np.int64, widest: np.int64
) -> bool:
    """Tell whether a track has no event yet, or none within the widest window that is asked for."""
    part = record + load2(plan.tracks, track, layout.TRACK_RECORD)
    if load(state.arena, part + layout.RING) == 0:
        return True
    reach = load2(plan.tracks, track, widest)
    if reach < 0:
        return False
    resolution = load2(plan.tracks, track, layout.TRACK_RESOLUTION)
    if resolution > 0:
        time -= time % resolution
    return load(state.arena, part + layout.NEWEST) <= time - reach


@nb.njit(inline="always")
def _answer_nothing(plan: Plan, events: Events, first: np.int64, last: np.int64, column: np.int64) -> None:
    """Answer where there is no such event: counts are 0, everything else stays null."""
    for operation in range(first, last):
        code = load2(plan.operations, operation, layout.OPERATION_CODE)
        if code <= layout.COUNT_TOTAL or code == layout.DISTINCT or code == layout.DISTINCT_LIFETIME:
            output = load2(plan.operations, operation, layout.OPERATION_OUTPUT)
            store2(events.outputs, output, column, 0)
            store2(events.output_nulls, output, column, 0)


@nb.njit(inline="always")
def _answer_additive(
    state: State,
    events: Events,
    code: np.int64,
    high_at: np.int64,
    low_at: np.int64,
    word: np.int64,
    square: np.int64,
    count: np.int64,
    divisor: np.float64,
    output: np.int64,
    column: np.int64,
) -> None:
    """Answer from the differences of running totals."""
    if code == layout.COUNT_TOTAL:
        store2(events.outputs, output, column, count_total(state.arena, high_at, low_at, word))
        store2(events.output_nulls, output, column, 0)
        return
    if count == 0 or (count == 1 and (code == layout.STD_INTEGER or code == layout.STD_FLOAT)):
        return
    store2(events.output_nulls, output, column, 0)
    if code == layout.SUM_INTEGER:
        store2(events.outputs, output, column, count_total(state.arena, high_at, low_at, word))
    elif code == layout.MEAN_INTEGER:
        store2(events.outputs_float, output, column, mean_integer(state.arena, high_at, low_at, word, count, divisor))
    elif code == layout.SHARE:
        store2(events.outputs_float, output, column, mean_integer(state.arena, high_at, low_at, word, count, 1.0))
    elif code == layout.STD_INTEGER:
        store2(
            events.outputs_float,
            output,
            column,
            std_integer(state.arena, high_at, low_at, word, square, count, divisor),
        )
    elif code == layout.SUM_FLOAT:
        store2(events.outputs_float, output, column, sum_float(state.arena, high_at, low_at, word))
    elif code == layout.MEAN_FLOAT:
        store2(events.outputs_float, output, column, mean_float(state.arena, high_at, low_at, word, count))
    else:
        store2(events.outputs_float, output, column, std_float(state.arena, high_at, low_at, word, square, count))


@nb.njit(inline="always")
def _answer_latest(
    state: State,
    plan: Plan,
    events: Events,
    code: np.int64,
    high_at: np.int64,
    word: np.int64,
    operation: np.int64,
    time: np.int64,
    row: np.int64,
    output: np.int64,
    column: np.int64,
) -> np.float64:
    """Answer from the latest entry; return the distance from its position, -1 where there is none."""
    if code == layout.LAST:
        store2(events.outputs, output, column, load(state.arena, high_at + word))
        store2(events.output_nulls, output, column, 0)
        return np.float64(-1.0)
    if code == layout.TIME_SINCE:
        store2(events.outputs, output, column, time - load(state.arena, high_at))
        store2(events.output_nulls, output, column, 0)
        return np.float64(-1.0)
    latitude = load2(plan.operations, operation, layout.OPERATION_FIRST_INPUT)
    longitude = load2(plan.operations, operation, layout.OPERATION_SECOND_INPUT)
    if load2(events.input_nulls, latitude, row) != 0 or load2(events.input_nulls, longitude, row) != 0:
        return np.float64(-1.0)
    distance = great_circle(
        load(state.arena_float, high_at + word),
        load(state.arena_float, high_at + load2(plan.operations, operation, layout.OPERATION_COUNT_WORD)),
        load2(events.inputs_float, latitude, row),
        load2(events.inputs_float, longitude, row),
    )
    store2(events.output_nulls, output, column, 0)
    if code == layout.DISTANCE:
        store2(events.outputs_float, output, column, distance)
    else:
        store2(events.outputs_float, output, column, kilometres_an_hour(distance, time - load(state.arena, high_at)))
    return distance


@nb.njit(inline="always")
def _same_way(plan: Plan, operation: np.int64) -> bool:
    """Tell whether the operation before asked for the distance that this one divides."""
    before = operation - 1
    return (
        load2(plan.operations, before, layout.OPERATION_CODE) == layout.DISTANCE
        and load2(plan.operations, before, layout.OPERATION_HIGH)
        == load2(plan.operations, operation, layout.OPERATION_HIGH)
        and load2(plan.operations, before, layout.OPERATION_WORD)
        == load2(plan.operations, operation, layout.OPERATION_WORD)
        and load2(plan.operations, before, layout.OPERATION_COUNT_WORD)
        == load2(plan.operations, operation, layout.OPERATION_COUNT_WORD)
    )


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _move_tally(
    state: State,
    plan: Plan,
    tally: np.int64,
    record: np.int64,
    address: np.int64,
    mask: np.int64,
    stride: np.int64,
    low: np.int64,
    floor: np.int64,
) -> None:
    """Move a tally's edge to where the window begins."""
    word = record + load2(plan.tallies, tally, layout.TALLY_RECORD)
    if load(state.arena, word) == 0:
        store(state.arena, word, floor + 1)
    while load(state.arena, word) < low:
        at = entry(address, mask, stride, load(state.arena, word))
        leave(state, plan, tally, record, word, at)
        store(state.arena, word, load(state.arena, word) + 1)
    while load(state.arena, word) > low:
        store(state.arena, word, load(state.arena, word) - 1)
        at = entry(address, mask, stride, load(state.arena, word))
        enter(state, plan, tally, record, word, at)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _answer_distinct(
    state: State,
    plan: Plan,
    events: Events,
    operation: np.int64,
    record: np.int64,
    address: np.int64,
    mask: np.int64,
    stride: np.int64,
    low: np.int64,
    high: np.int64,
    head: np.int64,
    floor: np.int64,
    time: np.int64,
    column: np.int64,
) -> None:
    output = load2(plan.operations, operation, layout.OPERATION_OUTPUT)
    tally = load2(plan.operations, operation, layout.OPERATION_TALLY)
    store2(events.output_nulls, output, column, 0)
    if high == head:
        _move_tally(state, plan, tally, record, address, mask, stride, low, floor)
        store2(
            events.outputs,
            output,
            column,
            load(state.arena, record + load2(plan.tallies, tally, layout.TALLY_RECORD) + 1),
        )
    else:
        store2(
            events.outputs,
            output,
            column,
            distinct_scan(
                state.arena,
                address,
                mask,
                stride,
                load2(plan.operations, operation, layout.OPERATION_WORD),
                low,
                high,
                time,
            ),
        )


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def _answer_frequency(
    state: State,
    plan: Plan,
    events: Events,
    operation: np.int64,
    record: np.int64,
    address: np.int64,
    mask: np.int64,
    stride: np.int64,
    low: np.int64,
    high: np.int64,
    head: np.int64,
    floor: np.int64,
    row: np.int64,
    column: np.int64,
) -> None:
    source = load2(plan.operations, operation, layout.OPERATION_FIRST_INPUT)
    count_word = load2(plan.operations, operation, layout.OPERATION_COUNT_WORD)
    rows = high - low
    if count_word >= 0:
        low_at = np.int64(0) if low == 1 else entry(address, mask, stride, low - 1)
        rows = count_total(state.arena, entry(address, mask, stride, high - 1), low_at, count_word)
    if load2(events.input_nulls, source, row) != 0 or rows <= 0:
        return
    output = load2(plan.operations, operation, layout.OPERATION_OUTPUT)
    tally = load2(plan.operations, operation, layout.OPERATION_TALLY)
    word = load2(plan.operations, operation, layout.OPERATION_WORD)
    value = load2(events.inputs, source, row)
    lifetime = load2(plan.tallies, tally, layout.TALLY_LIFETIME) == 1
    count = np.int64(0)
    if lifetime or high == head:
        if not lifetime:
            _move_tally(state, plan, tally, record, address, mask, stride, low, floor)
        place = pairs.locate(state, record, load2(plan.tallies, tally, layout.TALLY_PAIR), value)
        if pairs.present(state, place):
            count = pairs.number(state, place)
        if high < head:
            count -= occurrences(state.arena, address, mask, stride, word, high, head, value)
    else:
        count = occurrences(state.arena, address, mask, stride, word, low, high, value)
    store2(events.outputs_float, output, column, np.float64(count) / np.float64(rows))
    store2(events.output_nulls, output, column, 0)
