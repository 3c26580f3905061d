"""Where records stood: against a plain list of places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.connectors.partitions import Spans
from counterfoil.errors import CorruptionError

RUNS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**6), st.integers(1, 20)), min_size=1, max_size=12)
PARTITIONS = [("a", 0), ("a", 1), ("b", 0)]


def spans_of(runs: list[tuple[int, int, int]], first: int) -> tuple[Spans, list[tuple[str, int, int]]]:
    """Return spans, and the place of every record."""
    which, position, offset, places, at = [], [], [], [], first
    for partition, start, count in runs:
        which.append(partition)
        position.append(at)
        offset.append(start)
        places += [(*PARTITIONS[partition], start + index) for index in range(count)]
        at += count
    return Spans.of(PARTITIONS, which, position, offset, at), places


@given(RUNS, st.integers(0, 10**9), st.integers(0, 10**6))
def test_every_position_has_its_place(runs: list[tuple[int, int, int]], first: int, shift: int) -> None:
    spans, places = spans_of(runs, first)
    moved = Spans.decode(spans.shifted(shift).encode())
    positions = np.arange(first + shift, first + shift + len(places))
    which, offsets = moved.places(positions)
    found = [(*moved.partitions[at], offset) for at, offset in zip(which.tolist(), offsets.tolist(), strict=True)]
    assert found == places
    assert moved.place(int(positions[-1])) == places[-1]
    assert moved.end == first + shift + len(places)


@given(RUNS)
def test_next_offsets_follow_the_last_run_of_each_partition(runs: list[tuple[int, int, int]]) -> None:
    spans, _ = spans_of(runs, 0)
    assert spans.next_offsets() == {PARTITIONS[which]: start + count for which, start, count in runs}
    first = {PARTITIONS[which]: start for which, start, _ in reversed(runs)}
    assert spans.first_offsets() == first


def test_damaged_spans_are_named() -> None:
    with pytest.raises(CorruptionError, match="positions of a block are damaged"):
        Spans.decode(b"{")
