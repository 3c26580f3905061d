"""Intervals and times as they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.rules.constants import interval_of, time_of


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("24 hour", 86_400_000_000),
        ("24 HOURS", 86_400_000_000),
        ("1.5 seconds", 1_500_000),
        ("-1 day 2 hours", -79_200_000_000),
        ("1week", 604_800_000_000),
        ("3 milliseconds 2 microseconds", 3_002),
        ("0.5 microseconds", None),
        ("1 month", None),
        ("1", None),
        ("hours", None),
        ("", None),
        ("1 hour and a bit", None),
        ("999999999999999999 weeks", None),
    ],
)
def test_intervals(text: str, microseconds: int | None) -> None:
    assert interval_of(text) == microseconds


@given(st.datetimes(timezones=st.just(UTC)))
def test_times(moment: datetime) -> None:
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert time_of(moment.isoformat()) == expected
    assert time_of(moment.replace(tzinfo=None).isoformat(" ")) == expected


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "0001-01-01T00:00:00+23:59:59.999999x"])
def test_what_is_no_time(text: str) -> None:
    assert time_of(text) is None


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    interval_of(text)
    time_of(text)
