from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.events.batch import Words
from counterfoil.features import index

# Every other one belongs at the end of the table: they fall on one another, and around to its beginning.
_EMPTY = np.zeros(2 * index.CAPACITY_FIRST, np.int64)
_AT_THE_END = [key for key in range(1, 30_000) if index.place_of(_EMPTY, np.int64(key)) > len(_EMPTY) - 8]
keys = st.one_of(st.integers(-(1 << 62), 1 << 62), st.sampled_from(_AT_THE_END))


def table_of(known: dict[int, int]) -> Words:
    table = index.with_room(np.zeros(2 * index.CAPACITY_FIRST, np.int64), 0, len(known))
    for key, record in known.items():
        index.insert(table, np.int64(key), np.int64(record))
    return table


@settings(max_examples=30)
@given(st.lists(keys.filter(bool), unique=True, max_size=80), keys.filter(bool))
def test_finds_what_was_inserted_and_nothing_else(known: list[int], other: int) -> None:
    records = {key: record for record, key in enumerate(known)}
    table = table_of(records)
    for key, record in records.items():
        assert index.find(table, np.int64(key)) == record
    assert index.find(table, np.int64(other)) == records.get(other, -1)


def test_keeps_everything_while_it_grows() -> None:
    random = np.random.default_rng(1)
    table = np.zeros(2 * index.CAPACITY_FIRST, np.int64)
    known = np.unique(random.integers(1, 1 << 62, 20_000))
    random.shuffle(known)
    for record, key in enumerate(known):
        table = index.with_room(table, record, 1)
        index.insert(table, key, np.int64(record))
    assert len(known) <= (len(table) >> 1) * index.FILL_MAX
    assert [index.find(table, key) for key in known[:2_000]] == list(range(2_000))


def test_takes_the_larger_table_that_is_ready() -> None:
    table = np.zeros(2 * index.CAPACITY_FIRST, np.int64)
    used = int(index.CAPACITY_FIRST * index.FILL_MAX)
    assert not index.is_nearly_full(table, used // 2)
    assert index.is_nearly_full(table, used - 1)
    for record in range(used):
        index.insert(table, np.int64(record + 1), np.int64(record))
    larger, other = np.zeros(2 * len(table), np.int64), np.zeros(8 * len(table), np.int64)
    assert index.with_room(table, used, 1, other) is not other
    assert index.with_room(table, used, 1, larger) is larger
    assert [index.find(larger, np.int64(record + 1)) for record in range(used)] == list(range(used))


def test_stays_where_there_is_room() -> None:
    table = np.zeros(2 * index.CAPACITY_FIRST, np.int64)
    room = int(index.CAPACITY_FIRST * index.FILL_MAX)
    assert index.with_room(table, 0, room) is table
    assert len(index.with_room(table, 0, room + 1)) == 2 * len(table)
