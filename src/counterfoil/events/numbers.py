"""Decimal text to numbers, exactly: scaled integers without a detour over floats, and correctly rounded floats."""

from __future__ import annotations

import math

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes

NUMBER_OK = 0
NUMBER_BAD = 1
"""The text is no decimal number."""
NUMBER_INEXACT = 2
"""The number has more digits behind the point than the scale keeps."""
NUMBER_RANGE = 3
"""The number is beyond what the word can hold."""

_DIGITS_MAX = 19
"""As many digits as always fit 64 bits: 10^19 < 2^64."""
_EXPONENT_MAX = 1_000_000
"""Where the count of an exponent's digits stops: far beyond every double, far from overflowing."""
_POWERS = np.array([10**power for power in range(20)], np.uint64)
_EXACT_POWERS = np.array([10.0**power for power in range(23)], np.float64)
"""The powers of ten that a double holds exactly."""
_INT64_MAX = np.uint64(2**63 - 1)
_FLOAT_DIGITS_MAX = 800
"""A double is decided by at most 768 decimal digits; whatever follows only says "a little more"."""


def float_limbs() -> npt.NDArray[np.uint64]:
    """Return room for two big integers of 2,000 decimal digits: the longest that ``parse_float`` divides."""
    return np.zeros((2, 250), np.uint64)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def split_decimal(data: Bytes, start: int, end: int) -> tuple[int, bool, np.uint64, int, int, bool]:
    """Read a decimal number: sign, digits, point, exponent.

    Returns
    -------
    tuple
        Whether it is one (``NUMBER_OK`` or ``NUMBER_BAD``), whether it is negative, its first 19 digits that count
        as an integer without trailing zeros, the power of ten to multiply them with, the power of ten of its first
        digit that counts, and whether digits other than zero follow the 19.
    """
    at = start
    negative = False
    if at < end and (data[at] == 45 or data[at] == 43):
        negative = data[at] == 45
        at += 1
    mantissa = np.uint64(0)
    kept = 0
    zeros = 0
    power = 0
    more = False
    seen = 0
    fraction = False
    while at < end:
        byte = np.int64(data[at])
        if byte == 46:
            if fraction:
                break
            fraction = True
            at += 1
            continue
        if byte < 48 or byte > 57:
            break
        seen += 1
        if fraction:
            power -= 1
        if byte == 48:
            # Zeros wait: they count only when another digit follows them.
            if kept:
                zeros += 1
        elif kept + zeros < _DIGITS_MAX:
            mantissa = mantissa * _POWERS[zeros + 1] + np.uint64(byte - 48)
            kept += zeros + 1
            zeros = 0
        else:
            more = True
            zeros += 1
        at += 1
    if seen == 0:
        return NUMBER_BAD, False, mantissa, 0, 0, False
    if at < end and (data[at] == 101 or data[at] == 69):
        at += 1
        down = False
        if at < end and (data[at] == 45 or data[at] == 43):
            down = data[at] == 45
            at += 1
        exponent = 0
        digits = 0
        while at < end and 48 <= data[at] <= 57:
            exponent = min(exponent * 10 + np.int64(data[at]) - 48, _EXPONENT_MAX)
            digits += 1
            at += 1
        if digits == 0:
            return NUMBER_BAD, False, mantissa, 0, 0, False
        power += -exponent if down else exponent
    if at != end:
        return NUMBER_BAD, False, mantissa, 0, 0, False
    power += zeros
    return NUMBER_OK, negative, mantissa, power, power + kept - 1, more


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def parse_scaled(data: Bytes, start: int, end: int, scale: int, floor: bool) -> tuple[int, int]:
    """Return a status and a decimal number times ten to the ``scale``, as an exact int64 but not the lowest of them.

    -2^63 is out of range: its negative is, and kernels keep it as the mark of a value that is not there.

    With ``floor`` the digits beyond the scale are cut off towards minus infinity, else they are ``NUMBER_INEXACT``
    unless they are zeros.
    """
    status, negative, mantissa, power, first, more = split_decimal(data, start, end)
    if status != NUMBER_OK or mantissa == 0:
        return status, 0
    shift = power + scale
    if first + scale > 18:
        return NUMBER_RANGE, 0
    rest = more
    if shift >= 0:
        # More than 19 digits within range: the last of them lie behind the scale.
        if more and not floor:
            return NUMBER_INEXACT, 0
        mantissa *= _POWERS[shift]
    else:
        if not floor:
            return NUMBER_INEXACT, 0
        if shift <= -_DIGITS_MAX - 1:
            mantissa = np.uint64(0)
        else:
            divisor = _POWERS[-shift]
            mantissa //= divisor
        rest = True
    if negative and rest:
        mantissa += np.uint64(1)
    if mantissa > _INT64_MAX:
        return NUMBER_RANGE, 0
    return NUMBER_OK, -np.int64(mantissa) if negative else np.int64(mantissa)


