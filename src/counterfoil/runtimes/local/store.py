"""The state folder's database: journal, decision log, positions and counters, committed together.

One transaction carries a group of blocks, the input position that follows them, their decisions, alerts and dead
letters, and the counters. It is the commit record: whatever else is on disk (the output file, a snapshot) is made from
it and is corrected after it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from counterfoil.connectors.partitions import Partition, Spans
from counterfoil.errors import CorruptionError, StorageError
from counterfoil.runtimes.local import schema
from counterfoil.runtimes.local.alerts import merge_alert
from counterfoil.runtimes.local.failpoints import reach
from counterfoil.runtimes.local.identities import IdentityRuns
from counterfoil.runtimes.local.places import writing_to

DATABASE_NAME = "counterfoil.sqlite"
HEAD_NAME = "counterfoil.head"

Blob = bytes | bytearray | memoryview


def checksum(*parts: object) -> int:
    """Return the XXH3-64 of some values as a signed integer; bytes are taken as they are, others by their JSON."""
    digest = xxhash.xxh3_64()
    for part in parts:
        if isinstance(part, bytes | bytearray | memoryview):
            data: Blob = part
        else:
            # An integer's JSON, without asking for it: a header has seventeen of them.
            data = b"%d" % part if type(part) is int else json.dumps(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "little", signed=True)


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """A record that could not be decoded."""

    position: int
    reason: str
    detail: str
    bytes: bytes
    sealed: bool = False
    """Whether ``bytes`` is encrypted."""
    cut: bool = False
    """Whether only the beginning was kept."""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as the database holds it."""

    letter: int
    source: str
    position: int
    reason: str
    detail: str
    bytes: bytes
    sealed: bool
    cut: bool
    retried: bool


@dataclass(frozen=True, slots=True)
class Epoch:
    """A detector that decided blocks, from ``first_block`` on."""

    first_block: int
    version: str
    definition: str
    """Its content as JSON."""


@dataclass(frozen=True, slots=True)
class AlertUpdate:
    """A decision that opens or extends an alert."""

    alert: str
    position: int
    """Of the decision."""
    content: dict[str, Any]
    """What a person wants to know of the decision; ``counterfoil.runtimes.local.alerts`` makes it and merges it."""


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as the database holds it."""

    alert: str
    position: int
    """Of the decision that opened it."""
    block: int
    """The last block that changed it."""
    content: dict[str, Any]


@dataclass(slots=True)
class NewBlock:
    """What one batch adds to the log."""

    source: int
    events: int
    """Accepted events: everything but dead letters."""
    first_position: int
    next_position: int
    next_record: int
    """The record of the source to read next…"""
    next_offset: int
    """…and where it begins."""
    decided: int
    observed: int
    duplicates: int
    unknown_fields: int
    decided_at: int
    journal: Blob
    decisions: Blob
    identities: npt.NDArray[np.int64]
    """Id hash of each accepted event, 0 where it has none."""
    dead_letters: Sequence[NewDeadLetter] = ()
    alerts: Sequence[AlertUpdate] = ()
    retried: Sequence[int] = ()
    """Dead letters that this block retries."""
    spans: Spans | None = None
    """Where its records stood in the partitions of its source, where that has any."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block's line in the log."""

    block: int
    source: int
    first_sequence: int
    events: int
    first_position: int
    next_position: int
    next_record: int
    next_offset: int
    decided: int
    observed: int
    duplicates: int
    dead: int
    unknown_fields: int
    decided_at: int
    journal_checksum: int
    decisions_checksum: int
    chain: int

    def chained(self, previous: int) -> int:
        """Return the chain value that this header must carry after ``previous``."""
        return checksum(previous, *astuple(self)[:-1])


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters over the whole log."""

    blocks: int = 0
    received: int = 0
    decided: int = 0
    observed: int = 0
    duplicates: int = 0
    dead: int = 0
    alerts: int = 0
    chain: int = 0

    @property
    def events(self) -> int:
        """Accepted events: the sequence number of the next one."""
        return self.received - self.dead

    def check(self) -> None:
        """Hold the promise that nothing is lost: in = decided + observed + duplicates + dead.

        Raises
        ------
        CorruptionError
            If it does not hold.
        """
        if self.received != self.decided + self.observed + self.duplicates + self.dead:
            raise CorruptionError(
                f"counters do not add up: {self.received} received, {self.decided} decided + {self.observed} observed"
                f" + {self.duplicates} duplicates + {self.dead} dead letters"
            )


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A source, and where reading it goes on."""

    source: int
    name: str
    head_length: int
    """How many bytes at its beginning were fingerprinted."""
    head_checksum: int
    record: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """An output file, and up to where it is known to be on disk."""

    path: str
    features: bool
    first_block: int
    blocks: int
    """The file holds the decisions of the blocks ``first_block`` to ``blocks`` (excluded)…"""
    bytes: int = 0
    """…in this many bytes…"""
    tail_checksum: int = 0
    """…of which the last ones have this checksum."""


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """A snapshot: the state after ``blocks`` blocks."""

    blocks: int
    folder: str
    manifest: str


