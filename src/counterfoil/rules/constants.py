"""Intervals and times as they are written in expressions and lists."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

_UNITS = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
    "week": 7 * 86_400_000_000,
}
_PART = re.compile(r"\s*([+-]?\d{1,18}(?:\.\d{1,9})?)\s*([a-zA-Z]+)\s*", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMIT = 2**62
"""Microseconds: some 146,000 years."""


def interval_of(text: str) -> int | None:
    """Return the microseconds of an interval; None where it is none.

    Months and years are none: they differ in length.

    Examples
    --------
    >>> interval_of("24 hours")
    86400000000
    >>> interval_of("1 day 12 hours") == 36 * 3_600_000_000
    True
    >>> interval_of("1 month")
    """
    at, total = 0, Fraction(0)
    while at < len(text):
        match = _PART.match(text, at)
        unit = _UNITS.get(match[2].lower().removesuffix("s")) if match else None
        if match is None or unit is None:
            return None
        total += Fraction(match[1]) * unit
        at = match.end()
    return int(total) if at and total.denominator == 1 and abs(total) < _LIMIT else None


def time_of(text: str) -> int | None:
    """Return the microseconds since 1970 of a time in ISO 8601; UTC where it has no offset.

    Examples
    --------
    >>> time_of("1970-01-01 00:00:01.5")
    1500000
    """
    try:
        parsed = datetime.fromisoformat(text.strip())
        aware = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
        return (aware - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
