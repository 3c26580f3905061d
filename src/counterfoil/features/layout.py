"""How a stage's plan and state are laid out in flat arrays: the names of the columns that kernels index by.

A stage keeps, for each entity, a *record* (fixed words) and, for each of its *tracks*, a *ring*: the entity's events
of one kind in time order, as entries of fixed width in a growing ring buffer. Both lie in one *arena*, and an
entity's first rings right behind its record: every page that an event touches costs some 50 ns beyond the processor's
caches. An entry holds its time and running totals, so that any additive aggregate over any window is a difference of
two entries, and a window costs one remembered place (its *edge*), however long it is and however hot the key.

Record: ``[clock, values, track 0 …, tallies of track 0 …, track 1 …]``. A track's part is ``[ring, floor, head,
newest, first, edge places …]``:

- ring: address of the ring in the arena (shifted left by 6) and the binary logarithm of its capacity; 0 for none yet;
- floor: sequence number of the oldest entry kept. It stands for everything before: it is in no window itself;
- head: sequence number of the next entry; entry 0 is a sentinel before all time whose totals are zero;
- newest: the largest time ever seen, so that a track whose windows are all empty is answered without a look at its
  ring;
- first: the smallest, where a feature asks for it.

Nothing here is specific to a detector: one compiled kernel serves all.
"""

from __future__ import annotations

import numpy as np

TIME_NONE = np.iinfo(np.int64).min
"""Time of the sentinel: before every event."""
TIME_NEVER = np.iinfo(np.int64).max
NULL = np.iinfo(np.int64).min
"""A raw word that is null, and the next occurrence of a value that is: no value ever is this word (as a float it would
be the negative zero, which is stored as zero)."""

# Columns of the table of tracks.
TRACK_KIND = 0
TRACK_MASK = 1
"""Row of the inputs that must be true for an event to enter; -1 for every event of the kind."""
TRACK_STRIDE = 2
"""Words an entry."""
TRACK_RECORD = 3
"""Where the track's part of the record begins."""
TRACK_HORIZON = 4
"""Microseconds behind the newest entry that are kept for certain: longest window and delay, and the lateness."""
TRACK_EDGES = 5
TRACK_EDGE_COUNT = 6
TRACK_MEASURES = 7
TRACK_MEASURE_COUNT = 8
TRACK_RESOLUTION = 9
TRACK_EXTREMES = 10
"""How many of its measures keep extremes of blocks (for min and max over windows)."""
TRACK_TALLIES = 11
TRACK_TALLY_COUNT = 12
TRACK_OPERATIONS_PRIOR = 13
TRACK_OPERATION_COUNT_PRIOR = 14
TRACK_OPERATIONS = 15
TRACK_OPERATION_COUNT = 16
TRACK_WIDEST_PRIOR = 17
"""Microseconds before which no operation of the phase looks; -1 where one looks at the whole past."""
TRACK_WIDEST = 18
TRACK_TOTAL_WORDS = 19
"""Words of an entry, from its time on, that the next entry is made from: times and running totals come first."""
TRACK_FIRST = 20
"""Word of the record with the smallest time ever seen; -1 where no feature asks for it."""
TRACK_PLACES = 21
"""Word of the record with the first edge's place."""
TRACK_ASKED_PRIOR = 22
"""Bits of the edges that the operations of the phase ask for."""
TRACK_ASKED = 23
TRACK_REACH = 24
"""Microseconds before now within which an entry makes the ring be read; -1 where it always is."""
TRACK_COLUMNS = 25
ASKED_BITS = 62
"""Edges from this number on are always looked up."""

# Columns of the table of edges.
EDGE_OFFSET = 0
"""Microseconds before now."""
EDGE_WORDS = 1
"""Words, from its time on, that are read of the entry before the edge."""
EDGE_COLUMNS = 2

RECORD_VALUES = 1
"""Word of the record that says where the entity's block of values is, as a ring's word does; only where a stage keeps
values: see ``pairs.py``."""

# A track's part of a record.
RING = 0
FLOOR = 1
HEAD = 2
NEWEST = 3
PLACES = 4

