from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.events.batch import Words
from counterfoil.features import layout
from counterfoil.features.blocks import better, block_words, extreme, fold_block, rebuild_blocks

STRIDE = 3
ADDRESS = 7
LARGEST, FLOAT = 0, 1


def tables() -> tuple[Words, Words]:
    """Return a track whose entries hold a value for its maximum, and one (a float) for its minimum."""
    tracks = np.zeros((1, layout.TRACK_COLUMNS), np.int64)
    tracks[0, layout.TRACK_STRIDE] = STRIDE
    tracks[0, layout.TRACK_MEASURE_COUNT] = tracks[0, layout.TRACK_EXTREMES] = 2
    measures = np.full((2, layout.MEASURE_COLUMNS), -1, np.int64)
    for number, code in enumerate((layout.RAW_MAX, layout.RAW_MIN)):
        measures[number, layout.MEASURE_CODE] = code
        measures[number, layout.MEASURE_WORD] = 1 + number
        measures[number, layout.MEASURE_BLOCK] = number
        measures[number, layout.MEASURE_FLOAT] = number
    return tracks, measures


class Ring:
    """A ring of values with their blocks, filled past its end."""

    def __init__(self, capacity: int, values: Words) -> None:
        self.capacity = capacity
        self.arena = np.zeros(ADDRESS + capacity * STRIDE + int(block_words(2, capacity)), np.int64)
        self.tracks, self.measures = tables()
        self.values = values
        for sequence, value in enumerate(values):
            self.write(sequence, value)
            fold_block(self.arena, ADDRESS, capacity, STRIDE, self.tracks, 0, self.measures, sequence)

    def write(self, sequence: int, value: int) -> None:
        at = ADDRESS + (sequence & (self.capacity - 1)) * STRIDE
        self.arena[at + 1] = value
        self.arena.view(np.float64)[at + 2] = value / 3

    def extremes(self, low: int, high: int) -> tuple[int, float]:
        largest = extreme(self.arena, ADDRESS, self.capacity, STRIDE, 1, 0, True, False, low, high)
        smallest = extreme(self.arena, ADDRESS, self.capacity, STRIDE, 2, 1, False, True, low, high)
        return int(largest), float(np.array([smallest], np.int64).view(np.float64)[0])

    def check(self, random: np.random.Generator, times: int) -> None:
        oldest = max(len(self.values) - self.capacity, 0)
        for _ in range(times):
            low, high = np.sort(random.integers(oldest, len(self.values) + 1, 2)).tolist()
            if low < high:
                some = self.values[low:high]
                assert self.extremes(low, high) == (some.max(), some.min() / 3), (low, high)


@pytest.mark.parametrize("capacity", [4, 32, 64, 1_024, 4_096])
@pytest.mark.parametrize("turns", [0.6, 1, 2.7])
def test_any_window_of_a_ring(capacity: int, turns: float) -> None:
    random = np.random.default_rng(capacity)
    values = random.integers(-1_000_000, 1_000_000, round(turns * capacity))
    Ring(capacity, values).check(random, 60)


def test_a_rising_and_a_falling_ring() -> None:
    """The extreme is always at one end, where no whole block lies."""
    for values in (np.arange(9_000), np.arange(9_000, 0, -1)):
        Ring(4_096, values).check(np.random.default_rng(1), 60)


@settings(max_examples=20)
@given(st.integers(0, 4_095), st.integers(0, 2**32))
def test_a_late_entry_is_folded_in_anew(place: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    ring = Ring(4_096, random.integers(-1_000, 1_000, 4_095))
    ring.values = np.insert(ring.values, place, random.choice([-2_000, 2_000]))
    for sequence in range(place, 4_096):
        ring.write(sequence, ring.values[sequence])
    rebuild_blocks(ring.arena, ADDRESS, 4_096, STRIDE, ring.tracks, 0, ring.measures, place, 4_096)
    ring.check(random, 20)


def test_without_extremes_nothing_is_kept() -> None:
    assert block_words(0, 4_096) == 0
    tracks, measures = tables()
    tracks[0, layout.TRACK_EXTREMES] = 0
    rebuild_blocks(np.zeros(0, np.int64), 0, 4_096, STRIDE, tracks, 0, measures, 0, 4_096)


numbers = st.one_of(st.none(), st.floats(-1e9, 1e9).map(lambda each: each + 0.0))


@given(numbers, numbers)
def test_floats_are_compared_by_their_bits(one: float | None, other: float | None) -> None:
    first, second = (_word(each) for each in (one, other))
    if one is None or other is None:
        assert better(first, second, True, True) == (one is not None)
    else:
        assert better(first, second, True, True) == (one > other)
        assert better(first, second, False, True) == (one < other)


def _word(value: float | None) -> np.int64:
    return np.int64(layout.NULL) if value is None else np.array([value]).view(np.int64)[0]
