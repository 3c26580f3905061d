from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.generators.digits import (
    civil,
    vocabulary,
    write_clock,
    write_date,
    write_fixed,
    write_hexadecimal,
    write_integer,
    write_padded,
    write_time,
    write_word,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = st.integers(-60_000_000_000_000, 250_000_000_000_000)


def written(write: Callable[..., int], *arguments: object) -> str:
    out = np.full(64, ord("#"), np.uint8)
    end = write(out, 3, *arguments)
    assert out[:3].tobytes() == b"###"
    return out[3:end].tobytes().decode()


@given(st.integers(1, 8).flatmap(lambda width: st.tuples(st.integers(0, 10**width - 1), st.just(width))))
def test_padded(case: tuple[int, int]) -> None:
    number, width = case
    assert written(write_padded, number, width) == f"{number:0{width}d}"


@given(st.integers(-(10**16) + 1, 10**16 - 1))
def test_integer(number: int) -> None:
    assert written(write_integer, number) == str(number)


@given(st.integers(-(10**15), 10**15), st.integers(1, 8))
def test_fixed(number: int, digits: int) -> None:
    expected = f"{Decimal(number).scaleb(-digits):.{digits}f}"
    assert written(write_fixed, number, 10**digits, digits) == expected


@given(st.integers(0, 2**64 - 1))
def test_hexadecimal(word: int) -> None:
    assert written(write_hexadecimal, np.uint64(word)) == f"{word:016x}"[::-1]


@given(TIMES)
def test_time(time: int) -> None:
    moment = EPOCH + timedelta(milliseconds=time)
    expected = f"{moment.year:04d}{moment:-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    assert written(write_time, time) == expected


@given(TIMES)
def test_civil_date_and_clock(time: int) -> None:
    moment = EPOCH + timedelta(milliseconds=time)
    day = time // 86_400_000
    assert civil(day) == (moment.year, moment.month, moment.day)
    assert written(write_date, day) == f"{moment.year:04d}{moment:-%m-%d}"
    assert written(write_clock, time // 1000 % 86_400) == f"{moment:%H:%M:%S}"


def test_words() -> None:
    words = vocabulary(("", "a", "twenty-one characters!", "ä"))
    assert [written(write_word, words, number) for number in range(4)] == ["", "a", "twenty-one characters!", "ä"]
