"""Times against Python's datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.numbers import NUMBER_BAD, NUMBER_OK
from counterfoil.events.times import TIME_BAD, TIME_OK, days_from_civil, parse_epoch, parse_time_text
from counterfoil.events.words import padded

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.datetimes(timezones=st.just(UTC))
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)


def parsed(text: str, *, naive: bool = False) -> int | None:
    data = padded(text.encode())
    status, instant = parse_time_text(data, 0, len(text.encode()), naive)
    assert status in {TIME_OK, TIME_BAD}
    return int(instant) if status == TIME_OK else None


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


@given(INSTANTS, OFFSETS, st.sampled_from("Tt "))
def test_rfc3339_with_an_offset(instant: datetime, offset: int, between: str) -> None:
    try:
        local = instant.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:
        return
    assert parsed(local.isoformat(between)) == micros(instant)


@given(INSTANTS, st.integers(0, 6), st.sampled_from("Zz"))
def test_rfc3339_with_a_fraction(instant: datetime, digits: int, zone: str) -> None:
    fraction = f".{instant.microsecond:06d}"[: digits + 1] if digits else ""
    kept = instant.replace(microsecond=int(fraction[1:].ljust(6, "0")) if digits else 0)
    text = f"{instant:%Y-%m-%dT%H:%M:%S}".rjust(19, "0")
    assert parsed(text + fraction + zone) == micros(kept)


@given(st.datetimes(datetime(1969, 1, 1), datetime(2068, 12, 31, 23, 59, 59)), st.sampled_from(["UTC", "GMT"]))
def test_rfc850_years_are_those_of_posix(instant: datetime, zone: str) -> None:
    whole = instant.replace(microsecond=0, tzinfo=UTC)
    assert parsed(f"{whole:%A, %d-%b-%y %H:%M:%S} {zone}") == micros(whole)


@given(INSTANTS)
def test_days_count_like_ordinals(instant: datetime) -> None:
    assert days_from_civil(instant.year, instant.month, instant.day) == instant.toordinal() - EPOCH.toordinal()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sunday, 23-Jul-17 01:06:47 UTC", 1_500_772_007_000_000),
        ("2017-07-23T01:06:47Z", 1_500_772_007_000_000),
        ("2017-07-23T01:06:47.123456999Z", 1_500_772_007_123_456),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("2016-12-31T23:59:60.5+00:00", 1_483_228_800_500_000),
        ("2024-02-29T00:00:00-00:00", 1_709_164_800_000_000),
    ],
)
def test_times_that_are_good(text: str, expected: int) -> None:
    assert parsed(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2017-07-23",
        "2017-07-23T01:06:47",
        "2017-07-23T01:06:47.",
        "2017-07-23T01:06:47.Z",
        "2017-07-23T01:06:47ZZ",
        "2017-07-23T01:06:47+0200",
        "2017-07-23T01:06:47+24:00",
        "2017-07-23T01:06:47+02:60",
        "2017-07-23T24:00:00Z",
        "2017-07-23T01:60:00Z",
        "2017-07-23T01:06:61Z",
        "2017-07-23T01:06:60Z",
        "2017-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2017-13-01T00:00:00Z",
        "2017-00-01T00:00:00Z",
        "2017-01-00T00:00:00Z",
        "2017-7-23T01:06:47Z",
        "2017/07/23T01:06:47Z",
        "２017-07-23T01:06:47Z",
        "Sunday, 23-Jul-2017 01:06:47 UTC",
        "Sunday, 23-Jul-17 01:06:47 CET",
        "Sunday, 31-Jun-17 01:06:47 UTC",
        "Someday, 23-Jul-17 01:06:47 UTC",
        "Sun, 23-Jul-17 01:06:47 UTC",
        "Sunday 23-Jul-17 01:06:47 UTC",
        "Sunday, 23-Jux-17 01:06:47 UTC",
        ",",
        "yesterday",
    ],
)
def test_times_that_are_bad(text: str) -> None:
    assert parsed(text) is None


def test_a_time_without_a_zone_is_utc_where_that_is_set() -> None:
    assert parsed("2017-07-23 01:06:47", naive=True) == 1_500_772_007_000_000


@given(st.binary(max_size=40))
def test_any_bytes_are_a_time_or_bad(data: bytes) -> None:
    status, _ = parse_time_text(padded(data), 0, len(data), True)
    assert status in {TIME_OK, TIME_BAD}


@pytest.mark.parametrize(
    ("text", "scale", "expected"),
    [
        ("1500772007", 6, 1_500_772_007_000_000),
        ("1500772007.25", 6, 1_500_772_007_250_000),
        ("1.500772007e9", 6, 1_500_772_007_000_000),
        ("1500772007123", 3, 1_500_772_007_123_000),
        ("1500772007123456", 0, 1_500_772_007_123_456),
        ("1500772007123456789", -3, 1_500_772_007_123_456),
        ("-1", -3, -1),
        ("-0.0000001", 6, -1),
    ],
)
def test_epoch_numbers(text: str, scale: int, expected: int) -> None:
    status, instant = parse_epoch(padded(text.encode()), 0, len(text), scale)
    assert (status, instant) == (NUMBER_OK, expected)


def test_what_is_no_number_is_no_epoch() -> None:
    assert parse_epoch(padded(b"soon"), 0, 4, 6)[0] == NUMBER_BAD
