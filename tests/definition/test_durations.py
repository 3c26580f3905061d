from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.definition.durations import LONGEST, parse_duration, write_duration


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("500us", 500),
        ("500ms", 500_000),
        ("90s", 90_000_000),
        ("10m", 600_000_000),
        ("24h", 86_400_000_000),
        ("7d", 604_800_000_000),
        ("2w", 1_209_600_000_000),
        ("0s", 0),
    ],
)
def test_durations_mean_microseconds(text: str, microseconds: int) -> None:
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10 m", "1.5h", "-1h", "01h", "10M", "1y", "10m ", "٣h", "999999d", "9" * 40]
)
def test_anything_else_is_none(text: str) -> None:
    assert parse_duration(text) is None


@given(st.integers(0, LONGEST))
def test_what_is_written_reads_back(length: int) -> None:
    if length % 1_000 == 0 or length < 10**15:
        assert parse_duration(write_duration(length)) == length
