from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.errors import CounterfoilError, StorageError
from counterfoil.runtimes.local.log import StateLog
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.store import DATABASE_NAME, HEAD_NAME, Store
from tests.runtimes.sample import sample_config, sample_detector, sample_lines, write_lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a state of some blocks and two snapshots."""
    folder = tmp_path_factory.mktemp("store")
    source = write_lines(folder / "events.ndjson", sample_lines(200))
    config = sample_config(folder, source, batch_events=40, replay_seconds=0.0, snapshot_share=1.0)
    with LocalRuntime(config, sample_detector(), clock=lambda: 1_800_000_000_000_000) as runtime:
        runtime.run()
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder / "state", tmp_path / "state"))


def everything(state: Path) -> object:
    """Read everything that a person or a restart would."""
    with StateLog(state) as log:
        letters = [log.dead_letter(each.letter) for each in log.dead_letters()]
        alerts = [(each.alert, each.content) for each in log.alerts()]
        decisions = list(log.decisions())
        outputs = log.store.outputs()
        sources = [log.store.source(name) for name in log.store.source_names().values()]
        journals = [log.store.journal(header) for header in log.store.headers()]
        return letters, alerts, decisions, journals, log.store.find(17), outputs, sources


def change(state: Path, statement: str) -> None:
    connection = sqlite3.connect(state / DATABASE_NAME)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE blocks SET decided_at = decided_at + 1 WHERE block = 2",
        "UPDATE blocks SET next_offset = next_offset - 1 WHERE block = 4",
        "DELETE FROM blocks WHERE block = 1",
        "DELETE FROM blocks WHERE block = 4",
        "UPDATE blocks SET block = 9 WHERE block = 4",
        "UPDATE totals SET decided = decided + 1, received = received + 1",
        "DELETE FROM totals",
        "UPDATE contents SET journal = substr(journal, 1, length(journal) - 1)",
        "UPDATE contents SET decisions = zeroblob(length(decisions)) WHERE block = 3",
        "DELETE FROM contents WHERE block = 2",
        "UPDATE alerts SET content = replace(content, 'review', 'approve')",
        "UPDATE dead_letters SET bytes = x'00' WHERE letter = 1",
        "UPDATE outputs SET bytes = bytes - 1",
        "UPDATE sources SET head_length = head_length - 1",
        "UPDATE meta SET value = value || ' '",
        "PRAGMA user_version = 99",
        "PRAGMA application_id = 7",
    ],
)
def test_what_was_changed_is_not_believed(statement: str, copy: Path) -> None:
    change(copy, statement)
    with pytest.raises(StorageError):
        recovered_and_read(copy)


def recovered_and_read(state: Path) -> None:
    """Read all, and open it as a run does."""
    everything(state)
    Store(state).close()


def test_the_original_can_be_read(copy: Path) -> None:
    recovered_and_read(copy)


def test_flipped_bits_are_found_or_do_no_harm(folder: Path, copy: Path, tmp_path: Path) -> None:
    """Flip bits all over the database: each time it is refused, or nothing that is read differs."""
    expected = everything(folder / "state")
    original = (copy / DATABASE_NAME).read_bytes()
    draw = random.Random(3)
    refused = 0
    for _ in range(120):
        data = bytearray(original)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (copy / DATABASE_NAME).write_bytes(data)
        try:
            assert everything(copy) == expected
        except (CounterfoilError, sqlite3.DatabaseError):
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("size", [0, 1, 100, 40_000, 200_000])
def test_a_database_that_was_cut_is_refused(size: int, copy: Path) -> None:
    path = copy / DATABASE_NAME
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises((StorageError, sqlite3.DatabaseError)):
        recovered_and_read(copy)


def test_a_write_ahead_log_that_lost_its_end_is_refused(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "events.ndjson", sample_lines(200))
    config = sample_config(tmp_path, source, batch_events=40)
    state = tmp_path / "state"
    with LocalRuntime(config, sample_detector()) as runtime:
        runtime.run()
        # As a crash leaves it: nothing was moved from the write-ahead log into the database.
        crashed = Path(shutil.copytree(state, tmp_path / "crashed"))
    everything(crashed)
    wal = crashed / f"{DATABASE_NAME}-wal"
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 1
    wal.write_bytes(data)
    with pytest.raises(StorageError, match="were committed"):
        Store(crashed)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"9" + path.read_bytes()[1:]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is damaged"),
    ],
)
def test_a_damaged_head_is_refused(damage: Callable[[Path], object], message: str, copy: Path) -> None:
    damage(copy / HEAD_NAME)
    with pytest.raises(StorageError, match=message):
        Store(copy)


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE_NAME)
    connection.execute("CREATE TABLE theirs (a)")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="is not a counterfoil database"):
        Store(tmp_path)
    with pytest.raises(StorageError, match="does not exist"):
        Store(tmp_path / "nowhere", read_only=True)
