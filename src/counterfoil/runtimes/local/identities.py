"""Where in the log is the event with this id? Sorted runs of id hashes, merged as the log grows.

A row an event would be too slow (a B-tree insert at a random place for each), and one sorted run a block would make a
look-up read every block. So runs are merged, ``FAN_IN`` of a level into one of the next, until a run is large enough
to be final. Larger runs are cut into buckets by the hash's leading bits: a look-up reads one bucket of each run. For n
events that is at most ``2 n / RUN_ENTRIES + FAN_IN * levels`` reads of some 100 KB.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from counterfoil.errors import CorruptionError

FAN_IN = 16
"""Runs of one level that become one of the next."""
RUN_ENTRIES = 1 << 20
"""A run of half of this is final: a larger merge would hold up the commit in which it happens (1 M take 0.1 s)."""
BUCKETED_ENTRIES = 1 << 14
"""A run from this size on is cut into buckets."""
BUCKETS = 256
FINAL = 99
"""The level of runs that are merged no more."""

Entries = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """A sorted run: its number (that of its newest block), its level, and how many ids it holds."""

    run: int
    level: int
    entries: int

    @property
    def bucketed(self) -> bool:
        """Whether it is cut into buckets."""
        return self.entries >= BUCKETED_ENTRIES


class IdentityRuns:
    """The tables ``identity_runs`` and ``identities``; a row of the latter is a bucket: hashes, then sequences.

    Parameters
    ----------
    connection
        The database; its owner opens the transactions.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, block: int, first_sequence: int, identities: npt.NDArray[np.int64]) -> None:
        """Add a block's id hashes as a run; 0 means no id."""
        present = np.flatnonzero(identities)
        if len(present):
            hashes = identities[present]
            order = _order(hashes)
            self._write_run(block, 0, hashes[order], first_sequence + present[order])

    def merge(self) -> None:
        """Merge wherever enough runs of one level have come together."""
        levels: dict[int, list[Run]] = {}
        for run in self._runs():
            levels.setdefault(run.level, []).append(run)
        for level in sorted(levels):
            runs = levels[level]
            if level < FINAL and (len(runs) >= FAN_IN or sum(run.entries for run in runs) >= RUN_ENTRIES):
                merged = self._merge_runs(runs)
                levels.setdefault(merged.level, []).append(merged)

    def find(self, identity: int) -> list[int]:
        """Return the sequence numbers of all events with an id hash, ascending."""
        bucket = int(_bucket(np.array([identity], np.int64))[0])
        found: list[int] = []
        for run in self._runs():
            hashes, sequences = self._read(run.run, bucket if run.bucketed else 0)
            start, stop = np.searchsorted(hashes, identity, "left"), np.searchsorted(hashes, identity, "right")
            found.extend(int(sequence) for sequence in sequences[start:stop])
        return sorted(found)

    def _runs(self) -> list[Run]:
        rows = self._connection.execute("SELECT run, level, entries, checksum FROM identity_runs ORDER BY run")
        runs = []
        for run, level, entries, expected in rows:
            if expected != _checksum(run, level, entries):
                raise CorruptionError(f"the checksum of id run {run} does not fit; restore the folder from a copy")
            runs.append(Run(run, level, entries))
        return runs

    def _merge_runs(self, runs: list[Run]) -> Run:
        parts = []
        for run in runs:
            parts += [self._read(run.run, bucket) for bucket in range(BUCKETS if run.bucketed else 1)]
            self._connection.execute("DELETE FROM identities WHERE run = ?", (run.run,))
            self._connection.execute("DELETE FROM identity_runs WHERE run = ?", (run.run,))
        hashes = np.concatenate([part[0] for part in parts])
        sequences = np.concatenate([part[1] for part in parts])
        # Timsort finds the sorted runs and merges them; runs come oldest first, so equal hashes keep their order.
        order = np.argsort(hashes, kind="stable")
        return self._write_run(runs[-1].run, runs[0].level + 1, hashes[order], sequences[order])

    def _write_run(self, number: int, level: int, hashes: Entries, sequences: Entries) -> Run:
        run = Run(number, FINAL if 2 * len(hashes) >= RUN_ENTRIES else level, len(hashes))
        row = (run.run, run.level, run.entries)
        self._connection.execute("INSERT INTO identity_runs VALUES (?, ?, ?, ?)", (*row, _checksum(*row)))
        if not run.bucketed:
            self._write(number, 0, hashes, sequences)
            return run
        edges = np.searchsorted(_bucket(hashes), np.arange(BUCKETS + 1))
        for bucket in range(BUCKETS):
            part = slice(edges[bucket], edges[bucket + 1])
            self._write(number, bucket, hashes[part], sequences[part])
        return run

    def _read(self, run: int, bucket: int) -> tuple[Entries, Entries]:
        query = "SELECT entries, checksum FROM identities WHERE run = ? AND bucket = ?"
        row = self._connection.execute(query, (run, bucket)).fetchone()
        if row is None or row[1] != _checksum(run, bucket, row[0]):
            raise CorruptionError(f"id run {run}, bucket {bucket} is damaged; restore the folder from a copy")
        words = np.frombuffer(row[0], "<i8")
        return words[: len(words) // 2], words[len(words) // 2 :]

    def _write(self, run: int, bucket: int, hashes: Entries, sequences: Entries) -> None:
        entries = np.concatenate([hashes, sequences]).astype("<i8", copy=False).tobytes()
        row = (run, bucket, entries, _checksum(run, bucket, entries))
        self._connection.execute("INSERT INTO identities VALUES (?, ?, ?, ?)", row)


def _order(hashes: Entries) -> Entries:
    """Return the order of hashes, equal ones as they stand: those of a block differ, but for chance."""
    # NumPy sorts by AVX-512 where order among equals does not matter: 10 ns a hash instead of 65.
    order = np.argsort(hashes)
    ordered = hashes[order]
    return np.argsort(hashes, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order


def _bucket(hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return each hash's bucket; ascending hashes have ascending buckets."""
    return (hashes >> np.int64(56)) + np.int64(BUCKETS // 2)


def _checksum(*parts: int | bytes) -> int:
    digest = xxhash.xxh3_64()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else f"{part} ".encode())
    return int.from_bytes(digest.digest(), "little", signed=True)
