from __future__ import annotations

import numba as nb
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.generators.draws import Lots, below, draw, draws, mix, subject_key, units

WORDS = st.integers(0, 2**64 - 1)


@nb.njit
def compiled_draw(key: np.uint64, counter: np.uint64) -> np.uint64:
    return draw(key, counter)


@nb.njit
def compiled_below(word: np.uint64, bound: int) -> int:
    return below(word, bound)


@nb.njit
def compiled_mix(word: np.uint64) -> np.uint64:
    return mix(word)


def slow_mix(word: int) -> int:
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


@given(WORDS, WORDS)
def test_kernel_array_and_slow_twin_draw_the_same(key: int, counter: int) -> None:
    expected = slow_mix((key + 0x9E3779B97F4A7C15 * (counter + 1)) % 2**64)
    assert compiled_draw(np.uint64(key), np.uint64(counter)) == expected
    assert draws(np.uint64(key), np.array([counter], np.uint64))[0] == expected


@given(WORDS, st.integers(1, 2**31))
def test_below_stays_below(word: int, bound: int) -> None:
    assert compiled_below(np.uint64(word), bound) == (word >> 32) * bound >> 32 < bound


def test_splitmix_reference() -> None:
    # The first outputs of SplitMix64 seeded with 1234567, as published with the reference implementation.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert draws(np.uint64(1234567), np.arange(4, dtype=np.uint64)).tolist() == expected


def test_mix_is_a_bijection() -> None:
    words = np.arange(100_000, dtype=np.uint64)
    assert len({int(compiled_mix(word)) for word in words}) == len(words)


def test_keys_depend_on_seed_and_subject() -> None:
    keys = {int(subject_key(seed, subject)) for seed in range(50) for subject in ("a", "b", "ab", "ba")}
    assert len(keys) == 200


def test_lots_are_functions_of_their_number_alone() -> None:
    key = subject_key(3, "people")
    whole = Lots.of(key, 0, 1000)
    part = Lots.of(key, 400, 500)
    assert np.array_equal(whole.unit(7)[400:500], part.unit(7))
    assert np.array_equal(whole.unit(7, 5)[400:500], part.unit(7, 5))
    assert np.array_equal(whole.unit(7), whole.unit(7, 5)[:, 0])


def test_lots_are_uniform_and_independent() -> None:
    lots = Lots.of(subject_key(0, "test"), 0, 100_000)
    first, second = lots.unit(0), lots.unit(1)
    assert abs(first.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.02
    counts = np.bincount(lots.whole(3, 9, 2))
    assert counts[:3].sum() == 0
    assert len(counts) == 10
    assert abs(counts[3:] / 100_000 * 7 - 1).max() < 0.05
    assert abs(lots.chance(0.3, 3).mean() - 0.3) < 0.01


def test_units_are_below_one() -> None:
    assert units(np.array([0, 2**64 - 1], np.uint64)).tolist() == [0.0, 1 - 2**-53]
