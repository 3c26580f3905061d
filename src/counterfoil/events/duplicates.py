"""Finding events that came before: the identities of a span of stream time.

The clock is the largest event time so far, so what is a duplicate depends on the events and their order alone. It never
goes back: identities lie in a log in the order of their arrival, three words each (identity, the clock when it arrived,
its position), and those that are too old are its beginning. A hash table of one word each leads to them: 32 bits of the
identity's hash, and the place in the log plus one (0 is empty).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.hash_table import home_of, tag_of
from counterfoil.memory import reserve
from counterfoil.prefetch import prefetch

_WORDS = 3
_CAPACITY_FIRST = 1 << 10
_SLOTS = 5, 3
"""Slots of the table for entries of the log: a share of three fifths is used at most."""
_AHEAD = 8
"""How many events ahead a slot is asked for."""
_PLACE_BITS = 32
_PLACE = (1 << _PLACE_BITS) - 1

# The counters.
_CLOCK = 0
_USED = 1
"""Entries of the log."""


@nb.njit(nogil=True, cache=True)
def _mark(
    slots: Words,
    log: Words,
    meta: Words,
    identity: Words,
    time: Words,
    position: Words,
    span: int,
    duplicate: Bytes,
    first: Words,
) -> int:
    """Mark the events that repeat an identity within the span; return how many do."""
    clock = meta[_CLOCK]
    used = meta[_USED]
    found = 0
    for row in range(identity.shape[0]):
        if row + _AHEAD < identity.shape[0]:
            prefetch(slots, home_of(tag_of(identity[row + _AHEAD]), slots.shape[0]))
        key = identity[row]
        if key != 0:
            tag = tag_of(key)
            slot = home_of(tag, slots.shape[0])
            entry = np.int64(-1)
            while slots[slot] != 0:
                word = np.uint64(slots[slot])
                if word >> np.uint64(_PLACE_BITS) == tag:
                    entry = _WORDS * (np.int64(word & np.uint64(_PLACE)) - 1)
                    if log[entry] == key:
                        break
                    entry = np.int64(-1)
                slot = slot + 1 if slot + 1 < slots.shape[0] else 0
            if entry >= 0 and clock - log[entry + 1] <= span:
                duplicate[row] = 1
                first[row] = log[entry + 2]
                found += 1
                continue
            log[_WORDS * used] = key
            log[_WORDS * used + 1] = max(clock, time[row])
            log[_WORDS * used + 2] = position[row]
            used += 1
            slots[slot] = np.int64((tag << np.uint64(_PLACE_BITS)) | np.uint64(used))
        clock = max(clock, time[row])
    meta[_CLOCK] = clock
    meta[_USED] = used
    return found


@nb.njit(nogil=True, cache=True)
def _enter_all(slots: Words, log: Words, used: int) -> None:
    """Lead to every entry of a log from an empty table."""
    for entry in range(used):
        if entry + _AHEAD < used:
            prefetch(slots, home_of(tag_of(log[_WORDS * (entry + _AHEAD)]), slots.shape[0]))
        tag = tag_of(log[_WORDS * entry])
        slot = home_of(tag, slots.shape[0])
        while slots[slot] != 0:
            slot = slot + 1 if slot + 1 < slots.shape[0] else 0
        slots[slot] = np.int64((tag << np.uint64(_PLACE_BITS)) | np.uint64(entry + 1))


class Duplicates:
    """Which identities were seen within a span.

    Parameters
    ----------
    span
        Microseconds of stream time; 0 to let everything through.
    """

    def __init__(self, span: int) -> None:
        self._span = span
        self._meta = np.array([np.iinfo(np.int64).min // 2, 0], np.int64)
        self._reserve(_CAPACITY_FIRST)

    def mark(self, batch: Batch) -> tuple[Bytes, Words] | None:
        """Return which events are duplicates, and the positions of those that they repeat; None where none is.

        Returns
        -------
        tuple or None
            (n,) uint8 and (n,) int64.
        """
        if self._span == 0 or len(batch) == 0:
            return None
        self._make_room(len(batch))
        duplicate = np.zeros(len(batch), np.uint8)
        first = np.zeros(len(batch), np.int64)
        found = _mark(
            self._slots, self._log, self._meta, batch.identity, batch.time, batch.position, self._span, duplicate, first
        )
        return (duplicate, first) if found else None

    def _reserve(self, capacity: int) -> None:
        """Make room for so many entries, and forget all that there are."""
        self._log = reserve(_WORDS * capacity)
        self._slots = reserve(capacity * _SLOTS[0] // _SLOTS[1], dense=True)

    def _make_room(self, events: int) -> None:
        capacity = len(self._log) // _WORDS
        if int(self._meta[_USED]) + events <= capacity:
            return
        live = self._live()
        # Room for twice what lives: the next cleaning is then as far away as this one was costly.
        wanted = capacity
        while 2 * len(live) // _WORDS + events > wanted:
            wanted *= 2
        self._take(live, wanted)

    def _live(self) -> Words:
        """Return the part of the log that is within the span: (3 x entries,)."""
        used = int(self._meta[_USED])
        clocks = self._log[1 : _WORDS * used : _WORDS]
        oldest = int(self._meta[_CLOCK]) - self._span
        return self._log[_WORDS * int(np.searchsorted(clocks, oldest)) : _WORDS * used]

    def _take(self, entries: Words, capacity: int) -> None:
        """Keep these entries and no others, with room for so many."""
        if capacity * _WORDS == len(self._log):
            self._log[: len(entries)] = entries
            self._slots[:] = 0
        else:
            self._reserve(capacity)
            self._log[: len(entries)] = entries
        self._meta[_USED] = len(entries) // _WORDS
        _enter_all(self._slots, self._log, int(self._meta[_USED]))

    def snapshot(self) -> dict[str, Words]:
        """Return the state as named arrays; the log is a view, valid until the next batch."""
        return {"log": self._live(), "clock": self._meta[:1]}

    def restore(self, log: Words, clock: Words) -> None:
        """Take over what ``snapshot`` gave."""
        self._meta[_CLOCK] = clock[0]
        capacity = len(self._log) // _WORDS
        while 2 * len(log) // _WORDS > capacity:
            capacity *= 2
        self._take(log, capacity)
