"""Events as lines of JSON: one table-driven kernel for all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes
from counterfoil.events.generators.columns import EVENT, EventColumns
from counterfoil.events.generators.digits import (
    Vocabulary,
    vocabulary,
    write_fixed,
    write_hexadecimal,
    write_padded,
    write_time,
    write_word,
)
from counterfoil.events.generators.draws import mix
from counterfoil.events.generators.fields import FIELDS, Format
from counterfoil.events.generators.population import NOWHERE
from counterfoil.events.words import PADDING

ACCOUNT_SPACE = 10_000_000_000
ACCOUNT_FACTOR = 387_420_489
"""3^18: has no factor in common with 10, so numbers times it, modulo ``ACCOUNT_SPACE``, stay distinct."""

ROW_BYTES_MAX = 640
"""No event is longer: the names take 310 bytes, the values at most 260."""
TEXT_BYTES_MAX = 32
"""No value is longer, quotes left out."""

_QUOTE, _CLOSE, _NEWLINE = 34, 125, 10
_TIME, _EVENT, _TOKEN, _ACCOUNT, _NUMBER, _WORD, _FLAG, _MONEY, _POSITION = (int(each) for each in Format)

# Columns of ``Layout.steps``.
STEP_LITERAL, STEP_FORMAT, STEP_WIDTH, STEP_PLACE, STEP_LETTER, STEP_WORDS = range(6)


class Layout(NamedTuple):
    """What is written for each field of each kind."""

    first: npt.NDArray[np.int64]
    """(kinds + 1,): where each kind's fields begin."""
    steps: npt.NDArray[np.int64]
    """(fields, 6): the literal before it, its format, its column's width and place, its letter, its first word."""
    words: Vocabulary
    """Literals and vocabularies; the last three are ``null``, ``false`` and ``true``."""


def make_layout(*, quoted: bool) -> Layout:
    """Return how the fields of each kind are written; ``quoted`` words are JSON strings."""
    words: list[str] = []
    places: dict[tuple[str, ...], int] = {}
    steps = []
    for kind, members in FIELDS.items():
        for number, each in enumerate(members):
            literal = len(words)
            words.append((f'{{"kind":"{kind}",' if number == 0 else ",") + f'"{each.name}":')
            if each.words and each.words not in places:
                places[each.words] = len(words)
                words.extend(f'"{word}"' if quoted else word for word in each.words)
            letter = ord(each.letter) if each.letter else 0
            steps.append((literal, each.format, each.width, each.place, letter, places.get(each.words, 0)))
    first = np.cumsum([0] + [len(members) for members in FIELDS.values()]).astype(np.int64)
    return Layout(first, np.array(steps, np.int64), vocabulary([*words, "null", "false", "true"]))


def _kind_place() -> int:
    fields = EVENT.fields
    assert fields is not None
    return int(fields["kind"][1])


_LAYOUT = make_layout(quoted=True)
KIND_PLACE = _kind_place()
"""Where an event's bytes hold its kind."""


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def load_number(
    width: int,
    place: int,
    row: int,
    wide: npt.NDArray[np.int64],
    middle: npt.NDArray[np.int32],
    narrow: npt.NDArray[np.int8],
) -> int:
    """Return a field's number from a row seen as words of eight, four and one bytes."""
    if width == 8:
        return wide[row, place]
    if width == 4:
        return np.int64(middle[row, place])
    return np.int64(narrow[row, place])


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def is_null(form: int, number: int) -> bool:
    """Return whether a field's number stands for null."""
    if form == _POSITION:
        return number == NOWHERE
    # Every 64-bit number names an event.
    return number < 0 and form != _EVENT and form != _TIME


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def write_id(out: Bytes, at: int, form: int, letter: int, number: int, key: np.uint64) -> int:
    """Write an id, without quotes."""
    out[at] = np.uint8(letter)
    if form == _NUMBER:
        return write_padded(out, at + 1, number, 8)
    if form == _ACCOUNT:
        digits = number * ACCOUNT_FACTOR % ACCOUNT_SPACE
        high = digits // 100_000_000
        at = write_padded(out, at + 1, high, 2)
        return write_padded(out, at, digits - high * 100_000_000, 8)
    # Cards and devices are numbered alike, so the letter goes into the key; mix is a bijection: ids stay distinct.
    secret = key * np.uint64(letter) if form == _TOKEN else key
    return write_hexadecimal(out, at + 1, mix(np.uint64(number) + secret))


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def _write_plain(out: Bytes, at: int, form: int, first: int, number: int, words: Vocabulary) -> int:
    """Write a value whose quotes, if it has any, are its own."""
    if form == _WORD:
        return write_word(out, at, words, first + number)
    if form == _MONEY:
        return write_fixed(out, at, number, 100, 2)
    if form == _POSITION:
        return write_fixed(out, at, number, 100_000, 5)
    return write_word(out, at, words, len(words.start) - 3 + number)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _write_rows(
    layout: Layout,
    wide: npt.NDArray[np.int64],
    middle: npt.NDArray[np.int32],
    narrow: npt.NDArray[np.int8],
    key: np.uint64,
    out: Bytes,
) -> int:
    words = layout.words
    steps = layout.steps
    null = len(words.start) - 4
    at = 0
    for row in range(len(wide)):
        kind = narrow[row, KIND_PLACE]
        for step in range(layout.first[kind], layout.first[kind + 1]):
            at = write_word(out, at, words, steps[step, STEP_LITERAL])
            form = steps[step, STEP_FORMAT]
            number = load_number(steps[step, STEP_WIDTH], steps[step, STEP_PLACE], row, wide, middle, narrow)
            if is_null(form, number):
                at = write_word(out, at, words, null)
            elif form >= _WORD:
                at = _write_plain(out, at, form, steps[step, STEP_WORDS], number, words)
            else:
                out[at] = _QUOTE
                if form == _TIME:
                    at = write_time(out, at + 1, number)
                else:
                    at = write_id(out, at + 1, form, steps[step, STEP_LETTER], number, key)
                out[at] = _QUOTE
                at += 1
        out[at] = _CLOSE
        out[at + 1] = _NEWLINE
        at += 2
    return at


def write_ahead(chunks: Iterator[EventColumns]) -> Iterator[memoryview]:
    """Yield the chunks as NDJSON, each written by a second thread while the next is being generated.

    Both sides run without the interpreter's lock nearly all the time. At most two chunks are held at once.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ndjson") as writer:
        before: Future[Bytes] | None = None
        for events in chunks:
            after = writer.submit(write_ndjson, events)
            if before is not None:
                yield before.result().data
            before = after
        if before is not None:
            yield before.result().data


def write_ndjson(events: EventColumns) -> Bytes:
    """Return the events as the bytes of NDJSON lines."""
    out = np.empty(len(events) * ROW_BYTES_MAX + PADDING, np.uint8)
    return out[: _write_rows(_LAYOUT, *events.words(), events.key, out)]
