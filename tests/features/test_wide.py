from __future__ import annotations

from fractions import Fraction

import numba as nb
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from counterfoil.features import wide

WORD = 1 << 64
words = st.integers(0, WORD - 1)
signed = st.integers(-(1 << 63), (1 << 63) - 1)
floats = st.floats(-(2.0**61), 2.0**61)


@nb.njit
def _sum_fixed(values: np.ndarray[tuple[int], np.dtype[np.float64]], signs: np.ndarray[tuple[int], np.dtype[np.int64]]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Add and take away floats one after the other, as running totals do."""
    high, low = np.uint64(0), np.uint64(0)
    for i in range(len(values)):
        more_high, more_low = wide.fixed(values[i])
        if signs[i] > 0:
            high, low = wide.add(high, low, more_high, more_low)
        else:
            high, low = wide.subtract(high, low, more_high, more_low)
    return wide.from_fixed(high, low)


@nb.njit
def _multiply(one: np.uint64, other: np.uint64) -> tuple[np.uint64, np.uint64]:
    # What is made of instructions of the processor can only be called by what is compiled.
    return wide.multiply(one, other)


def as_words(number: int) -> tuple[np.uint64, np.uint64]:
    number %= WORD * WORD
    return np.uint64(number // WORD), np.uint64(number % WORD)


def as_number(pair: tuple[int, int]) -> int:
    return int(pair[0]) * WORD + int(pair[1])


@given(words, words)
@example(WORD - 1, WORD - 1)
def test_multiply(one: int, other: int) -> None:
    assert as_number(_multiply(np.uint64(one), np.uint64(other))) == one * other


@given(st.integers(0, WORD * WORD - 1), st.integers(0, WORD * WORD - 1))
def test_add_and_subtract(one: int, other: int) -> None:
    assert as_number(wide.add(*as_words(one), *as_words(other))) == (one + other) % (WORD * WORD)
    assert as_number(wide.subtract(*as_words(one), *as_words(other))) == (one - other) % (WORD * WORD)


@given(signed)
@example(-(1 << 63))
def test_square_and_magnitude(value: int) -> None:
    assert int(wide.magnitude(np.int64(value))) == abs(value)
    assert as_number(wide.square(np.int64(value))) == value * value


@given(floats)
@example(-5e-324)
@example(-1e-12)
@example(0.1)
@example(-(2.0**61))
def test_a_float_survives(value: float) -> None:
    """To 2**-64; larger ones to their last digit."""
    high, low = wide.fixed(value)
    number = as_number((high, low))
    number -= WORD * WORD if number >= WORD * WORD // 2 else 0
    assert abs(Fraction(number, WORD) - Fraction(value)) < Fraction(1, WORD)
    assert wide.from_fixed(np.uint64(high), np.uint64(low)) == pytest.approx(value, rel=3e-16, abs=2.0**-64)


@given(st.lists(st.tuples(st.floats(-1e15, 1e15), st.sampled_from([1, -1])), min_size=1, max_size=30))
def test_sums_are_exact_whatever_comes_and_goes(terms: list[tuple[float, int]]) -> None:
    values, signs = np.array([each[0] for each in terms]), np.array([each[1] for each in terms])
    expected = sum((Fraction(value) * sign for value, sign in terms), Fraction(0))
    got = Fraction(float(_sum_fixed(values, signs)))
    assert abs(got - expected) <= abs(expected) * Fraction(1, 1 << 51) + Fraction(len(terms), WORD)
    assert _sum_fixed(np.append(values, values), np.append(signs, -signs)) == 0.0


@given(st.lists(st.integers(-(2**53), 2**53), min_size=2, max_size=50))
@example([2**53 - 1] * 5_000 + [2**53 - 2])
def test_spread(values: list[int]) -> None:
    total, squares = sum(values), sum(value * value for value in values)
    if abs(total) >= 1 << 63:
        values = [value // len(values) for value in values]
        total, squares = sum(values), sum(value * value for value in values)
    expected = len(values) * squares - total * total
    got = wide.spread(np.int64(len(values)), np.int64(total), *as_words(squares))
    assert got == pytest.approx(float(expected), rel=1e-15)
