from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import CorruptionError
from counterfoil.runtimes.local import identities, schema
from counterfoil.runtimes.local.identities import IdentityRuns


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make runs merge, split into buckets and become final after a few entries."""
    monkeypatch.setattr(identities, "FAN_IN", 3)
    monkeypatch.setattr(identities, "RUN_ENTRIES", 40)
    monkeypatch.setattr(identities, "BUCKETED_ENTRIES", 10)


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema.TABLES)
    return connection


some_hashes = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63)]))


@pytest.mark.usefixtures("small_runs")
@given(st.lists(st.lists(some_hashes, max_size=12), max_size=30))
def test_every_event_is_found_by_its_id(blocks: list[list[int]]) -> None:
    connection = database()
    runs = IdentityRuns(connection)
    expected: dict[int, list[int]] = {}
    sequence = 0
    for number, block in enumerate(blocks):
        runs.add(number, sequence, np.array(block, np.int64))
        runs.merge()
        for each in block:
            if each:
                expected.setdefault(each, []).append(sequence)
            sequence += 1
    for each in [*expected, 0, 17]:
        assert runs.find(each) == expected.get(each, [])
    connection.close()


@pytest.mark.usefixtures("small_runs")
def test_a_look_up_reads_a_bounded_number_of_runs() -> None:
    connection = database()
    runs = IdentityRuns(connection)
    draw = np.random.default_rng(1)
    for number in range(300):
        runs.add(number, 4 * number, draw.integers(1, 2**62, 4))
        runs.merge()
    (count,) = connection.execute("SELECT count(*) FROM identity_runs").fetchone()
    assert count <= 2 * 1200 / 40 + 3 * 4
    connection.close()


@pytest.mark.parametrize("table", ["identities", "identity_runs"])
def test_damage_is_found(table: str) -> None:
    connection = database()
    runs = IdentityRuns(connection)
    runs.add(0, 0, np.array([5, 6], np.int64))
    change = "entries = entries + 1" if table == "identity_runs" else "entries = zeroblob(length(entries))"
    connection.execute(f"UPDATE {table} SET {change}")
    with pytest.raises(CorruptionError):
        runs.find(5)
    connection.close()
