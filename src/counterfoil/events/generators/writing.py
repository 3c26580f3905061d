"""Events and lines as bytes: numbers, times and words written by table look-ups, at about a gigabyte a second."""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes
from counterfoil.events.generators import habits
from counterfoil.events.generators.columns import (
    AUTHENTICATION,
    CUSTOMER_CHANGE,
    KINDS,
    STORIES,
    TRANSACTION,
    EventColumns,
)
from counterfoil.events.generators.draws import mix
from counterfoil.events.generators.places import COUNTRIES, CURRENCIES
from counterfoil.events.generators.population import DEGREE, NOWHERE, Rows

ACCOUNT_SPACE = 10_000_000_000
ACCOUNT_FACTOR = 387_420_489
"""3^18: has no factor in common with 10, so numbers times it, modulo ``ACCOUNT_SPACE``, stay distinct."""

ROW_BYTES_MAX = 640
"""No event is longer: the names take 330 bytes, the values at most 250."""

_PAIRS = np.frombuffer("".join(f"{number:02d}" for number in range(100)).encode(), np.uint8)
_NIBBLES = np.frombuffer(b"0123456789abcdef", np.uint8)


class Vocabulary(NamedTuple):
    """Words as bytes, to be copied by number."""

    heap: Bytes
    start: npt.NDArray[np.int32]
    """(words + 1,)"""


def vocabulary(words: tuple[str, ...]) -> Vocabulary:
    """Return words as bytes."""
    encoded = [word.encode() for word in words]
    start = np.cumsum([0] + [len(word) for word in encoded]).astype(np.int32)
    return Vocabulary(np.frombuffer(b"".join(encoded), np.uint8), start)


@nb.njit(inline="always")
def write_word(out: Bytes, at: int, words: Vocabulary, word: int) -> int:
    """Copy a word; return where it ends."""
    start = words.start[word]
    for index in range(words.start[word + 1] - start):
        out[at + index] = words.heap[start + index]
    return at + words.start[word + 1] - start


@nb.njit(inline="always")
def write_pair(out: Bytes, at: int, number: int) -> int:
    """Write a number below 100 with two digits."""
    out[at] = _PAIRS[2 * number]
    out[at + 1] = _PAIRS[2 * number + 1]
    return at + 2


@nb.njit(inline="always")
def write_padded(out: Bytes, at: int, number: int, width: int) -> int:
    """Write a number with ``width`` digits, zeros in front."""
    for index in range(width - 1, -1, -1):
        out[at + index] = np.uint8(48 + number % 10)
        number //= 10
    return at + width


@nb.njit(inline="always")
def write_integer(out: Bytes, at: int, number: int) -> int:
    """Write a whole number with as many digits as it has."""
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