@dataclass(slots=True)
class Group:
    """What one transaction writes."""

    blocks: list[NewBlock] = field(default_factory=list)
    outputs: list[OutputRecord] = field(default_factory=list)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what SQLite says about a broken file into our own error."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise CorruptionError(f"{path}: the database is damaged: {error}; restore the folder from a copy") from error


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable: a new or renamed file is only there for good after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Store:
    """The database of one state folder.

    One thread writes at a time; readers in other processes open their own with ``read_only``.

    Parameters
    ----------
    folder
        The state folder; it exists.
    read_only
        For looking while a run goes on.

    Raises
    ------
    CorruptionError
        If the log is damaged.
    StorageError
        If it cannot be opened, or is of another program or format.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.folder = folder
        self.path = folder / DATABASE_NAME
        self.read_only = read_only
        if read_only and not self.path.exists():
            raise StorageError(f"{self.path}: does not exist; run a detector with this state folder first")
        with _damage(self.path):
            self._connection = self._connect()
            self._open()
        self._identities = IdentityRuns(self._connection)
        self._epochs: list[Epoch] = []
        self.totals = self._verified_totals()
        if not read_only:
            self._check_head()
            with writing_to(folder / HEAD_NAME):
                self._head = os.open(folder / HEAD_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._write_head()

    def close(self) -> None:
        """Close the database; everything committed is on disk already."""
        self._connection.close()
        if not self.read_only:
            os.close(self._head)

    # Opening ---------------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        if not self.read_only and not self.path.exists():
            # SQLite would make it readable to all; its write-ahead log takes over the mode of the database. One that is
            # there is not opened: closing it would drop the locks of every connection of this process.
            try:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError as error:
                reason = error.strerror or str(error)
                raise StorageError(f"{self.path}: cannot be written: {reason}; choose another state folder") from error
        mode = "ro" if self.read_only else "rwc"
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=10.0,
            cached_statements=64,
        )
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, schema.BLOB_BYTES_MAX)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA cache_size = -16384")
        return connection

    def _open(self) -> None:
        application = self._scalar("PRAGMA application_id")
        if application == 0 and not self.read_only and self._scalar("SELECT count(*) FROM sqlite_schema") == 0:
            self._create()
        elif application != schema.APPLICATION_ID:
            raise StorageError(f"{self.path}: is not a counterfoil database; choose another state folder")
        version = self._scalar("PRAGMA user_version")
        if version != schema.FORMAT_VERSION:
            raise StorageError(
                f"{self.path}: has format {version}, this program reads {schema.FORMAT_VERSION};"
                " use the program that wrote it"
            )
        if not self.read_only:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {schema.CHECKPOINT_PAGES}")
            self._connection.execute(f"PRAGMA journal_size_limit = {schema.CHECKPOINT_PAGES * schema.PAGE_SIZE}")

    def _create(self) -> None:
        reach("store.create.before")
        self._connection.execute(f"PRAGMA page_size = {schema.PAGE_SIZE}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(
            f"BEGIN IMMEDIATE; {schema.TABLES}"
            f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = {schema.FORMAT_VERSION}; COMMIT;"
        )
        sync_folder(self.folder)
        reach("store.create.after")

    def _verified_totals(self) -> Totals:
        """Return the counters after holding them against the chain of all blocks."""
        with _damage(self.path):
            row = self._connection.execute("SELECT * FROM totals").fetchone()
            totals = Totals() if row is None else Totals(*row[1:-1])
            if row is not None and row[-1] != checksum(*astuple(totals)):
                raise CorruptionError(f"{self.path}: the counters' checksum does not fit")
            chain, sums = 0, np.zeros(5, np.int64)
            expected = 0
            for header in self.headers(0, totals.blocks):
                if header.block != expected or header.chain != header.chained(chain):
                    raise CorruptionError(f"{self.path}: block {expected} of the log is missing or damaged")
                chain, expected = header.chain, expected + 1
                sums += (header.events, header.decided, header.observed, header.duplicates, header.dead)
        counted = (totals.events, totals.decided, totals.observed, totals.duplicates, totals.dead)
        if expected != totals.blocks or chain != totals.chain or tuple(sums.tolist()) != counted:
            raise CorruptionError(f"{self.path}: the log does not fit its counters: blocks are missing at its end")
        totals.check()
        return totals

    # The head file: finds a write-ahead log that lost its end --------------------------------------------------------

    def _write_head(self) -> None:
        content = f"{self.totals.blocks} {self.totals.chain}"
        line = f"{content} {checksum(content)}\n".ljust(72).encode()
        reach("head.write.before")
        with writing_to(self.folder / HEAD_NAME):
            os.pwrite(self._head, line, 0)
        reach("head.write.after")

    def _check_head(self) -> None:
        """Compare with the head file, which follows each commit.

        SQLite takes a damaged frame of its write-ahead log for the log's end and drops silently what comes after. The
        head file remembers how far the log had come.
        """
        path = self.folder / HEAD_NAME
        if not path.exists():
            if self.totals.blocks:
                raise CorruptionError(f"{path}: is missing; restore the folder from a copy")
            return
        words = path.read_text("ascii", "replace").split()
        if not words and not self.totals.blocks:
            return
        if len(words) != 3 or words[2] != str(checksum(f"{words[0]} {words[1]}")):
            raise CorruptionError(f"{path}: is damaged; restore the folder from a copy")
        blocks, chain = int(words[0]), int(words[1])
        if blocks > self.totals.blocks:
            raise CorruptionError(
                f"{self.path}: the log ends at block {self.totals.blocks}, but {blocks} were committed;"
                " its write-ahead log is damaged: restore the folder from a copy"
            )
        if blocks:
            row = self._connection.execute("SELECT chain FROM blocks WHERE block = ?", (blocks - 1,)).fetchone()
            if row is None or row[0] != chain:
                raise CorruptionError(f"{path}: belongs to another log; restore the folder from a copy")

    # Writing ---------------------------------------------------------------------------------------------------------

    def commit(self, group: Group) -> Totals:
        """Write a group of blocks in one transaction; when this returns, they are durable.

        Returns
        -------
        The counters after it.
        """
        reach("commit.before")
        with self._transaction():
            totals = self.totals
            for block in group.blocks:
                totals = self._append(block, totals)
            totals.check()
            self._identities.merge()
            reach("commit.identities")
            for output in group.outputs:
                self._put_output(output)
            if group.blocks:
                row = (1, *astuple(totals), checksum(*astuple(totals)))
                self._connection.execute(f"INSERT OR REPLACE INTO totals VALUES ({_marks(len(row))})", row)
            reach("commit.counters")
        self.totals = totals
        reach("commit.after")
        if group.blocks:
            self._write_head()
        return totals

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _damage(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _append(self, block: NewBlock, totals: Totals) -> Totals:
        dead = len(block.dead_letters)
        assert block.events == block.decided + block.observed + block.duplicates
        header = Header(
            totals.blocks,
            block.source,
            totals.events,
            block.events,
            block.first_position,
            block.next_position,
            block.next_record,
            block.next_offset,
            block.decided,
            block.observed,
            block.duplicates,
            dead,
            block.unknown_fields,
            block.decided_at,
            checksum(block.journal),
            checksum(block.decisions),
            0,
        )
        chain = header.chained(totals.chain)
        row = (*astuple(header)[:-1], chain)
        self._connection.execute(f"INSERT INTO blocks VALUES ({_marks(len(row))})", row)
        self._connection.execute(
            "INSERT INTO contents VALUES (?, ?, ?)", (totals.blocks, block.journal, block.decisions)
        )
        reach("commit.blocks")
        if block.spans is not None:
            self._put_spans(totals.blocks, block.source, block.spans)
        self._identities.add(totals.blocks, totals.events, block.identities)
        self._put_dead_letters(totals.blocks, block)
        opened = self._put_alerts(totals.blocks, block.alerts)
        return Totals(
            totals.blocks + 1,
            totals.received + block.events + dead,
            totals.decided + block.decided,
            totals.observed + block.observed,
            totals.duplicates + block.duplicates,
            totals.dead + dead,
            totals.alerts + opened,
            chain,
        )

    def _put_spans(self, block: int, source: int, spans: Spans) -> None:
        """Record where a block's records stood, and up to where the log includes each partition."""
        data = spans.encode()
        self._connection.execute("INSERT INTO spans VALUES (?, ?, ?)", (block, data, checksum(block, data)))
        rows = [(source, *partition, offset) for partition, offset in spans.next_offsets().items()]
        self._connection.executemany(
            "INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?, ?)", [(*row, checksum(*row)) for row in rows]
        )

    def _put_alerts(self, block: int, updates: Sequence[AlertUpdate]) -> int:
        """Open and extend alerts; return how many were opened."""
        opened = 0
        changed: dict[str, StoredAlert] = {}
        for update in updates:
            known = changed.get(update.alert) or self.alert(update.alert)
            opened += known is None
            content = merge_alert(known.content if known else None, update.content)
            position = known.position if known else update.position
            changed[update.alert] = StoredAlert(update.alert, position, block, content)
        rows = [(each.alert, each.position, block, json.dumps(each.content)) for each in changed.values()]
        self._connection.executemany(
            "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?)", [(*row, checksum(*row)) for row in rows]
        )
        return opened

    def _put_dead_letters(self, block: int, new: NewBlock) -> None:
        rows = []
        for each in new.dead_letters:
            row = (block, new.source, each.position, each.reason, each.detail, each.bytes, int(each.sealed))
            rows.append((*row, int(each.cut), 0, checksum(*row, int(each.cut))))
        if rows:
            names = "block, source, position, reason, detail, bytes, sealed, cut, retried, checksum"
            self._connection.executemany(f"INSERT INTO dead_letters ({names}) VALUES ({_marks(10)})", rows)
        if new.retried:
            letters = [(letter,) for letter in new.retried]
            self._connection.executemany("UPDATE dead_letters SET retried = 1 WHERE letter = ?", letters)

    def _put_output(self, output: OutputRecord) -> None:
        row = astuple(output)
        self._connection.execute(f"INSERT OR REPLACE INTO outputs VALUES ({_marks(7)})", (*row, checksum(*row)))

    def trim_dead_letters(self, most: int) -> int:
        """Drop the oldest dead letters beyond ``most``; return how many went."""
        with self._transaction():
            have = self._scalar("SELECT count(*) FROM dead_letters")
            excess = max(0, have - most)
            if excess:
                oldest = "SELECT letter FROM dead_letters ORDER BY letter LIMIT ?"
                self._connection.execute(f"DELETE FROM dead_letters WHERE letter IN ({oldest})", (excess,))
        return excess

    def put_meta(self, values: dict[str, str]) -> None:
        """Write some facts about the folder."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)",
                [(name, value, checksum(name, value)) for name, value in values.items()],
            )

    def put_epoch(self, epoch: Epoch) -> None:
        """Record which detector decides from now on."""
        number = len(self.epochs())
        self._epochs = []
        self.put_meta({f"detector {number:06d}": json.dumps([epoch.first_block, epoch.version, epoch.definition])})

    def put_source(self, name: str, head_length: int, head_checksum: int) -> SourceRecord:
        """Register a source, or change the fingerprint of a known one."""
        known = self.source(name)
        with self._transaction():
            source = known.source if known else self._scalar("SELECT count(*) FROM sources")
            row = (source, name, head_length, head_checksum)
            self._connection.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?)", (*row, checksum(*row)))
        found = self.source(name)
        assert found is not None
        return found

    def put_snapshot(self, snapshot: SnapshotRecord) -> None:
        """Record a finished snapshot."""
        row = astuple(snapshot)
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", (*row, checksum(*row)))

    def remove_snapshot(self, blocks: int) -> None:
        """Forget a snapshot, before its files go."""
        with self._transaction():
            self._connection.execute("DELETE FROM snapshots WHERE blocks = ?", (blocks,))

    # Reading ---------------------------------------------------------------------------------------------------------

    def meta(self) -> dict[str, str]:
        """Return the facts about the folder."""
        with _damage(self.path):
            rows = self._connection.execute("SELECT name, value, checksum FROM meta").fetchall()
        for name, value, expected in rows:
            self._check(f"meta {name}", expected, name, value)
        return {name: value for name, value, _ in rows}

    def epochs(self) -> list[Epoch]:
        """Return the detectors that decided, oldest first."""
        rows = sorted((name, value) for name, value in self.meta().items() if name.startswith("detector "))
        return [Epoch(*json.loads(value)) for _, value in rows]

    def version_at(self, block: int) -> str:
        """Return the version of the detector that decided a block."""
        if not self._epochs:
            self._epochs = self.epochs()
        return next(epoch.version for epoch in reversed(self._epochs) if epoch.first_block <= block)

    def source(self, name: str) -> SourceRecord | None:
        """Return a source and where reading it goes on; None when it was never read."""
        with _damage(self.path):
            row = self._connection.execute("SELECT * FROM sources WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            self._check(f"source {name}", row[-1], *row[:-1])
            last = self._connection.execute(
                "SELECT next_record, next_offset FROM blocks WHERE source = ? ORDER BY block DESC LIMIT 1", (row[0],)
            ).fetchone()
        return SourceRecord(*row[:-1], *(last or (0, 0)))

    def source_names(self) -> dict[int, str]:
        """Return every source's name by its number."""
        with _damage(self.path):
            return dict(self._connection.execute("SELECT source, name FROM sources").fetchall())

    @property
    def next_position(self) -> int:
        """The position of the next record, whatever its source: no two records of a log have the same."""
        return self.header(self.totals.blocks - 1).next_position if self.totals.blocks else 0

    def first_block_of(self, source: int) -> int:
        """Return the first block of a source, or the block that comes next when it has none."""
        found = self._scalar("SELECT min(block) FROM blocks WHERE source = ?", (source,))
        return self.totals.blocks if found is None else int(found)

    def positions(self, source: int) -> dict[Partition, int]:
        """Return up to where the log includes each partition of a source."""
        with _damage(self.path):
            query = "SELECT * FROM partitions WHERE source = ? ORDER BY topic, partition"
            rows = self._connection.execute(query, (source,)).fetchall()
        for row in rows:
            self._check(f"partition {row[1]}/{row[2]}", row[-1], *row[:-1])
        return {(topic, partition): offset for _, topic, partition, offset, _ in rows}

    def spans(self, block: int) -> Spans | None:
        """Return where a block's records stood in partitions; None for a source that has none."""
        with _damage(self.path):
            row = self._connection.execute("SELECT spans, checksum FROM spans WHERE block = ?", (block,)).fetchone()
        if row is None:
            return None
        self._check(f"the positions of block {block}", row[1], block, row[0])
        return Spans.decode(row[0])

    def headers(self, start: int = 0, stop: int | None = None) -> Iterator[Header]:
        """Yield the headers of the blocks from ``start`` on."""
        columns = ", ".join(each.name for each in fields(Header))
        upper = self.totals.blocks if stop is None else stop
        query = f"SELECT {columns} FROM blocks WHERE block >= ? AND block < ? ORDER BY block"
        for row in self._connection.execute(query, (start, upper)):
            yield Header(*row)

    def header(self, block: int) -> Header:
        """Return one block's header."""
        return next(iter(self.headers(block, block + 1)))

    def journal(self, header: Header) -> bytes:
        """Return a block's journal, verified."""
        return self._content("journal", header.block, header.journal_checksum)

    def decisions(self, header: Header) -> bytes:
        """Return a block's decisions, verified."""
        return self._content("decisions", header.block, header.decisions_checksum)

    def _content(self, column: str, block: int, expected: int) -> bytes:
        with _damage(self.path):
            row = self._connection.execute(f"SELECT {column} FROM contents WHERE block = ?", (block,)).fetchone()
        if row is None:
            raise CorruptionError(f"{self.path}: block {block} has no {column}")
        self._check(f"the {column} of block {block}", expected, row[0])
        content: bytes = row[0]
        return content

    def block_at(self, sequence: int) -> Header:
        """Return the block that holds an event, by its sequence number."""
        block = self._scalar("SELECT max(block) FROM blocks WHERE first_sequence <= ? AND events > 0", (sequence,))
        return self.header(int(block))

    def block_at_position(self, position: int) -> Header | None:
        """Return the block whose input positions include ``position``."""
        found = self._scalar("SELECT max(block) FROM blocks WHERE first_position <= ?", (position,))
        header = None if found is None else self.header(int(found))
        return header if header is not None and position < header.next_position else None

    def find(self, identity: int) -> list[int]:
        """Return the sequence numbers of the events with an id hash, ascending."""
        with _damage(self.path):
            return self._identities.find(identity)

    def outputs(self) -> dict[str, OutputRecord]:
        """Return every output file by its path."""
        with _damage(self.path):
            rows = self._connection.execute("SELECT * FROM outputs").fetchall()
        found = {}
        for row in rows:
            record = OutputRecord(row[0], bool(row[1]), *row[2:-1])
            self._check(f"output {row[0]}", row[-1], *astuple(record))
            found[row[0]] = record
        return found

    def snapshots(self) -> list[SnapshotRecord]:
        """Return the snapshots, newest first; one whose record is damaged comes with an empty manifest."""
        with _damage(self.path):
            rows = self._connection.execute("SELECT * FROM snapshots ORDER BY blocks DESC").fetchall()
        return [SnapshotRecord(*(row[:3] if row[3] == checksum(*row[:3]) else (*row[:2], ""))) for row in rows]

    def alerts(self, first_block: int = 0) -> Iterator[StoredAlert]:
        """Yield the alerts that changed in ``first_block`` or later, in the order in which they were opened."""
        query = "SELECT * FROM alerts WHERE block >= ? ORDER BY position, alert"
        with _damage(self.path):
            for row in self._connection.execute(query, (first_block,)):
                yield self._alert(row)

    def alerts_of(self, block: int) -> Iterator[StoredAlert]:
        """Yield the alerts that a block was the last to change."""
        with _damage(self.path):
            for row in self._connection.execute("SELECT * FROM alerts WHERE block = ? ORDER BY position", (block,)):
                yield self._alert(row)

    def alert(self, alert: str) -> StoredAlert | None:
        """Return one alert."""
        with _damage(self.path):
            row = self._connection.execute("SELECT * FROM alerts WHERE alert = ?", (alert,)).fetchone()
        return None if row is None else self._alert(row)

    def _alert(self, row: tuple[Any, ...]) -> StoredAlert:
        self._check(f"alert {row[0]}", row[4], *row[:4])
        alert, position, block, content, _ = row
        return StoredAlert(alert, position, block, json.loads(content))

    def dead_letters(self, letter: int | None = None, block: int | None = None) -> Iterator[StoredDeadLetter]:
        """Yield the dead letters, oldest first; or only one, or those of one block."""
        names = self.source_names()
        query = "SELECT * FROM dead_letters WHERE ifnull(letter = ?1, 1) AND ifnull(block = ?2, 1) ORDER BY letter"
        with _damage(self.path):
            for row in self._connection.execute(query, (letter, block)):
                self._check(f"dead letter {row[0]}", row[-1], *row[1:9])
                number, _, source, position, reason, detail, data, sealed, cut, retried, _ = row
                flags = (bool(sealed), bool(cut), bool(retried))
                yield StoredDeadLetter(number, names.get(source, "?"), position, reason, detail, data, *flags)

    def refresh(self) -> Totals:
        """Read the counters again: for a reader that follows a run."""
        with _damage(self.path):
            row = self._connection.execute("SELECT * FROM totals").fetchone()
        if row is not None:
            self.totals = Totals(*row[1:-1])
        return self.totals

    def _check(self, what: str, expected: int, *parts: object) -> None:
        if expected != checksum(*parts):
            raise CorruptionError(f"{self.path}: the checksum of {what} does not fit; restore the folder from a copy")

    def _scalar(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        return self._connection.execute(query, parameters).fetchone()[0]


def _marks(count: int) -> str:
    return ", ".join("?" * count)
