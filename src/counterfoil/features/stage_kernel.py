"""The one kernel that carries a batch through stages: look up, answer, enter, answer, event by event.

It is table-driven (``layout.py``), so it is compiled once for all detectors. Events are processed in arrival order;
for each, what leaves the event itself out is asked before it enters, everything else after.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.features import index, layout, pairs
from counterfoil.features.addresses import floats_at, words_at
from counterfoil.features.aggregations.count import count_total
from counterfoil.features.aggregations.distance import great_circle
from counterfoil.features.aggregations.distinct import distinct_scan
from counterfoil.features.aggregations.frequency import occurrences
from counterfoil.features.aggregations.mean import mean_float, mean_integer
from counterfoil.features.aggregations.speed import kilometres_an_hour
from counterfoil.features.aggregations.std import std_float, std_integer
from counterfoil.features.aggregations.sum import sum_float
from counterfoil.features.blocks import extreme
from counterfoil.features.prefetch import prefetch
from counterfoil.features.rings import bound, enter, entry, insert, leave

# Columns of the directory: a row a shard of a stage.
TRACKS, TRACKS_ROWS = 0, 1
EDGES, EDGES_ROWS = 2, 3
MEASURES, MEASURES_ROWS = 4, 5
TALLIES, TALLIES_ROWS = 6, 7
OPERATIONS, OPERATIONS_ROWS = 8, 9
DIVISORS = 10
TABLE, TABLE_WORDS = 11, 12
RECORDS, RECORDS_WORDS = 13, 14
ARENA, ARENA_WORDS = 15, 16
PAIRS, PAIRS_WORDS = 17, 18
META, META_WORDS = 19, 20
RECORD_WORDS = 21
READ_KEY = 22
"""Row of the keys under which events are judged."""
FEED_KEY = 23
"""Row of the keys under which events enter; the same row for nearly every stage."""
SHARD = 24
SHARDS = 25
DIRECTORY_COLUMNS = 26

KINDS_MAX = 64
"""Event kinds of a detector."""
_PLACES_MAX = 4096
"""Window edges of one track: more than a detector may have features."""

# How many events ahead each line is asked for: the index first, then the record it points to, then the rings.
_AHEAD_INDEX = 12
_AHEAD_RECORD = 8
_AHEAD_RINGS = 4


@nb.njit(inline="always")
def shard_of(key: np.int64, shards: np.int64) -> np.int64:
    """Return the shard of a key: by its high bits, as the low ones place it in the index."""
    return np.int64((np.uint64(key) >> np.uint64(40)) % np.uint64(shards))


@nb.njit(nogil=True, cache=True)
def run_stages(
    directory: Words, first: int, last: int, keys: Words, kinds: nb.int16[:], times: Words, decided: Words,
    inputs: Words, inputs_float: nb.float64[:, :], input_nulls: Bytes, outputs: Words,
    outputs_float: nb.float64[:, :], output_nulls: Bytes, late: Bytes, lateness: int,
) -> int:
    """Carry a batch through the shards ``first .. last - 1`` of the directory.

    Parameters
    ----------
    directory
        (shards of stages, DIRECTORY_COLUMNS): where plans and states lie.
    first, last
        Which rows of it to run.
    keys
        (keys, n): keyed hashes; 0 where an event does not belong to such an entity.
    kinds, times
        (n,): the batch's.
    decided
        (n,): column of the output for events that get a decision, -1 for the others.
    inputs, input_nulls
        (inputs, n): arguments and conditions; ``inputs_float`` is the same memory.
    outputs, output_nulls, late
        (features, m) and (m,): written for the decided events; ``outputs_float`` is the same memory.
    lateness
        Microseconds by which an event may be older than its entity's newest.

    Returns
    -------
    int
        ``STATUS_DONE``, or ``STATUS_ARENA_FULL``: then the state is no longer fit for use.
    """
    kind_feeds = np.empty(KINDS_MAX, np.uint8)
    places = np.empty(_PLACES_MAX, np.int64)
    slots = np.empty((2, times.shape[0]), np.int64)
    for row in range(first, last):
        d = directory[row]
        tracks = nb.carray(words_at(d[TRACKS]), (d[TRACKS_ROWS], layout.TRACK_COLUMNS))
        edges = nb.carray(words_at(d[EDGES]), (d[EDGES_ROWS],))
        measures = nb.carray(words_at(d[MEASURES]), (d[MEASURES_ROWS], layout.MEASURE_COLUMNS))
        tallies = nb.carray(words_at(d[TALLIES]), (d[TALLIES_ROWS], layout.TALLY_COLUMNS))
        operations = nb.carray(words_at(d[OPERATIONS]), (d[OPERATIONS_ROWS], layout.OPERATION_COLUMNS))
        divisors = nb.carray(floats_at(d[DIVISORS]), (d[OPERATIONS_ROWS],))
        table = nb.carray(words_at(d[TABLE]), (d[TABLE_WORDS],))
        records = nb.carray(words_at(d[RECORDS]), (d[RECORDS_WORDS],))
        arena = nb.carray(words_at(d[ARENA]), (d[ARENA_WORDS],))
        arena_float = nb.carray(floats_at(d[ARENA]), (d[ARENA_WORDS],))
        pair_table = nb.carray(words_at(d[PAIRS]), (d[PAIRS_WORDS],))
        meta = nb.carray(words_at(d[META]), (d[META_WORDS],))
        done = _run_shard(
            tracks, edges, measures, tallies, operations, divisors, table, records, arena, arena_float, pair_table,
            meta, d[RECORD_WORDS], d[READ_KEY], d[FEED_KEY], d[SHARD], d[SHARDS], kind_feeds, places, slots[0], slots[1], keys, kinds, times,
            decided, inputs, inputs_float, input_nulls, outputs, outputs_float, output_nulls, late, lateness,
        )
        if not done:
            return layout.STATUS_ARENA_FULL
    return layout.STATUS_DONE


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _run_shard(
    tracks: Words, edges: Words, measures: Words, tallies: Words, operations: Words, divisors: nb.float64[:],
    table: Words, records: Words, arena: Words, arena_float: nb.float64[:], pair_table: Words, meta: Words,
    record_words: np.int64, read_key: np.int64, feed_key: np.int64, shard: np.int64, shards: np.int64,
    kind_feeds: Bytes, places: Words, read_slots: Words, feed_slots: Words, keys: Words, kinds: nb.int16[:], times: Words, decided: Words, inputs: Words,
    inputs_float: nb.float64[:, :], input_nulls: Bytes, outputs: Words, outputs_float: nb.float64[:, :],
    output_nulls: Bytes, late: Bytes, lateness: np.int64,
) -> bool:
    n = times.shape[0]
    same_key = read_key == feed_key
    kind_feeds[:] = 0
    for track in range(tracks.shape[0]):
        kind_feeds[tracks[track, layout.TRACK_KIND]] = 1
    table_mask = (table.shape[0] >> 1) - 1
    for step in range(n + _AHEAD_INDEX):
        if step < n:
            prefetch(table, 2 * (keys[read_key, step] & table_mask))
            if not same_key:
                prefetch(table, 2 * (keys[feed_key, step] & table_mask))
        ahead = step - (_AHEAD_INDEX - _AHEAD_RECORD)
        if 0 <= ahead < n:
            read_slots[ahead] = _look_up(
                table, records, record_words, keys[read_key, ahead], shard, shards,
                decided[ahead] >= 0 or (same_key and kind_feeds[kinds[ahead]] == 1),
            )
            if same_key:
                feed_slots[ahead] = read_slots[ahead]
            else:
                feed_slots[ahead] = _look_up(
                    table, records, record_words, keys[feed_key, ahead], shard, shards, kind_feeds[kinds[ahead]] == 1
                )
        ahead = step - (_AHEAD_INDEX - _AHEAD_RINGS)
        if 0 <= ahead < n:
            if read_slots[ahead] >= 0:
                _prefetch_rings(
                    tracks, measures, tallies, records, arena, pair_table, read_slots[ahead], record_words, inputs,
                    ahead,
                )
            if not same_key and feed_slots[ahead] >= 0:
                _prefetch_rings(
                    tracks, measures, tallies, records, arena, pair_table, feed_slots[ahead], record_words, inputs,
                    ahead,
                )
        row = step - _AHEAD_INDEX
        if row < 0:
            continue
        read_slot = read_slots[row]
        feed_slot = feed_slots[row]
        time = times[row]
        kind = np.int64(kinds[row])
        column = decided[row]
        if read_slot == _ABSENT:
            read_slot = _slot(table, records, meta, record_words, keys[read_key, row])
        if same_key:
            feed_slot = read_slot
        elif feed_slot == _ABSENT:
            feed_slot = _slot(table, records, meta, record_words, keys[feed_key, row])
        record = read_slot * record_words
        if read_slot >= 0:
            effective = _move_clock(records, record, time, lateness)
            if effective != time and column >= 0:
                late[column] = 1
            time = effective
        for phase in range(2):
            # First what leaves the event itself out, then the event enters, then everything else.
            if phase == 1 and feed_slot >= 0 and kind_feeds[kind] == 1:
                feed_record = feed_slot * record_words
                if not same_key:
                    time = _move_clock(records, feed_record, times[row], lateness)
                for track in range(tracks.shape[0]):
                    if tracks[track, layout.TRACK_KIND] != kind:
                        continue
                    mask = tracks[track, layout.TRACK_MASK]
                    if mask >= 0 and (input_nulls[mask, row] != 0 or inputs[mask, row] == 0):
                        continue
                    if not insert(
                        arena, arena_float, pair_table, meta, tracks, track, measures, tallies, records, feed_record,
                        feed_slot, inputs, inputs_float, input_nulls, row, time,
                    ):
                        return False
            if column < 0 or read_slot < 0:
                continue
            if phase == 1 and not same_key:
                time = _move_clock(records, record, times[row], lateness)
            for track in range(tracks.shape[0]):
                start = tracks[track, layout.TRACK_OPERATIONS_PRIOR + 2 * phase]
                count = tracks[track, layout.TRACK_OPERATION_COUNT_PRIOR + 2 * phase]
                if count > 0:
                    _answer(
                        tracks, edges, measures, tallies, operations, divisors, records, arena, arena_float,
                        pair_table, meta, track, start, start + count, record, read_slot, time, inputs, inputs_float,
                        input_nulls, row, outputs, outputs_float, output_nulls, column, places,
                    )
    return True


_ABSENT = -1
_FOREIGN = -2


@nb.njit(inline="always")
def _look_up(
    table: Words, records: Words, record_words: np.int64, key: np.int64, shard: np.int64, shards: np.int64,
    wanted: bool,
) -> np.int64:
    """Return a key's slot: ``_ABSENT`` where it has none yet, ``_FOREIGN`` where this shard has nothing to do."""
    if key == 0 or not wanted or (shards > 1 and shard_of(key, shards) != shard):
        return np.int64(_FOREIGN)
    slot = index.find(table, key)
    if slot >= 0:
        for word in range(0, record_words, 8):
            prefetch(records, slot * record_words + word)
    return slot


