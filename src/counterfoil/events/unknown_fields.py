"""Counting the fields that a detector does not know, by name, within a bound."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.words import PADDING, copy_bytes, equal_bytes, name_hash

UNKNOWN_NAMES_MAX = 1_000
"""How many names are told apart: a source that makes names up must not fill the memory."""
_NAME_BYTES_MAX = 64
_TABLE_SIZE = 4_096

COUNT_NAMES, COUNT_HEAP, COUNT_SEEN = range(3)


class UnknownFields(NamedTuple):
    """The unknown names met so far, and how often each stood in an event."""

    heap: Bytes
    start: Words
    length: Words
    counts: Words
    stamp: Words
    """The number of the record that last had the name."""
    table: Words
    """Open hash table of ``name_hash``: name + 1, or 0."""
    seen: Words
    """The names of the present record."""
    counters: Words
    """The ``COUNT_`` values."""

    @classmethod
    def empty(cls) -> UnknownFields:
        """Return room for ``UNKNOWN_NAMES_MAX`` names."""
        return cls(
            np.zeros(UNKNOWN_NAMES_MAX * _NAME_BYTES_MAX + PADDING, np.uint8),
            np.zeros(UNKNOWN_NAMES_MAX, np.int64),
            np.zeros(UNKNOWN_NAMES_MAX, np.int64),
            np.zeros(UNKNOWN_NAMES_MAX, np.int64),
            np.zeros(UNKNOWN_NAMES_MAX, np.int64),
            np.zeros(_TABLE_SIZE, np.int64),
            np.zeros(UNKNOWN_NAMES_MAX, np.int64),
            np.zeros(3, np.int64),
        )

    def take(self) -> dict[str, int]:
        """Return the counts by name and begin anew; the names stay known."""
        if not self.counters[COUNT_NAMES]:
            return {}
        found = np.flatnonzero(self.counts[: self.counters[COUNT_NAMES]])
        counts: dict[str, int] = {}
        for name in found.tolist():
            start = int(self.start[name])
            counts[bytes(self.heap[start : start + int(self.length[name])]).decode()] = int(self.counts[name])
        self.counts[found] = 0
        return counts


@nb.njit(nogil=True, cache=True, _nrt=False)
def find_unknown(unknown: UnknownFields, data: Bytes, start: int, length: int) -> int:
    """Return the number of a name, which is added when there is room; -1 where there is none."""
    if length > _NAME_BYTES_MAX:
        return -1
    place = name_hash(data, start, length) & (_TABLE_SIZE - 1)
    while unknown.table[place]:
        name = unknown.table[place] - 1
        if unknown.length[name] == length and equal_bytes(data, start, unknown.heap, unknown.start[name], length):
            return name
        place = (place + 1) & (_TABLE_SIZE - 1)
    name = unknown.counters[COUNT_NAMES]
    if name == UNKNOWN_NAMES_MAX:
        return -1
    at = unknown.counters[COUNT_HEAP]
    copy_bytes(data, start, length, unknown.heap, at)
    unknown.start[name] = at
    unknown.length[name] = length
    unknown.table[place] = name + 1
    unknown.counters[COUNT_NAMES] = name + 1
    unknown.counters[COUNT_HEAP] = at + length
    return name


@nb.njit(nogil=True, cache=True, _nrt=False)
def note_unknown(unknown: UnknownFields, name: int, record: int) -> bool:
    """Note a name of the present record; return whether the record has it already."""
    if name < 0:
        return False
    if unknown.stamp[name] == record:
        return True
    unknown.stamp[name] = record
    unknown.seen[unknown.counters[COUNT_SEEN]] = name
    unknown.counters[COUNT_SEEN] += 1
    return False


@nb.njit(nogil=True, cache=True, _nrt=False)
def count_unknown(unknown: UnknownFields) -> None:
    """Count the names of the present record, which became an event."""
    for index in range(unknown.counters[COUNT_SEEN]):
        unknown.counts[unknown.seen[index]] += 1