RING_SHIFT = 6
RING_FIRST = 2
"""Binary logarithm of a ring's first capacity: the sentinel and three events."""

# Columns of the table of measures: the words an entry has beside its time.
MEASURE_CODE = 0
MEASURE_WORD = 1
"""Word within the entry."""
MEASURE_INPUT = 2
"""Row of the inputs that holds the value; -1 where only the mask counts."""
MEASURE_MASK = 3
"""Row of the inputs that must be true; -1 for always."""
MEASURE_FLOAT = 4
"""1 where the value is a float."""
MEASURE_PAIR = 5
"""Number of the measure among the entity's values; -1 where it keeps none."""
MEASURE_BLOCK = 6
"""Which of the track's extremes this is; -1 for none."""
MEASURE_COLUMNS = 7

ADD_INTEGER = 0
ADD_ONE = 1
ADD_FLOAT = 2
ADD_SQUARE_INTEGER = 3
ADD_SQUARE_FLOAT = 4
RAW = 5
RUNNING_MIN = 6
RUNNING_MAX = 7
RUNNING_DISTINCT = 8
VALUE_NEXT = 9
"""Two words: the value, and the time of its next occurrence."""
RAW_MIN = 10
"""A raw value that also keeps minima of blocks."""
RAW_MAX = 11

# Columns of the table of tallies: counts of values within one window, kept up to date with it.
TALLY_CODE = 0
TALLY_MEASURE = 1
TALLY_RECORD = 2
"""Word of the record: place of the window's edge; the number of values follows. 0 for the whole past."""
TALLY_PAIR = 3
TALLY_LIFETIME = 4
TALLY_COLUMNS = 5

TALLY_DISTINCT = 0
TALLY_FREQUENCY = 1

# Columns of the table of operations: one a feature.
OPERATION_CODE = 0
OPERATION_HIGH = 1
"""Edge where the window ends: ``EDGE_NOW``, or ``EDGES_ALWAYS`` and the number of the track's edge."""
OPERATION_LOW = 2
"""Edge where it begins: ``EDGE_BEGINNING``, or likewise."""
OPERATION_WORD = 3
OPERATION_COUNT_WORD = 4
"""Word with the running count of rows that have a value; -1 where every entry has one."""
OPERATION_SQUARE_WORD = 5
OPERATION_OUTPUT = 6
"""Row of the output."""
OPERATION_FIRST_INPUT = 7
OPERATION_SECOND_INPUT = 8
OPERATION_TALLY = 9
OPERATION_BLOCK = 10
OPERATION_COLUMNS = 11

VERSION = 2
"""Of how state lies in its arrays. It goes up with every change, so that no version reads the state of another."""

# The shard's own counters.
META_ENTITIES = 0
META_ARENA = 1
"""First free word of the arena."""
META_FULL = 2
"""1 where the arena had no room for a value: the state is no longer fit for use."""
META_VERSION = 3
"""``VERSION``."""
FREE_CAPACITIES = 48
META_VALUES_FREE = 8
"""Heads of the lists of freed blocks of values, by capacity."""
META_FREE = META_VALUES_FREE + FREE_CAPACITIES
"""Heads of the lists of freed rings, by capacity, for each track."""

ARENA_START = 64
"""The arena's first words stay zero: they are the entry before the beginning."""

STATUS_DONE = 0
STATUS_ARENA_FULL = 1

EDGE_BEGINNING = 0
EDGE_NOW = 1
EDGES_ALWAYS = 2
"""Edges that every track has; its own come behind."""

# Codes of operations: which kernel makes the feature.
COUNT_ROWS = 0
COUNT_TOTAL = 1
SUM_INTEGER = 2
SUM_FLOAT = 3
MEAN_INTEGER = 4
MEAN_FLOAT = 5
STD_INTEGER = 6
STD_FLOAT = 7
SHARE = 8
EXTREME = 9
"""Minimum or maximum over a window; the tally column says which: bit 0 largest, bit 1 float."""
RUNNING_EXTREME = 10
LAST = 11
TIME_SINCE = 12
AGE = 13
DISTANCE = 14
SPEED = 15
DISTINCT = 16
DISTINCT_LIFETIME = 17
FREQUENCY = 18