@nb.njit(inline="always")
def _move_clock(records: Words, record: np.int64, time: np.int64, lateness: np.int64) -> np.int64:
    """Move an entity's clock on, and return the time as of which an event counts and is judged.

    That is its own time; where it is older than the lateness allows, the oldest time allowed. So whatever comes, no
    answer needs an entry that was trimmed.
    """
    clock = records[record]
    if time >= clock:
        records[record] = time
        return time
    return max(time, clock - lateness)


@nb.njit(inline="always")
def _slot(table: Words, records: Words, meta: Words, record_words: np.int64, key: np.int64) -> np.int64:
    """Return a key's slot and make it where it is not there yet."""
    slot = index.find(table, key)
    if slot < 0:
        slot = meta[layout.META_ENTITIES]
        meta[layout.META_ENTITIES] = slot + 1
        index.insert(table, key, slot)
        records[slot * record_words] = layout.TIME_NONE
    return slot


@nb.njit(inline="always")
def _prefetch_rings(
    tracks: Words, measures: Words, tallies: Words, records: Words, arena: Words, pair_table: Words, slot: np.int64,
    record_words: np.int64, inputs: Words, row: np.int64,
) -> None:
    record = slot * record_words
    for track in range(tracks.shape[0]):
        part = record + tracks[track, layout.TRACK_RECORD]
        ring = records[part + layout.RING]
        if ring == 0:
            continue
        address = ring >> layout.RING_SHIFT
        mask = (1 << (ring & ((1 << layout.RING_SHIFT) - 1))) - 1
        stride = tracks[track, layout.TRACK_STRIDE]
        head = entry(address, mask, stride, records[part + layout.HEAD])
        prefetch(arena, head)
        prefetch(arena, head - 1)
        for edge in range(tracks[track, layout.TRACK_EDGE_COUNT]):
            prefetch(arena, entry(address, mask, stride, records[part + layout.PLACES + edge]))
        if tracks[track, layout.TRACK_TALLY_COUNT] > 0:
            first = tracks[track, layout.TRACK_MEASURES]
            for measure in range(first, first + tracks[track, layout.TRACK_MEASURE_COUNT]):
                pair = measures[measure, layout.MEASURE_PAIR]
                if pair >= 0:
                    value = inputs[measures[measure, layout.MEASURE_INPUT], row]
                    place = pairs.place_of(pairs.owner_of(slot, pair), value, (pair_table.shape[0] >> 2) - 1)
                    prefetch(pair_table, 4 * place)
            first = tracks[track, layout.TRACK_TALLIES]
            for tally in range(first, first + tracks[track, layout.TRACK_TALLY_COUNT]):
                pair = tallies[tally, layout.TALLY_PAIR]
                if pair >= 0:
                    value = inputs[measures[tallies[tally, layout.TALLY_MEASURE], layout.MEASURE_INPUT], row]
                    place = pairs.place_of(pairs.owner_of(slot, pair), value, (pair_table.shape[0] >> 2) - 1)
                    prefetch(pair_table, 4 * place)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _answer(
    tracks: Words, edges: Words, measures: Words, tallies: Words, operations: Words, divisors: nb.float64[:],
    records: Words, arena: Words, arena_float: nb.float64[:], pair_table: Words, meta: Words, track: np.int64,
    first: np.int64, last: np.int64, record: np.int64, slot: np.int64, time: np.int64,
    inputs: Words, inputs_float: nb.float64[:, :], input_nulls: Bytes, row: np.int64, outputs: Words,
    outputs_float: nb.float64[:, :], output_nulls: Bytes, column: np.int64, places: Words,
) -> None:
    """Answer some of a track's operations as of one event."""
    part = record + tracks[track, layout.TRACK_RECORD]
    ring = records[part + layout.RING]
    if ring == 0:
        _answer_nothing(operations, first, last, outputs, output_nulls, column, input_nulls)
        return
    stride = tracks[track, layout.TRACK_STRIDE]
    address = ring >> layout.RING_SHIFT
    mask = (1 << (ring & ((1 << layout.RING_SHIFT) - 1))) - 1
    floor = records[part + layout.FLOOR]
    head = records[part + layout.HEAD]
    resolution = tracks[track, layout.TRACK_RESOLUTION]
    if resolution > 0:
        time -= time % resolution
    newest = arena[entry(address, mask, stride, head - 1)]
    now = head
    if newest > time:
        now = bound(arena, address, mask, stride, head, floor + 1, head, time)
    edge_first = tracks[track, layout.TRACK_EDGES]
    for edge in range(tracks[track, layout.TRACK_EDGE_COUNT]):
        place = bound(
            arena, address, mask, stride, records[part + layout.PLACES + edge], floor + 1, now,
            time - edges[edge_first + edge],
        )
        records[part + layout.PLACES + edge] = place
        places[edge] = place
    for operation in range(first, last):
        code = operations[operation, layout.OPERATION_CODE]
        output = operations[operation, layout.OPERATION_OUTPUT]
        word = operations[operation, layout.OPERATION_WORD]
        high_edge = operations[operation, layout.OPERATION_HIGH]
        low_edge = operations[operation, layout.OPERATION_LOW]
        high = now if high_edge < 0 else places[high_edge]
        low = np.int64(1) if low_edge < 0 else places[low_edge]
        high_at = entry(address, mask, stride, high - 1)
        # A window over the whole past begins at the entry before the beginning, whose totals are zero.
        low_at = np.int64(0) if low_edge < 0 else entry(address, mask, stride, low - 1)
        if code == layout.COUNT_ROWS:
            outputs[output, column] = high - low
            output_nulls[output, column] = 0
            continue
        if code <= layout.SHARE:
            count_word = operations[operation, layout.OPERATION_COUNT_WORD]
            count = high - low if count_word < 0 else count_total(arena, high_at, low_at, count_word)
            _answer_additive(
                code, arena, high_at, low_at, word, operations[operation, layout.OPERATION_SQUARE_WORD], count,
                divisors[operation], outputs, outputs_float, output_nulls, output, column,
            )
            continue
        if code == layout.EXTREME:
            if high > low:
                flags = operations[operation, layout.OPERATION_TALLY]
                value = extreme(
                    arena, address, mask + 1, stride, word, operations[operation, layout.OPERATION_BLOCK],
                    flags & 1 == 1, flags & 2 == 2, low, high,
                )
                if value != layout.NULL:
                    outputs[output, column] = value
                    output_nulls[output, column] = 0
        elif code == layout.RUNNING_EXTREME:
            if arena[high_at + word + 1] != 0:
                outputs[output, column] = arena[high_at + word]
                output_nulls[output, column] = 0
        elif code == layout.AGE:
            seen = records[part + layout.FIRST]
            if seen <= time:
                outputs[output, column] = time - seen
                output_nulls[output, column] = 0
        elif code == layout.DISTINCT_LIFETIME:
            outputs[output, column] = arena[high_at + word]
            output_nulls[output, column] = 0
        elif code == layout.DISTINCT:
            _answer_distinct(
                tracks, track, measures, tallies, operations, operation, records, record, slot, arena, pair_table,
                meta, address, mask, stride, low, high, head, floor,
                time if high_edge < 0 else time - edges[edge_first + high_edge], outputs, output_nulls, column,
            )
        elif code == layout.FREQUENCY:
            _answer_frequency(
                tracks, track, measures, tallies, operations, operation, records, record, slot, arena, pair_table,
                meta, address, mask, stride, low, high, head, floor, inputs, input_nulls, row, outputs_float,
                output_nulls, column,
            )
        elif arena[high_at] != layout.TIME_NONE:
            _answer_latest(
                code, arena, arena_float, high_at, word, operations, operation, time, inputs_float, input_nulls, row,
                outputs, outputs_float, output_nulls, output, column,
            )


