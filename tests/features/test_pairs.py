from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.events.batch import Words
from counterfoil.features import pairs

# A table of 16 entries: chains that run into one another and around the end.
CAPACITY = 16
steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2), st.integers(1, 2), st.integers(-3, 3), st.integers(1, 9)), max_size=60
)


def numbers_of(table: Words, asked: set[tuple[int, int, int]]) -> dict[tuple[int, int, int], int]:
    found = {}
    for slot, measure, value in asked:
        place = pairs.locate(table, pairs.owner_of(np.int64(slot), np.int64(measure)), np.int64(value))
        if pairs.present(table, place):
            found[slot, measure, value] = int(pairs.number(table, place))
    return found


@settings(max_examples=50)
@given(steps)
def test_behaves_like_a_dictionary(script: list[tuple[bool, int, int, int, int]]) -> None:
    table = np.zeros(pairs.WORDS * CAPACITY, np.int64)
    expected: dict[tuple[int, int, int], int] = {}
    asked = {(slot, measure, value) for _, slot, measure, value, _ in script}
    for is_put, slot, measure, value, amount in script:
        owner = pairs.owner_of(np.int64(slot), np.int64(measure))
        place = pairs.locate(table, owner, np.int64(value))
        key = (slot, measure, value)
        assert pairs.present(table, place) == (key in expected)
        if is_put and (key in expected or len(expected) < CAPACITY - 1):
            pairs.put(table, place, owner, np.int64(value), np.int64(amount))
            expected[key] = amount
        elif not is_put and key in expected:
            pairs.remove(table, place)
            del expected[key]
        assert numbers_of(table, asked) == expected
    assert np.count_nonzero(table[:: pairs.WORDS]) == len(expected)


def test_keeps_everything_while_it_grows() -> None:
    table = np.zeros(pairs.WORDS * pairs.CAPACITY_FIRST, np.int64)
    for number in range(2_000):
        table = pairs.with_room(table, number, 1)
        owner = pairs.owner_of(np.int64(number % 7), np.int64(1))
        value = np.int64(number * 2_654_435_761)
        pairs.put(table, pairs.locate(table, owner, value), owner, value, np.int64(number))
    asked = {(number % 7, 1, number * 2_654_435_761) for number in range(2_000)}
    assert sorted(numbers_of(table, asked).values()) == list(range(2_000))


def test_an_owner_is_never_the_empty_mark() -> None:
    assert pairs.owner_of(np.int64(0), np.int64(0)) != 0
    assert pairs.owner_of(np.int64(1), np.int64(0)) > pairs.owner_of(np.int64(0), np.int64(2_047))
