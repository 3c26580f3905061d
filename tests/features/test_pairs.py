from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.features import layout, pairs
from counterfoil.features.views import State

RECORD = 8
"""Words of a record: two entities lie behind one another."""
RECORDS = layout.ARENA_START
"""Where the first begins."""

Key = tuple[int, int, int]
"""Entity, number of the measure, value."""


def state_of(arena_words: int = 1 << 16) -> State:
    arena = np.zeros(arena_words, np.int64)
    meta = np.zeros(layout.META_FREE, np.int64)
    meta[layout.META_ARENA] = RECORDS + 8 * RECORD
    return State(np.zeros(2, np.int64), arena, arena.view(np.float64), meta)


def record_of(entity: int) -> np.int64:
    return np.int64(RECORDS + entity * RECORD)


def at(state: State, key: Key) -> np.int64:
    entity, measure, value = key
    return pairs.locate(state, record_of(entity), np.int64(measure), np.int64(value))


def add(state: State, key: Key, amount: int) -> None:
    entity, measure, value = key
    pairs.add(state, record_of(entity), at(state, key), np.int64(measure), np.int64(value), np.int64(amount))


def remove(state: State, key: Key) -> None:
    pairs.remove(state, record_of(key[0]), at(state, key))


def numbers_of(state: State, asked: set[Key]) -> dict[Key, int]:
    places = {key: at(state, key) for key in asked}
    return {key: int(pairs.number(state, place)) for key, place in places.items() if pairs.present(state, place)}


steps = st.lists(
    st.tuples(st.booleans(), st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(-3, 3)), st.integers(1, 9)),
    max_size=80,
)


@settings(max_examples=50)
@given(steps)
def test_behaves_like_a_dictionary(script: list[tuple[bool, Key, int]]) -> None:
    state = state_of()
    expected: dict[Key, int] = {}
    asked = {key for _, key, _ in script}
    for is_put, key, amount in script:
        assert pairs.present(state, at(state, key)) == (key in expected)
        if is_put and key in expected:
            pairs.change(state, at(state, key), np.int64(amount))
            expected[key] = amount
        elif is_put:
            add(state, key, amount)
            expected[key] = amount
        elif key in expected:
            remove(state, key)
            del expected[key]
        assert numbers_of(state, asked) == expected
    assert state.meta[layout.META_FULL] == 0


def test_keeps_everything_while_it_grows() -> None:
    state = state_of()
    expected = {(number % 3, 1, number * 2_654_435_761): number for number in range(2_000)}
    for key, number in expected.items():
        add(state, key, number)
    assert numbers_of(state, set(expected)) == expected


def test_a_block_that_was_outgrown_is_used_again() -> None:
    state = state_of()
    for number in range(100):
        add(state, (0, 1, number), number)
    arena = int(state.meta[layout.META_ARENA])
    for number in range(40):
        add(state, (1, 1, number), number)
    assert state.meta[layout.META_ARENA] == arena
    assert numbers_of(state, {(1, 1, number) for number in range(40)}) == {(1, 1, each): each for each in range(40)}
    assert numbers_of(state, {(0, 1, number) for number in range(100)}) == {(0, 1, each): each for each in range(100)}


def test_a_full_arena_marks_the_shard_and_harms_nothing() -> None:
    state = state_of(RECORDS + 8 * RECORD + int(pairs.block_words(np.int64(pairs.FIRST))) + 3)
    for number in range(9):
        add(state, (0, 1, number), number)
    assert state.meta[layout.META_FULL] == 1
    assert numbers_of(state, {(0, 1, number) for number in range(9)}) == {(0, 1, each): each for each in range(3)}