@nb.njit(inline="always")
def _answer_nothing(
    operations: Words, first: np.int64, last: np.int64, outputs: Words, output_nulls: Bytes, column: np.int64,
    input_nulls: Bytes,  # noqa: ARG001
) -> None:
    """Answer for an entity that has no such event yet: counts are 0, everything else stays null."""
    for operation in range(first, last):
        code = operations[operation, layout.OPERATION_CODE]
        if code <= layout.COUNT_TOTAL or code == layout.DISTINCT or code == layout.DISTINCT_LIFETIME:
            output = operations[operation, layout.OPERATION_OUTPUT]
            outputs[output, column] = 0
            output_nulls[output, column] = 0


@nb.njit(inline="always")
def _answer_additive(
    code: np.int64, arena: Words, high_at: np.int64, low_at: np.int64, word: np.int64, square: np.int64,
    count: np.int64, divisor: np.float64, outputs: Words, outputs_float: nb.float64[:, :], output_nulls: Bytes,
    output: np.int64, column: np.int64,
) -> None:
    """Answer from the differences of running totals."""
    if code == layout.COUNT_TOTAL:
        outputs[output, column] = count_total(arena, high_at, low_at, word)
        output_nulls[output, column] = 0
        return
    if count == 0 or (count == 1 and (code == layout.STD_INTEGER or code == layout.STD_FLOAT)):
        return
    output_nulls[output, column] = 0
    if code == layout.SUM_INTEGER:
        outputs[output, column] = count_total(arena, high_at, low_at, word)
    elif code == layout.MEAN_INTEGER:
        outputs_float[output, column] = mean_integer(arena, high_at, low_at, word, count, divisor)
    elif code == layout.SHARE:
        outputs_float[output, column] = mean_integer(arena, high_at, low_at, word, count, 1.0)
    elif code == layout.STD_INTEGER:
        outputs_float[output, column] = std_integer(arena, high_at, low_at, word, square, count, divisor)
    elif code == layout.SUM_FLOAT:
        outputs_float[output, column] = sum_float(arena, high_at, low_at, word)
    elif code == layout.MEAN_FLOAT:
        outputs_float[output, column] = mean_float(arena, high_at, low_at, word, count)
    else:
        outputs_float[output, column] = std_float(arena, high_at, low_at, word, square, count)


