"""Events as bytes: numbers, times and words written by table look-ups, at about a gigabyte in two seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes
from counterfoil.events.generators.columns import EventColumns
from counterfoil.events.generators.draws import mix
from counterfoil.events.generators.fields import FIELDS, Format, GeneratedField
from counterfoil.events.generators.population import NOWHERE

ACCOUNT_SPACE = 10_000_000_000
ACCOUNT_FACTOR = 387_420_489
"""3^18: has no factor in common with 10, so numbers times it, modulo ``ACCOUNT_SPACE``, stay distinct."""

ROW_BYTES_MAX = 640
"""No event is longer: the names take 310 bytes, the values at most 260."""

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_TIME, _EVENT, _TOKEN, _ACCOUNT, _NUMBER, _WORD, _FLAG, _MONEY, _POSITION = (int(each) for each in Format)


class Vocabulary(NamedTuple):
    """Words as bytes, to be copied by number."""

    heap: Bytes
    start: npt.NDArray[np.int32]
    """(words + 1,)"""


def vocabulary(words: Sequence[str]) -> Vocabulary:
    """Return words as bytes."""
    encoded = [word.encode() for word in words]
    start = np.cumsum([0] + [len(word) for word in encoded]).astype(np.int32)
    return Vocabulary(np.frombuffer(b"".join(encoded), np.uint8), start)


@nb.njit(nogil=True, cache=True)
def write_word(out: Bytes, at: int, words: Vocabulary, word: int) -> int:
    """Copy a word; return where it ends."""
    start = words.start[word]
    size = words.start[word + 1] - start
    for index in range(size):
        out[at + index] = words.heap[start + index]
    return at + size


@nb.njit(nogil=True, cache=True)
def write_padded(out: Bytes, at: int, number: int, width: int) -> int:
    """Write a number with ``width`` digits, zeros in front."""
    for index in range(width - 1, -1, -1):
        out[at + index] = np.uint8(48 + number % 10)
        number //= 10
    return at + width


@nb.njit(nogil=True, cache=True)
def write_integer(out: Bytes, at: int, number: int) -> int:
    """Write a whole number with as many digits as it has, at most 18."""
    if number < 0:
        out[at] = 45
        at += 1
        number = -number
    width = 1
    bound = 10
    while number >= bound and width < 18:
        bound *= 10
        width += 1
    return write_padded(out, at, number, width)


@nb.njit(nogil=True, cache=True)
def write_fixed(out: Bytes, at: int, number: int, scale: int, digits: int) -> int:
    """Write ``number / scale`` as a decimal; ``scale`` is ten to the power of ``digits``."""
    if number < 0:
        out[at] = 45
        at += 1
        number = -number
    at = write_integer(out, at, number // scale)
    out[at] = 46
    return write_padded(out, at + 1, number % scale, digits)


@nb.njit(nogil=True, cache=True)
def write_hexadecimal(out: Bytes, at: int, word: np.uint64) -> int:
    """Write 64 bits with 16 hexadecimal digits."""
    for index in range(16):
        out[at + index] = _DIGITS[np.int64((word >> np.uint64(60 - 4 * index)) & np.uint64(15))]
    return at + 16


@nb.njit(nogil=True, cache=True)
def civil(day: int) -> tuple[int, int, int]:
    """Return year, month and day of the month of a day since 1970.

    References
    ----------
    Howard Hinnant: chrono-compatible low-level date algorithms, ``civil_from_days``.
    """
    day += 719_468
    era = day // 146_097
    rest = day - era * 146_097
    year = (rest - rest // 1460 + rest // 36_524 - rest // 146_096) // 365
    rest -= 365 * year + year // 4 - year // 100
    part = (5 * rest + 2) // 153
    month = part + 3 if part < 10 else part - 9
    return year + era * 400 + (1 if month <= 2 else 0), month, rest - (153 * part + 2) // 5 + 1


@nb.njit(nogil=True, cache=True)
def write_date(out: Bytes, at: int, day: int) -> int:
    """Write a day since 1970 as ``2026-01-05``."""
    year, month, day_of_month = civil(day)
    at = write_padded(out, at, year, 4)
    out[at] = 45
    at = write_padded(out, at + 1, month, 2)
    out[at] = 45
    return write_padded(out, at + 1, day_of_month, 2)


@nb.njit(nogil=True, cache=True)
def write_clock(out: Bytes, at: int, second: int) -> int:
    """Write a second of the day as ``13:04:59``."""
    at = write_padded(out, at, second // 3600, 2)
    out[at] = 58
    at = write_padded(out, at + 1, second // 60 % 60, 2)
    out[at] = 58
    return write_padded(out, at + 1, second % 60, 2)


@nb.njit(nogil=True, cache=True)
def write_time(out: Bytes, at: int, time: int) -> int:
    """Write a time in milliseconds since 1970 as RFC 3339."""
    day = time // 86_400_000
    rest = time - day * 86_400_000
    at = write_date(out, at, day)
    out[at] = 84
    at = write_clock(out, at + 1, rest // 1000)
    out[at] = 46
    at = write_padded(out, at + 1, rest % 1000, 3)
    out[at] = 90
    return at + 1


class Layout(NamedTuple):
    """What is written for each field of each kind: (fields,) arrays, kind after kind."""

    first: npt.NDArray[np.int64]
    """(kinds + 1,): where each kind's fields begin."""
    steps: npt.NDArray[np.int64]
    """(fields, 6): the literal before it, its format, its column's width and place, letter, first word."""
    words: Vocabulary
    """Literals and vocabularies; the last three are ``null``, ``false`` and ``true``."""


