"""Finding events that came before: the identities of a span of stream time, in one flat table.

Entry ``i`` is four words: identity (0 for empty), the stream's clock when it arrived, its position, and nothing. The
clock is the largest event time so far, so what is a duplicate depends on the events and their order alone.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.memory import reserve
from counterfoil.prefetch import prefetch

_CAPACITY_FIRST = 1 << 10
_FILL_MAX = 0.6
_AHEAD = 8
"""How many events ahead an entry is asked for."""


@nb.njit(nogil=True, cache=True)
def _mark(
    table: Words,
    meta: Words,
    identity: Words,
    time: Words,
    position: Words,
    span: int,
    duplicate: Bytes,
    first: Words,
) -> int:
    """Mark the events that repeat an identity within the span; return how many do."""
    mask = (table.shape[0] >> 2) - 1
    clock = meta[0]
    found = 0
    for row in range(identity.shape[0]):
        if row + _AHEAD < identity.shape[0]:
            prefetch(table, 4 * (identity[row + _AHEAD] & mask))
        key = identity[row]
        if key != 0:
            place = key & mask
            while table[4 * place] != 0 and table[4 * place] != key:
                place = (place + 1) & mask
            if table[4 * place] == key and clock - table[4 * place + 1] <= span:
                duplicate[row] = 1
                first[row] = table[4 * place + 2]
                found += 1
                continue
            if table[4 * place] == 0:
                meta[1] += 1
            table[4 * place] = key
            table[4 * place + 1] = max(clock, time[row])
            table[4 * place + 2] = position[row]
        clock = max(clock, time[row])
    meta[0] = clock
    return found


@nb.njit(nogil=True, cache=True)
def _copy_live(old: Words, new: Words, oldest: int) -> int:
    mask = (new.shape[0] >> 2) - 1
    live = 0
    for entry in range(old.shape[0] >> 2):
        if old[4 * entry] != 0 and old[4 * entry + 1] >= oldest:
            place = old[4 * entry] & mask
            while new[4 * place] != 0:
                place = (place + 1) & mask
            new[4 * place : 4 * place + 4] = old[4 * entry : 4 * entry + 4]
            live += 1
    return live


class Duplicates:
    """Which identities were seen within a span.

    Parameters
    ----------
    span
        Microseconds of stream time; 0 to let everything through.
    """

    def __init__(self, span: int) -> None:
        self._span = span
        self._table = np.zeros(4 * _CAPACITY_FIRST, np.int64)
        self._meta = np.array([np.iinfo(np.int64).min // 2, 0], np.int64)

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
        found = _mark(self._table, self._meta, batch.identity, batch.time, batch.position, self._span, duplicate, first)
        return (duplicate, first) if found else None

    def _make_room(self, events: int) -> None:
        capacity = len(self._table) // 4
        if int(self._meta[1]) + events <= capacity * _FILL_MAX:
            return
        oldest = int(self._meta[0]) - self._span
        live = int(np.count_nonzero((self._table[::4] != 0) & (self._table[1::4] >= oldest)))
        # Room for twice what lives: the next cleaning is then as far away as this one was costly.
        while 2 * live + events > capacity * _FILL_MAX:
            capacity *= 2
        fresh = reserve(4 * capacity, dense=True)
        self._meta[1] = _copy_live(self._table, fresh, oldest)
        self._table = fresh

    def snapshot(self) -> dict[str, Words]:
        """Return the state as named arrays."""
        return {"table": self._table, "meta": self._meta}

    def restore(self, table: Words, meta: Words) -> None:
        """Take over what ``snapshot`` gave."""
        self._table = reserve(len(table), dense=True)
        self._table[:] = table
        self._meta = np.array(meta, np.int64)