@nb.njit(inline="always")
def write_fixed(out: Bytes, at: int, number: int, digits: int) -> int:
    """Write a whole number of ``10 ** -digits`` as a decimal."""
    if number < 0:
        out[at] = 45
        at += 1
        number = -number
    scale = 1
    for _ in range(digits):
        scale *= 10
    at = write_integer(out, at, number // scale)
    out[at] = 46
    return write_padded(out, at + 1, number % scale, digits)


@nb.njit(inline="always")
def write_hexadecimal(out: Bytes, at: int, word: np.uint64) -> int:
    """Write 64 bits with 16 hexadecimal digits."""
    for index in range(16):
        out[at + index] = _NIBBLES[np.int64((word >> np.uint64(60 - 4 * index)) & np.uint64(15))]
    return at + 16


@nb.njit(inline="always")
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


@nb.njit(inline="always")
def write_time(out: Bytes, at: int, time: int, day: int, date: tuple[int, int, int]) -> int:
    """Write a time in milliseconds since 1970, whose day and date are known, as RFC 3339."""
    rest = time - day * 86_400_000
    at = write_pair(out, at, date[0] // 100)
    at = write_pair(out, at, date[0] % 100)
    out[at] = 45
    at = write_pair(out, at + 1, date[1])
    out[at] = 45
    at = write_pair(out, at + 1, date[2])
    out[at] = 84
    at = write_pair(out, at + 1, rest // 3_600_000)
    out[at] = 58
    at = write_pair(out, at + 1, rest // 60_000 % 60)
    out[at] = 58
    at = write_pair(out, at + 1, rest // 1000 % 60)
    out[at] = 46
    at = write_padded(out, at + 1, rest % 1000, 3)
    out[at] = 90
    return at + 1


@nb.njit(inline="always")
def write_event_id(out: Bytes, at: int, kind: int, number: np.uint64, key: np.uint64) -> int:
    """Write an event's id: a letter for its kind, and its number under the key."""
    out[at] = (116, 99, 108, 111)[kind]  # t, c, l, o
    return write_hexadecimal(out, at + 1, mix(number ^ key))


@nb.njit(inline="always")
def write_customer(out: Bytes, at: int, number: int) -> int:
    """Write a customer's id."""
    out[at] = 67  # C
    return write_padded(out, at + 1, np.int64(number), 8)


@nb.njit(inline="always")
def write_token(out: Bytes, at: int, letter: int, number: int, key: np.uint64) -> int:
    """Write the id of a card or device: opaque, as a token is."""
    out[at] = letter
    return write_hexadecimal(out, at + 1, mix(np.uint64(number) + key * np.uint64(letter)))


@nb.njit(inline="always")
def write_account(out: Bytes, at: int, number: int) -> int:
    """Write an account's id: ten digits that do not tell which bank or customer it belongs to."""
    out[at] = 65  # A
    return write_padded(out, at + 1, number * ACCOUNT_FACTOR % ACCOUNT_SPACE, 10)


@nb.njit(inline="always")
def write_merchant(out: Bytes, at: int, number: int) -> int:
    """Write a merchant's id."""
    out[at] = 77  # M
    return write_padded(out, at + 1, np.int64(number), 7)


_LITERALS = (
    '{"kind":"transaction","transaction_id":"',
    '","event_time":"',
    ',"customer_id":',
    ',"card_id":',
    ',"account_id":',
    ',"merchant_id":',
    ',"counterparty_id":',
    ',"device_id":',
    ',"amount":',
    ',"currency":',
    ',"country":',
    ',"merchant_category":',
    ',"channel":',
    ',"card_country":',
    ',"latitude":',
    ',"longitude":',
    ',"fraud":false',
    ',"fraud":true',
    ',"story":',
    "}\n",
    '{"kind":"customer_change","change_id":"',
    '","changed_at":"',
    ',"field":',
    '{"kind":"authentication","login_id":"',
    ',"success":false',
    ',"success":true',
    '{"kind":"outcome","outcome_id":"',
    '","known_at":"',
    ',"transaction_id":"',
    "null",
)
(
    _OPEN, _TIME, _CUSTOMER, _CARD, _ACCOUNT, _MERCHANT, _COUNTERPARTY, _DEVICE, _AMOUNT, _CURRENCY, _COUNTRY,
    _CATEGORY, _CHANNEL, _CARD_COUNTRY, _LATITUDE, _LONGITUDE, _GENUINE, _FRAUD, _STORY, _CLOSE, _CHANGE, _CHANGED_AT,
    _FIELD, _LOGIN, _FAILED, _SUCCESS, _OUTCOME, _KNOWN_AT, _ABOUT, _NULL,
) = range(len(_LITERALS))  # fmt: skip


def _quoted(words: tuple[str, ...]) -> Vocabulary:
    """Return words in quotes; the last is ``null``, so that -1 writes it."""
    return vocabulary((*(f'"{word}"' for word in words), "null"))


class Tables(NamedTuple):
    """Every word that a line can hold."""

    literals: Vocabulary
    countries: Vocabulary
    currencies: Vocabulary
    categories: Vocabulary
    channels: Vocabulary
    fields: Vocabulary
    stories: Vocabulary


def _tables() -> Tables:
    return Tables(
        vocabulary(_LITERALS),
        _quoted(COUNTRIES),
        _quoted(CURRENCIES),
        _quoted(habits.CATEGORIES),
        _quoted(habits.CHANNELS),
        _quoted(habits.PROFILE_FIELDS),
        _quoted(STORIES),
    )


_TABLES = _tables()


@nb.njit(inline="always")
def _write_choice(out: Bytes, at: int, words: Vocabulary, word: int) -> int:
    return write_word(out, at, words, word if word >= 0 else len(words.start) - 2)


@nb.njit(nogil=True, cache=True)
def _write_ids(out: Bytes, at: int, event: np.void, key: np.uint64, texts: Tables, what: int) -> int:
    """Write one id in quotes, or null."""
    if what == _CUSTOMER:
        number = np.int64(event.customer)
    elif what == _CARD:
        number = event.card
    elif what == _ACCOUNT:
        number = event.account
    elif what == _COUNTERPARTY:
        number = event.counterparty
    elif what == _MERCHANT:
        number = np.int64(event.merchant)
    else:
        number = event.device
    at = write_word(out, at, texts.literals, what)
    if number < 0:
        return write_word(out, at, texts.literals, _NULL)
    out[at] = 34
    at += 1
    if what == _CUSTOMER:
        at = write_customer(out, at, number)
    elif what == _CARD:
        at = write_token(out, at, 75, number, key)
    elif what == _MERCHANT:
        at = write_merchant(out, at, number)
    elif what == _DEVICE:
        at = write_token(out, at, 68, number, key)
    else:
        at = write_account(out, at, number)
    out[at] = 34
    return at + 1


@nb.njit(nogil=True, cache=True)
def _write_transaction(out: Bytes, at: int, event: np.void, key: np.uint64, texts: Tables) -> int:
    literals = texts.literals
    for what in range(_CUSTOMER, _AMOUNT):
        at = _write_ids(out, at, event, key, texts, what)
    at = write_word(out, at, literals, _AMOUNT)
    at = write_fixed(out, at, event.amount, 2)
    at = write_word(out, at, literals, _CURRENCY)
    at = _write_choice(out, at, texts.currencies, event.currency)
    at = write_word(out, at, literals, _COUNTRY)
    at = _write_choice(out, at, texts.countries, event.country)
    at = write_word(out, at, literals, _CATEGORY)
    at = _write_choice(out, at, texts.categories, event.category)
    at = write_word(out, at, literals, _CHANNEL)
    at = _write_choice(out, at, texts.channels, event.channel)
    at = write_word(out, at, literals, _CARD_COUNTRY)
    at = _write_choice(out, at, texts.countries, event.card_country)
    at = _write_position(out, write_word(out, at, literals, _LATITUDE), event.latitude, literals)
    at = _write_position(out, write_word(out, at, literals, _LONGITUDE), event.longitude, literals)
    at = write_word(out, at, literals, _FRAUD if event.fraud else _GENUINE)
    at = write_word(out, at, literals, _STORY)
    return _write_choice(out, at, texts.stories, event.story)


@nb.njit(inline="always")
def _write_position(out: Bytes, at: int, position: int, literals: Vocabulary) -> int:
    if position == NOWHERE:
        return write_word(out, at, literals, _NULL)
    return write_fixed(out, at, np.int64(position), 5)


@nb.njit(nogil=True, cache=True)
def _write_outcome(out: Bytes, at: int, event: np.void, key: np.uint64, texts: Tables) -> int:
    at = write_word(out, at, texts.literals, _ABOUT)
    at = write_event_id(out, at, TRANSACTION, event.subject, key)
    out[at] = 34
    at = _write_ids(out, at + 1, event, key, texts, _CUSTOMER)
    at = _write_ids(out, at, event, key, texts, _CARD)
    at = _write_ids(out, at, event, key, texts, _MERCHANT)
    at = _write_ids(out, at, event, key, texts, _DEVICE)
    return write_word(out, at, texts.literals, _FRAUD if event.fraud else _GENUINE)


@nb.njit(nogil=True, cache=True)
def _write_rows(rows: Rows, key: np.uint64, texts: Tables, out: Bytes) -> int:
    literals = texts.literals
    at = 0
    day = np.int64(-1)
    date = (np.int64(0), np.int64(0), np.int64(0))
    for row in range(len(rows)):
        event = rows[row]
        today = event.time // 86_400_000
        if today != day:
            day = today
            date = civil(day)
        kind = event.kind
        opening, clock = (_OPEN, _TIME) if kind == TRANSACTION else (
            (_CHANGE, _CHANGED_AT) if kind == CUSTOMER_CHANGE else (
                (_LOGIN, _TIME) if kind == AUTHENTICATION else (_OUTCOME, _KNOWN_AT)
            )
        )
        at = write_word(out, at, literals, opening)
        at = write_event_id(out, at, kind, event.number, key)
        at = write_word(out, at, literals, clock)
        at = write_time(out, at, event.time, day, date)
        out[at] = 34
        at += 1
        if kind == TRANSACTION:
            at = _write_transaction(out, at, event, key, texts)
        elif kind == CUSTOMER_CHANGE:
            at = _write_ids(out, at, event, key, texts, _CUSTOMER)
            at = write_word(out, at, literals, _FIELD)
            at = _write_choice(out, at, texts.fields, event.field)
        elif kind == AUTHENTICATION:
            at = _write_ids(out, at, event, key, texts, _CUSTOMER)
            at = _write_ids(out, at, event, key, texts, _DEVICE)
            at = write_word(out, at, literals, _SUCCESS if event.flag else _FAILED)
            at = write_word(out, at, literals, _COUNTRY)
            at = _write_choice(out, at, texts.countries, event.country)
        else:
            at = _write_outcome(out, at, event, key, texts)
        at = write_word(out, at, literals, _CLOSE)
    return at


def write_ndjson(events: EventColumns) -> Bytes:
    """Return the events as the bytes of NDJSON lines."""
    out = np.empty(len(events) * ROW_BYTES_MAX, np.uint8)
    return out[: _write_rows(events.rows, events.key, _TABLES, out)]


assert KINDS == ("transaction", "customer_change", "authentication", "outcome"), "the letters of ids follow the kinds"