@nb.njit(nogil=True, cache=True)
def write_value(out: Bytes, at: int, step: npt.NDArray[np.int64], number: int, key: np.uint64, words: Vocabulary) -> int:
    """Write a value that is not null, without quotes."""
    form = step[1]
    if form == _WORD:
        return write_word(out, at, words, step[5] + number)
    if form == _MONEY:
        return write_fixed(out, at, number, 100, 2)
    if form == _POSITION:
        return write_fixed(out, at, number, 100_000, 5)
    if form == _TIME:
        return write_time(out, at, number)
    if form == _FLAG:
        return write_word(out, at, words, len(words.start) - 3 + number)
    out[at] = np.uint8(step[4])
    if form == _NUMBER:
        return write_padded(out, at + 1, number, 8)
    if form == _ACCOUNT:
        return write_padded(out, at + 1, number * ACCOUNT_FACTOR % ACCOUNT_SPACE, 10)
    # Cards and devices are numbered alike, so the letter goes into the key; mix is a bijection: ids stay distinct.
    secret = key * np.uint64(step[4]) if form == _TOKEN else key
    return write_hexadecimal(out, at + 1, mix(np.uint64(number) + secret))


@nb.njit(nogil=True, cache=True)
def load_number(
    step: npt.NDArray[np.int64],
    row: int,
    wide: npt.NDArray[np.int64],
    middle: npt.NDArray[np.int32],
    narrow: npt.NDArray[np.int8],
) -> int:
    """Return the number of a field from a row seen as words of eight, four and one bytes."""
    if step[2] == 8:
        return wide[row, step[3]]
    if step[2] == 4:
        return np.int64(middle[row, step[3]])
    return np.int64(narrow[row, step[3]])


@nb.njit(nogil=True, cache=True)
def is_null(step: npt.NDArray[np.int64], number: int) -> bool:
    """Return whether a field's number stands for null."""
    if step[1] == _POSITION:
        return number == NOWHERE
    # Every 64-bit number names an event.
    return number < 0 and step[1] != _EVENT and step[1] != _TIME


@nb.njit(nogil=True, cache=True)
def _write_rows(
    layout: Layout,
    wide: npt.NDArray[np.int64],
    middle: npt.NDArray[np.int32],
    narrow: npt.NDArray[np.int8],
    kind_place: int,
    key: np.uint64,
    out: Bytes,
) -> int:
    words = layout.words
    null = len(words.start) - 4
    at = 0
    for row in range(len(wide)):
        kind = narrow[row, kind_place]
        for number in range(layout.first[kind], layout.first[kind + 1]):
            step = layout.steps[number]
            at = write_word(out, at, words, step[0])
            value = load_number(step, row, wide, middle, narrow)
            if is_null(step, value):
                at = write_word(out, at, words, null)
            elif step[1] >= _WORD:
                at = write_value(out, at, step, value, key, words)
            else:
                out[at] = 34
                at = write_value(out, at + 1, step, value, key, words)
                out[at] = 34
                at += 1
        out[at] = 125
        out[at + 1] = 10
        at += 2
    return at


def make_layout(fields: dict[str, tuple[GeneratedField, ...]], *, quoted: bool) -> Layout:
    """Return how the fields of each kind are written; ``quoted`` words are JSON strings."""
    words: list[str] = []
    places: dict[tuple[str, ...], int] = {}
    steps = []
    for kind, members in fields.items():
        for number, each in enumerate(members):
            literal = len(words)
            words.append((f'{{"kind":"{kind}",' if number == 0 else ",") + f'"{each.name}":')
            if each.words and each.words not in places:
                places[each.words] = len(words)
                words.extend(f'"{word}"' if quoted else word for word in each.words)
            letter = ord(each.letter) if each.letter else 0
            steps.append((literal, each.format, each.width, each.place, letter, places.get(each.words, 0)))
    first = np.cumsum([0] + [len(members) for members in fields.values()])
    return Layout(first, np.array(steps, np.int64), vocabulary([*words, "null", "false", "true"]))


_KIND = GeneratedField("kind", "kind", Format.WORD)
_LAYOUT = make_layout(FIELDS, quoted=True)


def write_ndjson(events: EventColumns) -> Bytes:
    """Return the events as the bytes of NDJSON lines."""
    out = np.empty(len(events) * ROW_BYTES_MAX, np.uint8)
    wide, middle, narrow = events.words()
    return out[: _write_rows(_LAYOUT, wide, middle, narrow, _KIND.place, events.key, out)]
