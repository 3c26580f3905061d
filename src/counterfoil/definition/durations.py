"""Lengths of time as people write them: ``10m``, ``24h``, ``7d``."""

from __future__ import annotations

import re

UNITS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
"""Each unit in microseconds, shortest first."""

DURATION_PATTERN = r"(?:0|[1-9][0-9]{0,14})(?:us|ms|s|m|h|d|w)"
"""What a written duration looks like."""

LONGEST = 100 * 366 * UNITS["d"]
"""No window, delay or quiet time is longer than a century."""

_DURATION = re.compile(r"([0-9]+)([a-z]+)")
_WRITTEN = re.compile(DURATION_PATTERN)


def parse_duration(text: str) -> int | None:
    """Return the microseconds that a text means, or None where it is no duration or longer than a century.

    Examples
    --------
    >>> parse_duration("10m")
    600000000
    >>> parse_duration("10 minutes") is None
    True
    """
    if not _WRITTEN.fullmatch(text):
        return None
    parts = _DURATION.fullmatch(text)
    assert parts is not None
    length = int(parts[1]) * UNITS[parts[2]]
    return length if length <= LONGEST else None


def write_duration(microseconds: int) -> str:
    """Return the shortest text that means this many microseconds, in days at most.

    Examples
    --------
    >>> write_duration(86_400_000_000), write_duration(1_500_000)
    ('1d', '1500ms')
    """
    for unit in ("d", "h", "m", "s", "ms"):
        if microseconds % UNITS[unit] == 0:
            return f"{microseconds // UNITS[unit]}{unit}"
    return f"{microseconds}us"
