"""The online outlier score: its slow twin, the same in any batches, after a restart, and what it finds."""

from __future__ import annotations

from collections import Counter
from math import frexp, inf, isnan, log

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import StorageError
from counterfoil.models.outlier import EPOCH, WARM, OutlierState, surprise_order

FEATURES = 6
Matrix = npt.NDArray[np.float32]


def payments(random: np.random.Generator, rows: int, strange: float = 0.0) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """Return payments as features have them, a share of them strange in two features of the six."""
    matrix = np.empty((rows, FEATURES), np.float32)
    matrix[:, 0] = random.lognormal(3, 1, rows)
    matrix[:, 1] = random.poisson(0.3, rows)
    matrix[:, 2] = random.normal(0, 1, rows)
    matrix[:, 3] = random.random(rows) < 0.1
    matrix[:, 4] = np.where(random.random(rows) < 0.3, np.nan, random.exponential(5, rows))
    matrix[:, 5] = random.integers(0, 24, rows)
    odd = random.random(rows) < strange
    matrix[odd, 0] *= 30
    matrix[odd, 1] += 4
    return matrix, odd


def _place(value: float) -> tuple[int, int, int] | None:
    """Return a value's bin as sign, octave and quarter of the octave, in their order; None for a missing one."""
    if isnan(value):
        return None
    if abs(value) < 2.0**-16:
        return (0, 0, 0)
    if abs(value) >= 2.0**32:
        octave, quarter = 31, 3
    else:
        fraction, exponent = frexp(abs(value))
        octave, quarter = exponent - 1, int((fraction * 2 - 1) * 4)
    return (1, octave, quarter) if value > 0 else (-1, -octave, -quarter)


class Twin:
    """The surprises the slow and obvious way, for as long as nothing is forgotten."""

    def __init__(self) -> None:
        self.past: list[list[tuple[int, int, int] | None]] = []
        self.tables: list[Counter[tuple[int, int, int] | None]] = []

    def update(self, row: list[float]) -> list[float]:
        places = [_place(each) for each in row]
        found = [self._surprise(table, place) for table, place in zip(self.tables, places, strict=False)]
        self.past.append(places)
        if len(self.past) in {WARM // 4, WARM, 2 * WARM, EPOCH}:
            self.tables = [Counter(column) for column in zip(*self.past, strict=True)]
        return found or [0.0] * len(row)

    def _surprise(self, table: Counter[tuple[int, int, int] | None], place: tuple[int, int, int] | None) -> float:
        every = sum(table.values()) + 1
        if place is None:
            return -log((table[None] + 1) / every)
        present = sum(count for each, count in table.items() if each is not None)
        below = sum(count for each, count in table.items() if each is not None and each <= place)
        above = sum(count for each, count in table.items() if each is not None and each >= place)
        return -log(min(2 * (min(below, above) + 1), present + 1) / every)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_surprises_are_those_of_the_slow_twin(seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix, _ = payments(random, 2_600)
    wild = random.choice(np.array([0, -0.0, 1e-30, 2.0**-16, 2.0**32, 1e38, inf, -inf, -5, np.nan]), matrix.shape)
    matrix = np.where(random.random(matrix.shape) < 0.02, wild, matrix).astype(np.float32)
    told = np.zeros(matrix.shape, np.float32)
    raw, _ = OutlierState(FEATURES).update(matrix, told)
    twin = Twin()
    expected = np.array([twin.update(row) for row in matrix.tolist()])
    assert told == pytest.approx(expected, abs=1e-5)
    assert raw[WARM:] == pytest.approx(expected[WARM:].sum(axis=1), abs=1e-9)
    assert np.isnan(raw[:WARM]).all()


@pytest.mark.parametrize("batch", [1, 7, 4_095])
def test_scores_are_the_same_whatever_the_batches_and_after_a_restart(batch: int) -> None:
    matrix, _ = payments(np.random.default_rng(1), 9_500)
    whole = OutlierState(FEATURES).update(matrix)
    state, parts = OutlierState(FEATURES), []
    for at in range(0, len(matrix), batch):
        if at % (5 * batch) == 0:
            kept = {name: array.copy() for name, array in state.snapshot().items()}
            state = OutlierState(FEATURES)
            state.restore(kept)
        parts.append(state.update(matrix[at : at + batch]))
    for index in range(2):
        assert np.array_equal(np.concatenate([part[index] for part in parts]), whole[index], equal_nan=True)


def test_the_score_is_a_rank() -> None:
    """Nothing strange is there: one in a thousand is the most unusual of a thousand, all the same."""
    matrix, _ = payments(np.random.default_rng(2), 120_000)
    # The more payments it knows, the rarer the rarest is: at first sums still grow, and ranks run somewhat high.
    score = OutlierState(FEATURES).update(matrix)[1][40_000:]
    assert score.min() >= 0
    assert score.max() < 1
    assert np.mean(score) == pytest.approx(0.5, abs=0.02)
    assert np.mean(score > 0.99) == pytest.approx(0.01, rel=0.2)
    assert np.mean(score > 0.999) == pytest.approx(0.001, rel=0.5)


def test_what_is_strange_ranks_high_without_a_label() -> None:
    matrix, strange = payments(np.random.default_rng(3), 40_000, strange=0.005)
    raw, score = OutlierState(FEATURES).update(matrix)
    late = np.arange(len(matrix)) > 5_000
    assert np.mean(score[late & strange] > 0.98) > 0.9
    told = np.zeros(matrix.shape, np.float32)
    OutlierState(FEATURES).update(matrix, told)
    most = [surprise_order(row, "abcdef", 2) for row in told[late & strange]]
    assert np.mean([{name for name, _ in each} == {"a", "b"} for each in most]) > 0.8
    assert told[late].sum(axis=1) == pytest.approx(raw[late], rel=1e-5)


def test_an_amount_beyond_all_measure_weighs_no_more_than_the_largest() -> None:
    matrix, _ = payments(np.random.default_rng(4), 20_000)
    huge = matrix.copy()
    huge[::100, 0] = 3e38
    for each in (matrix, huge):
        each[-1] = np.array([2.0**40, 9, 9, 1, 99, 23], np.float32)
    found = [OutlierState(FEATURES).update(each)[0] for each in (matrix, huge)]
    assert np.isfinite(found[1][-1])
    assert found[1][-1] < found[0][-1]


def test_it_learns_what_has_become_usual() -> None:
    random = np.random.default_rng(5)
    state = OutlierState(FEATURES, memory=2)
    state.update(payments(random, 20_000)[0])
    moved = payments(random, 80_000)[0]
    moved[:, 0] *= 100
    score = state.update(moved)[1]
    assert np.mean(score[:2_000] > 0.9) > 0.5
    assert np.mean(score[-2_000:] > 0.9) == pytest.approx(0.1, abs=0.03)


def test_a_state_of_another_shape_is_refused() -> None:
    with pytest.raises(StorageError, match="found"):
        OutlierState(3).restore(OutlierState(4).snapshot())
