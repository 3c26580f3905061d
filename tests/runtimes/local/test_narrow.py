"""Columns in few bytes: every number comes back, in no more room than it had, and what is damaged is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.runtimes.local.narrow import (
    PADDING,
    PLAIN,
    SPARSE,
    STEPS,
    TWO,
    Narrowed,
    narrow,
    narrowable,
    widen,
)

KINDS = ("<i8", "<i4", "<i2", "|u1", "<f8", "|b1")


def written(column: np.ndarray[Any, Any]) -> tuple[Narrowed, np.ndarray[Any, Any]]:
    """Return how a column was written, and the bytes, with something before and the padding behind."""
    out = np.zeros(3 + column.nbytes + PADDING, np.uint8)
    how = narrow(column, out, 3)
    return how, out[: 3 + how.size + PADDING]


@st.composite
def columns(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    kind: Any = np.dtype(draw(st.sampled_from(KINDS)))
    if kind == np.float64:
        return np.array(draw(st.lists(st.floats() | st.just(0.0), max_size=40)), kind)
    low, high = (0, 1) if kind == np.bool_ else (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    few = draw(st.lists(st.integers(low, high), min_size=1, max_size=4))
    close = st.integers(max(low, few[0] - 300), min(high, few[0] + 300))
    numbers = draw(st.lists(st.sampled_from([0, *few]) | close | st.integers(low, high), max_size=40))
    if draw(st.booleans()):
        numbers = sorted(numbers)
    return np.array(numbers, kind)


@given(columns())
def test_every_number_comes_back(column: np.ndarray[Any, Any]) -> None:
    how, data = written(column)
    assert how.size <= column.nbytes
    found = widen(how, column.dtype.str, len(column), data, 3)
    assert found.dtype == column.dtype
    assert found.tobytes() == column.tobytes()
    assert found.flags.writeable


@pytest.mark.parametrize(
    ("column", "kind", "size"),
    [
        (np.full(80, 7), PLAIN, 0),
        (np.arange(1_000, 1_080), STEPS, 0),
        (np.arange(0, 80_000, 1_000) + np.arange(80) % 3, STEPS, 79),
        (np.where(np.arange(80) % 2, 2**62 + np.arange(80) ** 3, 0), SPARSE, 10 + 40 * 8),
        (np.where(np.arange(80) % 4, -1, 5 + np.arange(80) % 7).astype(np.int32), SPARSE, 10 + 20),
        ((np.arange(80) % 3 == 0).astype(np.uint8), TWO, 10),
        (np.array([2**63 - 1, -(2**63)] * 40), TWO, 10),
        (np.arange(-40, 40) * 2**57, PLAIN, 640),
        (np.arange(80) ** 2 % 251, PLAIN, 80),
    ],
)
def test_each_takes_the_shortest_way(column: np.ndarray[Any, Any], kind: int, size: int) -> None:
    how, data = written(column)
    assert (how.kind, how.size) == (kind, size)
    np.testing.assert_array_equal(widen(how, column.dtype.str, len(column), data, 3), column)


def test_a_number_may_be_no_number() -> None:
    column = np.array([0.0, -0.0, np.nan, np.inf, 5e-324])
    how, data = written(column)
    assert widen(how, "<f8", 5, data, 3).tobytes() == column.tobytes()


def test_types_that_are_not_known_are_said_so() -> None:
    assert all(narrowable(kind) for kind in KINDS)
    assert not narrowable("<f4")


@pytest.mark.parametrize(
    "column", [np.arange(80) ** 2 % 251, np.where(np.arange(80) % 2, np.arange(80), 0), np.arange(80) % 2]
)
def test_what_cannot_be_is_refused(column: np.ndarray[Any, Any]) -> None:
    how, data = written(column)
    for wrong in (
        how._replace(size=how.size + 1),
        how._replace(size=how.size - 1),
        how._replace(size=-1),
        how._replace(width=9),
        how._replace(width=how.width + 1),
        how._replace(kind=7),
    ):
        with pytest.raises(ValueError, match="a column"):
            widen(wrong, "<i8", 80, data, 3)
    for count, at in ((-1, 3), (79, 3), (81, 3), (80, -1), (80, 1_000_000)):
        with pytest.raises(ValueError, match="a column"):
            widen(how, "<i8", count + 8 * (how.kind == TWO and count > 0) * (1 if count > 80 else -1), data, at)