@nb.njit(nogil=True, cache=True, _nrt=False)
def parse_float(data: Bytes, start: int, end: int, limbs: npt.NDArray[np.uint64]) -> tuple[int, float]:
    """Return a status and the double nearest to a decimal number, ties to even: the same as Python's ``float``.

    ``limbs`` is room for the rare long way: see ``float_limbs``.
    """
    status, negative, mantissa, power, first, more = split_decimal(data, start, end)
    if status != NUMBER_OK:
        return status, 0.0
    if mantissa != 0 and first > 309:
        return NUMBER_RANGE, 0.0
    if mantissa == 0 or first < -326:
        value = 0.0
    elif not more and mantissa <= np.uint64(2**53) and -22 <= power <= 22:
        # Both are exact doubles, so one operation rounds once (Clinger 1990).
        value = np.float64(mantissa)
        value = value * _EXACT_POWERS[power] if power >= 0 else value / _EXACT_POWERS[-power]
    elif not more and -18 <= power < 0:
        value = _divide(mantissa, _POWERS[-power])
    else:
        value = _long_float(data, start, end, first, limbs)
    if math.isinf(value):
        return NUMBER_RANGE, 0.0
    return NUMBER_OK, -value if negative else value


@nb.njit(nogil=True, cache=True, _nrt=False)
def _divide(numerator: np.uint64, denominator: np.uint64) -> float:
    """Return the double nearest to a quotient; the denominator is below 2^63, the quotient no subnormal."""
    quotient = numerator // denominator
    rest = numerator % denominator
    exponent = 0
    top = np.uint64(1) << np.uint64(53)
    sticky = False
    while quotient >= top << np.uint64(1):
        sticky |= (quotient & np.uint64(1)) != 0
        quotient >>= np.uint64(1)
        exponent += 1
    while quotient < top:
        rest <<= np.uint64(1)
        quotient <<= np.uint64(1)
        if rest >= denominator:
            rest -= denominator
            quotient |= np.uint64(1)
        exponent -= 1
    half = quotient & np.uint64(1)
    quotient >>= np.uint64(1)
    if half and (sticky or rest != 0 or quotient & np.uint64(1)):
        quotient += np.uint64(1)
    return math.ldexp(np.float64(quotient), exponent + 1)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _multiply_add(limbs: npt.NDArray[np.uint64], factor: int, addend: int) -> None:
    """Multiply a big integer of 32-bit limbs, lowest first, by a small one and add another."""
    carry = np.uint64(addend)
    for index in range(len(limbs)):
        carry += limbs[index] * np.uint64(factor)
        limbs[index] = carry & np.uint64(0xFFFFFFFF)
        carry >>= np.uint64(32)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _bit_length(limbs: npt.NDArray[np.uint64]) -> int:
    for index in range(len(limbs) - 1, -1, -1):
        if limbs[index]:
            bits = 0
            while limbs[index] >> np.uint64(bits):
                bits += 1
            return index * 32 + bits
    return 0


@nb.njit(nogil=True, cache=True, _nrt=False)
def _shift_left(limbs: npt.NDArray[np.uint64], bits: int) -> None:
    whole, part = bits // 32, np.uint64(bits % 32)
    for index in range(len(limbs) - 1, -1, -1):
        value = np.uint64(0)
        if index >= whole:
            value = limbs[index - whole] << part
            if index > whole:
                value |= limbs[index - whole - 1] >> (np.uint64(32) - part)
        limbs[index] = value & np.uint64(0xFFFFFFFF)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _at_least(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> bool:
    for index in range(len(left) - 1, -1, -1):
        if left[index] != right[index]:
            return left[index] > right[index]
    return True


@nb.njit(nogil=True, cache=True, _nrt=False)
def _subtract(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> None:
    borrow = np.uint64(0)
    for index in range(len(left)):
        difference = left[index] - right[index] - borrow
        borrow = (difference >> np.uint64(63)) & np.uint64(1)
        left[index] = difference & np.uint64(0xFFFFFFFF)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _long_float(data: Bytes, start: int, end: int, first: int, limbs: npt.NDArray[np.uint64]) -> float:
    """Return the double nearest to a number whose first digit that counts has the power of ten ``first``.

    Big integers divided bit by bit: slow and exact, for the few numbers that have very many digits or are very large
    or very small.
    """
    limbs[:] = 0
    numerator, denominator = limbs[0], limbs[1]
    denominator[0] = 1
    kept = 0
    sticky = False
    for at in range(start, end):
        byte = np.int64(data[at])
        if byte == 101 or byte == 69:
            break
        if byte < 48 or byte > 57 or (kept == 0 and byte == 48):
            continue
        if kept < _FLOAT_DIGITS_MAX:
            _multiply_add(numerator, 10, byte - 48)
            kept += 1
        else:
            sticky |= byte != 48
    power = first - kept + 1
    scaled = numerator if power > 0 else denominator
    for _ in range(abs(power)):
        _multiply_add(scaled, 10, 0)
    exponent = _bit_length(numerator) - _bit_length(denominator)
    _shift_left(denominator if exponent > 0 else numerator, abs(exponent))
    if not _at_least(numerator, denominator):
        _shift_left(numerator, 1)
        exponent -= 1
    if exponent > 1023:
        return math.inf
    bits = min(53, exponent + 1075)
    if bits < 0:
        return 0.0
    quotient = np.uint64(0)
    half = False
    for index in range(bits + 1):
        taken = _at_least(numerator, denominator)
        if taken:
            _subtract(numerator, denominator)
        _shift_left(numerator, 1)
        if index < bits:
            quotient = (quotient << np.uint64(1)) | np.uint64(taken)
        else:
            half = taken
    rest = sticky or _bit_length(numerator) > 0
    if half and (rest or quotient & np.uint64(1)):
        quotient += np.uint64(1)
    return math.ldexp(np.float64(quotient), exponent - bits + 1)