@nb.njit(inline="always")
def _answer_latest(
    code: np.int64, arena: Words, arena_float: nb.float64[:], high_at: np.int64, word: np.int64, operations: Words,
    operation: np.int64, time: np.int64, inputs_float: nb.float64[:, :], input_nulls: Bytes, row: np.int64,
    outputs: Words, outputs_float: nb.float64[:, :], output_nulls: Bytes, output: np.int64, column: np.int64,
) -> None:
    """Answer from the latest entry."""
    if code == layout.LAST:
        outputs[output, column] = arena[high_at + word]
        output_nulls[output, column] = 0
        return
    if code == layout.TIME_SINCE:
        outputs[output, column] = time - arena[high_at]
        output_nulls[output, column] = 0
        return
    latitude = operations[operation, layout.OPERATION_FIRST_INPUT]
    longitude = operations[operation, layout.OPERATION_SECOND_INPUT]
    if input_nulls[latitude, row] != 0 or input_nulls[longitude, row] != 0:
        return
    distance = great_circle(
        arena_float[high_at + word],
        arena_float[high_at + operations[operation, layout.OPERATION_COUNT_WORD]],
        inputs_float[latitude, row],
        inputs_float[longitude, row],
    )
    output_nulls[output, column] = 0
    if code == layout.DISTANCE:
        outputs_float[output, column] = distance
    else:
        outputs_float[output, column] = kilometres_an_hour(distance, time - arena[high_at])


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _move_tally(
    measures: Words, tallies: Words, tally: np.int64, records: Words, record: np.int64, slot: np.int64, arena: Words,
    pair_table: Words, meta: Words, address: np.int64, mask: np.int64, stride: np.int64, low: np.int64,
    floor: np.int64,
) -> None:
    """Move a tally's edge to where the window begins."""
    word = record + tallies[tally, layout.TALLY_RECORD]
    if records[word] == 0:
        records[word] = floor + 1
    while records[word] < low:
        at = entry(address, mask, stride, records[word])
        leave(arena, pair_table, meta, measures, tallies, tally, records, word, slot, at)
        records[word] += 1
    while records[word] > low:
        records[word] -= 1
        at = entry(address, mask, stride, records[word])
        enter(arena, pair_table, meta, measures, tallies, tally, records, word, slot, at)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _answer_distinct(
    tracks: Words, track: np.int64, measures: Words, tallies: Words, operations: Words, operation: np.int64,
    records: Words, record: np.int64, slot: np.int64, arena: Words, pair_table: Words, meta: Words,
    address: np.int64, mask: np.int64, stride: np.int64, low: np.int64, high: np.int64, head: np.int64,
    floor: np.int64, time: np.int64, outputs: Words, output_nulls: Bytes, column: np.int64,
) -> None:
    output = operations[operation, layout.OPERATION_OUTPUT]
    tally = operations[operation, layout.OPERATION_TALLY]
    output_nulls[output, column] = 0
    if high == head:
        _move_tally(
            measures, tallies, tally, records, record, slot, arena, pair_table, meta, address, mask, stride, low, floor
        )
        outputs[output, column] = records[record + tallies[tally, layout.TALLY_RECORD] + 1]
    else:
        outputs[output, column] = distinct_scan(
            arena, address, mask, stride, operations[operation, layout.OPERATION_WORD], low, high, time
        )


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _answer_frequency(
    tracks: Words, track: np.int64, measures: Words, tallies: Words, operations: Words, operation: np.int64,
    records: Words, record: np.int64, slot: np.int64, arena: Words, pair_table: Words, meta: Words,
    address: np.int64, mask: np.int64, stride: np.int64, low: np.int64, high: np.int64, head: np.int64,
    floor: np.int64, inputs: Words, input_nulls: Bytes, row: np.int64, outputs_float: nb.float64[:, :],
    output_nulls: Bytes, column: np.int64,
) -> None:
    source = operations[operation, layout.OPERATION_FIRST_INPUT]
    count_word = operations[operation, layout.OPERATION_COUNT_WORD]
    rows = high - low
    if count_word >= 0:
        low_at = np.int64(0) if low == 1 else entry(address, mask, stride, low - 1)
        rows = count_total(arena, entry(address, mask, stride, high - 1), low_at, count_word)
    if input_nulls[source, row] != 0 or rows <= 0:
        return
    output = operations[operation, layout.OPERATION_OUTPUT]
    tally = operations[operation, layout.OPERATION_TALLY]
    word = operations[operation, layout.OPERATION_WORD]
    value = inputs[source, row]
    lifetime = tallies[tally, layout.TALLY_LIFETIME] == 1
    count = np.int64(0)
    if lifetime or high == head:
        if not lifetime:
            _move_tally(
                measures, tallies, tally, records, record, slot, arena, pair_table, meta, address, mask, stride, low,
                floor,
            )
        place = pairs.locate(pair_table, pairs.owner_of(slot, tallies[tally, layout.TALLY_PAIR]), value)
        if pairs.present(pair_table, place):
            count = pairs.number(pair_table, place)
        if high < head:
            count -= occurrences(arena, address, mask, stride, word, high, head, value)
    else:
        count = occurrences(arena, address, mask, stride, word, low, high, value)
    outputs_float[output, column] = np.float64(count) / np.float64(rows)
    output_nulls[output, column] = 0
