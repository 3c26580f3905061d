"""Text and epoch numbers to instants: microseconds since 1970-01-01T00:00:00Z.

Text is RFC 3339 (``2017-07-23T01:06:47.5+02:00``; a space or ``t`` may stand for the ``T``) or RFC 850
(``Sunday, 23-Jul-17 01:06:47 UTC``). Digits beyond the microsecond are cut off. A leap second is the first second of
the next minute, as in POSIX. A year of two digits is 1969 to 2068, as in POSIX: the other reading, RFC 9110's fifty
years around today, would need a clock, and a replay would then read another year.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes
from counterfoil.events.numbers import parse_scaled

TIME_OK = 0
TIME_BAD = 1

SECOND = 1_000_000
"""A second in microseconds."""
_MONTH_NAMES = np.frombuffer(b"JanFebMarAprMayJunJulAugSepOctNovDec", np.uint8)
_DAY_NAMES = np.frombuffer(b"Monday\0\0\0Tuesday\0\0WednesdayThursday\0Friday\0\0\0Saturday\0Sunday\0\0\0", np.uint8)
_DAY_NAME_SIZE = 9
_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def days_from_civil(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a day of the Gregorian calendar.

    References
    ----------
    Howard Hinnant: chrono-compatible low-level date algorithms.
    """
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _digits(data: Bytes, at: int, count: int) -> int:
    """Return the value of some digits; -1 where one is none."""
    value = 0
    for offset in range(count):
        digit = np.int64(data[at + offset]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _day(year: int, month: int, day: int) -> int:
    """Return the days since 1970, or the smallest integer where there is no such day."""
    if year < 0 or month < 1 or month > 12 or day < 1:
        return np.iinfo(np.int64).min
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _MONTH_DAYS[month - 1] + (1 if leap else 0):
        return np.iinfo(np.int64).min
    return days_from_civil(year, month, day)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _clock(data: Bytes, at: int) -> int:
    """Return the seconds of a day that ``HH:MM:SS`` stands for; -1 where it is none."""
    if data[at + 2] != 58 or data[at + 5] != 58:
        return -1
    hour, minute, second = _digits(data, at, 2), _digits(data, at + 3, 2), _digits(data, at + 6, 2)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 60:
        return -1
    if second == 60 and minute != 59:
        return -1
    return hour * 3600 + minute * 60 + second


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def parse_rfc3339(data: Bytes, start: int, end: int, naive: bool) -> tuple[int, int]:
    """Return a status and the instant that an RFC 3339 text stands for.

    With ``naive`` a text without a zone is read as UTC.
    """
    if end - start < 19 or data[start + 4] != 45 or data[start + 7] != 45:
        return TIME_BAD, 0
    between = data[start + 10]
    if between != 84 and between != 116 and between != 32:
        return TIME_BAD, 0
    days = _day(_digits(data, start, 4), _digits(data, start + 5, 2), _digits(data, start + 8, 2))
    seconds = _clock(data, start + 11)
    if days == np.iinfo(np.int64).min or seconds < 0:
        return TIME_BAD, 0
    seconds += days * 86_400
    at = start + 19
    micros = 0
    if at < end and data[at] == 46:
        at += 1
        weight = 100_000
        first = at
        while at < end and 48 <= data[at] <= 57:
            micros += weight * (np.int64(data[at]) - 48)
            weight //= 10
            at += 1
        if at == first:
            return TIME_BAD, 0
    if at == end:
        return (TIME_OK, seconds * SECOND + micros) if naive else (TIME_BAD, 0)
    if data[at] == 90 or data[at] == 122:
        return (TIME_OK, seconds * SECOND + micros) if at + 1 == end else (TIME_BAD, 0)
    if end - at != 6 or (data[at] != 43 and data[at] != 45) or data[at + 3] != 58:
        return TIME_BAD, 0
    hours, minutes = _digits(data, at + 1, 2), _digits(data, at + 4, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return TIME_BAD, 0
    offset = hours * 3600 + minutes * 60
    seconds += offset if data[at] == 45 else -offset
    return TIME_OK, seconds * SECOND + micros


@nb.njit(nogil=True, cache=True, _nrt=False)
def _is_day_name(data: Bytes, start: int, length: int) -> bool:
    if length < 6 or length > _DAY_NAME_SIZE:
        return False
    for day in range(7):
        at = day * _DAY_NAME_SIZE
        same = length == _DAY_NAME_SIZE or _DAY_NAMES[at + length] == 0
        for offset in range(length):
            same = same and _DAY_NAMES[at + offset] == data[start + offset]
        if same:
            return True
    return False


@nb.njit(nogil=True, cache=True, _nrt=False)
def _month(data: Bytes, at: int) -> int:
    """Return the number of the month whose short English name stands at ``at``; 0 where none does."""
    for month in range(12):
        name = month * 3
        if (
            data[at] == _MONTH_NAMES[name]
            and data[at + 1] == _MONTH_NAMES[name + 1]
            and data[at + 2] == _MONTH_NAMES[name + 2]
        ):
            return month + 1
    return 0


@nb.njit(nogil=True, cache=True, _nrt=False)
def parse_rfc850(data: Bytes, start: int, end: int) -> tuple[int, int]:
    """Return a status and the instant that an RFC 850 text stands for; the day's name is not held against the date."""
    comma = start
    while comma < end and data[comma] != 44:
        comma += 1
    # ", 23-Jul-17 01:06:47 UTC" follows the name of the day.
    if end - comma != 24 or not _is_day_name(data, start, comma - start):
        return TIME_BAD, 0
    at = comma + 2
    if data[at - 1] != 32 or data[at + 2] != 45 or data[at + 6] != 45 or data[at + 9] != 32 or data[at + 18] != 32:
        return TIME_BAD, 0
    utc = data[at + 19] == 85 and data[at + 20] == 84 and data[at + 21] == 67
    gmt = data[at + 19] == 71 and data[at + 20] == 77 and data[at + 21] == 84
    year = _digits(data, at + 7, 2)
    if year < 0 or not (utc or gmt):
        return TIME_BAD, 0
    days = _day(year + (1900 if year >= 69 else 2000), _month(data, at + 3), _digits(data, at, 2))
    seconds = _clock(data, at + 10)
    if days == np.iinfo(np.int64).min or seconds < 0:
        return TIME_BAD, 0
    return TIME_OK, (days * 86_400 + seconds) * SECOND


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def parse_time_text(data: Bytes, start: int, end: int, naive: bool) -> tuple[int, int]:
    """Return a status and the instant that an RFC 3339 or RFC 850 text stands for."""
    if start < end and 48 <= data[start] <= 57:
        return parse_rfc3339(data, start, end, naive)
    return parse_rfc850(data, start, end)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def parse_epoch(data: Bytes, start: int, end: int, scale: int) -> tuple[int, int]:
    """Return a number's status (``NUMBER_OK``, …) and the instant that it stands for.

    ``scale`` is the power of ten that turns the unit into microseconds: 6 for seconds, -3 for nanoseconds.
    """
    return parse_scaled(data, start, end, scale, True)
