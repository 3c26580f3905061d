"""Decimal numbers against Python's own Decimal and float."""

from __future__ import annotations

import math
import struct
from decimal import ROUND_FLOOR, Decimal, localcontext

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from counterfoil.events.numbers import (
    NUMBER_BAD,
    NUMBER_INEXACT,
    NUMBER_OK,
    NUMBER_RANGE,
    float_limbs,
    parse_float,
    parse_scaled,
)
from counterfoil.events.words import padded

DIGITS = st.text("0123456789", min_size=0, max_size=45)
NUMBERS = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole}{fraction}{exponent}",
    st.sampled_from(["", "-", "+"]),
    DIGITS,
    st.one_of(st.just(""), DIGITS.map(lambda digits: "." + digits)),
    st.one_of(st.just(""), st.integers(-400, 400).map(lambda power: f"e{power}")),
)


def scaled(text: str, scale: int, *, floor: bool = False) -> tuple[int, int]:
    data = padded(text.encode())
    status, number = parse_scaled(data, 0, len(text), scale, floor)
    return int(status), int(number)


def scaled_slow(text: str, scale: int, *, floor: bool) -> tuple[int, int]:
    """The twin: exact decimals."""
    if not any(character.isdigit() for character in text.lower().split("e")[0]):
        return NUMBER_BAD, 0
    with localcontext() as context:
        context.prec = 2_000
        number = Decimal(text).scaleb(scale)
        whole = number.to_integral_value(rounding=ROUND_FLOOR)
        if abs(number) >= Decimal(10) ** 19:
            return NUMBER_RANGE, 0
        if whole != number and not floor:
            return NUMBER_INEXACT, 0
        return (NUMBER_OK, int(whole)) if -(2**63) < whole < 2**63 else (NUMBER_RANGE, 0)


@given(NUMBERS, st.integers(-3, 6), st.booleans())
def test_scaled_numbers_equal_exact_decimals(text: str, scale: int, floor: bool) -> None:
    found, expected = scaled(text, scale, floor=floor), scaled_slow(text, scale, floor=floor)
    if expected[0] == NUMBER_INEXACT and found[0] == NUMBER_RANGE:
        # Both are wrong with it; which is said first is open.
        assert abs(Decimal(text)).scaleb(scale) > 2**63 - 1
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("text", "scale", "expected"),
    [
        ("57.16", 2, (NUMBER_OK, 5716)),
        ("57.1600000", 2, (NUMBER_OK, 5716)),
        ("5.716e1", 2, (NUMBER_OK, 5716)),
        ("57.165", 2, (NUMBER_INEXACT, 0)),
        ("-0.00", 2, (NUMBER_OK, 0)),
        ("0e-999999999999", 2, (NUMBER_OK, 0)),
        ("1e999999999999", 2, (NUMBER_RANGE, 0)),
        ("9223372036854775807", 0, (NUMBER_OK, 2**63 - 1)),
        ("-9223372036854775807", 0, (NUMBER_OK, 1 - 2**63)),
        ("-9223372036854775808", 0, (NUMBER_RANGE, 0)),
        ("9223372036854775808", 0, (NUMBER_RANGE, 0)),
        ("1" * 5_000, 2, (NUMBER_RANGE, 0)),
        ("", 2, (NUMBER_BAD, 0)),
        (".", 2, (NUMBER_BAD, 0)),
        ("1.2.3", 2, (NUMBER_BAD, 0)),
        ("1e", 2, (NUMBER_BAD, 0)),
        ("1_000", 2, (NUMBER_BAD, 0)),
        ("NaN", 2, (NUMBER_BAD, 0)),
        ("0x10", 2, (NUMBER_BAD, 0)),
    ],
)
def test_scaled_numbers_at_their_edges(text: str, scale: int, expected: tuple[int, int]) -> None:
    assert scaled(text, scale) == expected


def parsed_float(text: str) -> float | None:
    """Return what the kernel makes of a text; None where it is beyond a double."""
    data = padded(text.encode())
    status, number = parse_float(data, 0, len(text), float_limbs())
    assert status in {NUMBER_OK, NUMBER_RANGE}
    return float(number) if status == NUMBER_OK else None


def bits(number: float) -> bytes:
    return struct.pack("d", number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_to_the_bit(number: float) -> None:
    found = parsed_float(repr(number))
    assert found is not None
    assert bits(found) == bits(number)


@given(NUMBERS.filter(lambda text: any(character.isdigit() for character in text.split("e")[0])))
@example("-0e311")
def test_floats_equal_those_of_python(text: str) -> None:
    expected = float(text)
    found = parsed_float(text)
    if math.isinf(expected):
        assert found is None
    else:
        assert found is not None
        assert bits(found) == bits(expected)


@pytest.mark.parametrize(
    "text",
    [
        "9007199254740993",  # 2^53 + 1: a tie, to even
        "9007199254740993.0000000000000000000000000000000000000000000000000001",
        "1.7976931348623157e308",
        "4.9e-324",
        "2.4703282292062327e-324",  # just below half of the smallest
        "2.4703282292062328e-324",  # just above
        "2.2250738585072011e-308",  # the one that once made PHP and Java loop for ever
        "0." + "0" * 400 + "1",
        "1" + "0" * 300 + "." + "0" * 900 + "1",
        "123456789012345678901234567890e-20",
        "-0.0",
    ],
)
def test_floats_that_are_hard_to_round(text: str) -> None:
    found = parsed_float(text)
    assert found is not None
    assert bits(found) == bits(float(text))


@pytest.mark.parametrize("text", ["1.7976931348623159e308", "1e309", "1e99999999", "-1e400"])
def test_floats_beyond_a_double_are_refused(text: str) -> None:
    assert parsed_float(text) is None
