"""The register machine that runs assembled expressions over blocks of rows.

A program is a table of instructions. The switch over the instruction's code stands outside and each inner loop runs
over a block of rows, so that the loops vectorise and the switch costs nothing for large batches; a single row costs
one switch and one short loop per instruction.

Null bytes are 0 for a value, 1 for null and 2 for failed (an overflow of exact arithmetic). Where an operation gets
both, the larger one wins. A word beside a null byte means nothing until ``STORE`` makes it 0.
"""

from __future__ import annotations

import math
from enum import IntEnum, unique

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes, Words


@unique
class Code(IntEnum):
    """What an instruction does.

    The order counts: up to ``MEMBER`` the null byte of the result is that of the only operand, up to ``POWER`` the
    larger of two operands' ones, and both are set before the switch.
    """

    # One operand.
    NOT = 0
    FINITE = 1
    """A float as it is; null where it is not finite."""
    TO_FLOAT = 2
    """An exact number over ``first`` as a float."""
    TO_INT = 3
    """A float, rounded half to even."""
    NEGATE = 4
    ABSOLUTE = 5
    FLOAT_NEGATE = 6
    FLOAT_ABSOLUTE = 7
    ROUND = 8
    """An exact number to a multiple of ``first``, half away from zero."""
    FLOOR = 9
    CEIL = 10
    UNIT = 11
    """An exact number over ``first``, half away from zero."""
    FLOAT_ROUND = 12
    """A float to ``first`` decimal digits, half away from zero."""
    FLOAT_FLOOR = 13
    FLOAT_CEIL = 14
    SQRT = 15
    LN = 16
    LOG10 = 17
    EXP = 18
    CLOCK = 19
    """A time modulo ``first``, over ``second``, both rounded down: an hour of the day, say."""
    CALENDAR = 20
    """The year (``first`` 0), month (1) or day (2) of a time."""
    MEMBER = 21
    """Whether a word is one of the ``second`` sorted constants from ``first`` on."""
    # Two operands.
    EQUAL = 30
    NOT_EQUAL = 31
    LESS = 32
    AT_MOST = 33
    FLOAT_EQUAL = 34
    FLOAT_NOT_EQUAL = 35
    FLOAT_LESS = 36
    FLOAT_AT_MOST = 37
    ADD = 38
    SUBTRACT = 39
    MULTIPLY = 40
    QUOTIENT = 41
    """Of exact numbers, towards zero; null over 0."""
    REMAINDER = 42
    """With the sign of the first operand; null over 0."""
    FLOAT_ADD = 43
    FLOAT_SUBTRACT = 44
    FLOAT_MULTIPLY = 45
    FLOAT_DIVIDE = 46
    FLOAT_REMAINDER = 47
    POWER = 48
    # What knows about nulls.
    EVENT = 60
    """Load row ``first`` of ``Batch.values``."""
    CLOCK_TIME = 61
    """Load the event's time."""
    WORK = 62
    """Load row ``first`` of the work matrix."""
    CONSTANT = 63
    """The word ``first`` with the null byte ``second``."""
    STORE = 64
    """Write the operand to row ``first`` of the work matrix."""
    AND = 65
    OR = 66
    IS_NULL = 67
    IS_TRUE = 68
    SELECT = 69
    """The second operand where the first is true, else the third."""
    COALESCE = 70
    NULL_IF = 71
    """The first operand; null where the second is true."""
    LEAST = 72
    GREATEST = 73
    FLOAT_LEAST = 74
    FLOAT_GREATEST = 75
    DISTANCE = 76
    """Great-circle kilometres between (latitude, longitude) and (latitude, longitude) in degrees."""


COLUMNS = 8
"""Code, target register, four operand registers, ``first``, ``second``."""

BLOCK = 256
"""Rows a block: a register is then 2 KB, and the dozen that are alive at a time stay in the first-level cache."""

EARTH_RADIUS = 6371.0088
"""Mean radius (2a + b) / 3 of the WGS 84 ellipsoid in kilometres.

Moritz: Geodetic Reference System 1980, Journal of Geodesy 74 (2000), 128.
"""

# numba takes plain integers at module level for constants: the switch over them becomes one jump.
_LAST_OF_ONE = int(Code.MEMBER)
_LAST_OF_TWO = int(Code.POWER)
_NOT, _FINITE, _TO_FLOAT, _TO_INT = int(Code.NOT), int(Code.FINITE), int(Code.TO_FLOAT), int(Code.TO_INT)
_NEGATE, _ABSOLUTE = int(Code.NEGATE), int(Code.ABSOLUTE)
_FLOAT_NEGATE, _FLOAT_ABSOLUTE = int(Code.FLOAT_NEGATE), int(Code.FLOAT_ABSOLUTE)
_ROUND, _FLOOR, _CEIL, _UNIT = int(Code.ROUND), int(Code.FLOOR), int(Code.CEIL), int(Code.UNIT)
_FLOAT_ROUND, _FLOAT_FLOOR, _FLOAT_CEIL = int(Code.FLOAT_ROUND), int(Code.FLOAT_FLOOR), int(Code.FLOAT_CEIL)
_SQRT, _LN, _LOG10, _EXP = int(Code.SQRT), int(Code.LN), int(Code.LOG10), int(Code.EXP)
_CLOCK, _CALENDAR, _MEMBER = int(Code.CLOCK), int(Code.CALENDAR), int(Code.MEMBER)
_EQUAL, _NOT_EQUAL, _LESS, _AT_MOST = int(Code.EQUAL), int(Code.NOT_EQUAL), int(Code.LESS), int(Code.AT_MOST)
_FLOAT_EQUAL, _FLOAT_NOT_EQUAL = int(Code.FLOAT_EQUAL), int(Code.FLOAT_NOT_EQUAL)
_FLOAT_LESS, _FLOAT_AT_MOST = int(Code.FLOAT_LESS), int(Code.FLOAT_AT_MOST)
_ADD, _SUBTRACT, _MULTIPLY = int(Code.ADD), int(Code.SUBTRACT), int(Code.MULTIPLY)
_QUOTIENT, _REMAINDER = int(Code.QUOTIENT), int(Code.REMAINDER)
_FLOAT_ADD, _FLOAT_SUBTRACT = int(Code.FLOAT_ADD), int(Code.FLOAT_SUBTRACT)
_FLOAT_MULTIPLY, _FLOAT_DIVIDE = int(Code.FLOAT_MULTIPLY), int(Code.FLOAT_DIVIDE)
_FLOAT_REMAINDER, _POWER = int(Code.FLOAT_REMAINDER), int(Code.POWER)
_EVENT, _CLOCK_TIME, _WORK, _CONSTANT = int(Code.EVENT), int(Code.CLOCK_TIME), int(Code.WORK), int(Code.CONSTANT)
_STORE, _AND, _OR, _IS_NULL, _IS_TRUE = (
    int(Code.STORE),
    int(Code.AND),
    int(Code.OR),
    int(Code.IS_NULL),
    int(Code.IS_TRUE),
)
_SELECT, _COALESCE, _NULL_IF = int(Code.SELECT), int(Code.COALESCE), int(Code.NULL_IF)
_LEAST, _GREATEST = int(Code.LEAST), int(Code.GREATEST)
_FLOAT_LEAST, _FLOAT_GREATEST, _DISTANCE = int(Code.FLOAT_LEAST), int(Code.FLOAT_GREATEST), int(Code.DISTANCE)

_INT_MIN = np.int64(-(2**63))
_TOO_LARGE = 2.0**63
_DAY = np.int64(86_400_000_000)


@nb.njit(inline="always")
def _bad(null: np.uint8, condition: bool, byte: np.uint8) -> np.uint8:
    return byte if condition and null == 0 else null


# numba tells LLVM that signed arithmetic never wraps around, and LLVM then leaves out a check that it did. Unsigned
# arithmetic may wrap.


@nb.njit(inline="always")
def _add(x: np.int64, y: np.int64) -> np.int64:
    return np.int64(np.uint64(x) + np.uint64(y))


@nb.njit(inline="always")
def _subtract(x: np.int64, y: np.int64) -> np.int64:
    return np.int64(np.uint64(x) - np.uint64(y))


@nb.njit(inline="always")
def _multiply(x: np.int64, y: np.int64) -> np.int64:
    return np.int64(np.uint64(x) * np.uint64(y))


@nb.njit(inline="always")
def _finite(value: float) -> bool:
    # NaN and the infinities are the only ones for which this is not 0.
    return value - value == 0.0


@nb.njit(inline="always")
def _nearest(value: float) -> float:
    """Round half away from zero, as C's ``round`` does."""
    whole = np.trunc(value)
    return whole + math.copysign(1.0, value) if abs(value - whole) >= 0.5 else whole


@nb.njit(inline="always")
def _round_to_digits(value: float, digits: int) -> float:
    scale = 10.0 ** abs(digits)
    result = _nearest(value * scale) / scale if digits >= 0 else _nearest(value / scale) * scale
    # Beyond 2**52 there are no decimals to round, and the product may leave the range.
    return result if _finite(result) else value


@nb.njit(nogil=True, cache=True, error_model="numpy")
def great_circle(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """Return the great-circle distance in kilometres between two points in degrees, by the haversine formula.

    References
    ----------
    R. W. Sinnott: Virtues of the Haversine, Sky and Telescope 68 (1984), 159.
    """
    phi1, phi2 = math.radians(latitude1), math.radians(latitude2)
    half_phi = math.sin((phi2 - phi1) / 2.0)
    half_lambda = math.sin(math.radians(longitude2 - longitude1) / 2.0)
    square = half_phi * half_phi + math.cos(phi1) * math.cos(phi2) * half_lambda * half_lambda
    return 2.0 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, square)))


@nb.njit(inline="always")
def _calendar(time: np.int64, part: np.int64) -> np.int64:
    """Return year, month or day of a time (Hinnant: chrono-compatible low-level date algorithms, civil_from_days)."""
    day = time // _DAY + 719_468
    era = day // 146_097
    day_of_era = day - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    if part == 2:
        return day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    if part == 1:
        return month
    return year_of_era + era * 400 + (1 if month <= 2 else 0)


@nb.njit(nogil=True, cache=True, error_model="numpy")
def run(  # noqa: C901 - one switch, and each of its branches a loop of a line or two
    code: Words,
    pool: Words,
    registers: int,
    values: Words,
    value_nulls: Bytes,
    time: Words,
    rows: Words,
    work: Words,
    work_nulls: Bytes,
    begin: int,
    end: int,
) -> None:
    """Run a program over the rows ``rows`` of a batch; row ``i`` of them is column ``i`` of ``work``.

    Parameters
    ----------
    code
        (instructions, COLUMNS).
    pool
        Sorted constants of lists.
    registers
        How many registers the program uses. No instruction's target is one of its own operands, so that the loops
        vectorise.
    values, value_nulls, time
        The batch.
    rows
        Which of its rows to run over.
    work, work_nulls
        (work rows, len(rows)): read by ``WORK``, written by ``STORE``.
    begin, end
        Which of ``rows`` to run over: others may be another thread's.
    """
    block = min(BLOCK, end - begin)
    r = np.empty((registers, block), np.int64)
    f = r.view(np.float64)
    null = np.empty((registers, block), np.uint8)
    one, two = np.uint8(1), np.uint8(2)
    for start in range(begin, end, BLOCK):
        n = min(BLOCK, end - start)
        # An unsigned index spares the check for negative ones, which keeps numba's loops from vectorising.
        origin = np.uint64(start)
        for at in range(code.shape[0]):
            op, t, a, b, c, d = code[at, 0], code[at, 1], code[at, 2], code[at, 3], code[at, 4], code[at, 5]
            first, second = code[at, 6], code[at, 7]
            if op <= _LAST_OF_ONE:
                for i in range(n):
                    null[t, i] = null[a, i]
            elif op <= _LAST_OF_TWO:
                for i in range(n):
                    null[t, i] = max(null[a, i], null[b, i])

            # Loads, the commonest.
            if op == _EVENT:
                for i in range(n):
                    r[t, i] = values[first, np.uint64(rows[origin + np.uint64(i)])]
                for i in range(n):
                    null[t, i] = value_nulls[first, np.uint64(rows[origin + np.uint64(i)])]
            elif op == _WORK:
                for i in range(n):
                    r[t, i] = work[first, origin + np.uint64(i)]
                for i in range(n):
                    null[t, i] = work_nulls[first, origin + np.uint64(i)]
            elif op == _CLOCK_TIME:
                for i in range(n):
                    r[t, i] = time[np.uint64(rows[origin + np.uint64(i)])]
                for i in range(n):
                    null[t, i] = 0
            elif op == _CONSTANT:
                for i in range(n):
                    r[t, i] = first
                for i in range(n):
                    null[t, i] = np.uint8(second)
            elif op == _STORE:
                for i in range(n):
                    x = r[a, i]
                    work[first, origin + np.uint64(i)] = x if null[a, i] == 0 else 0
                for i in range(n):
                    work_nulls[first, origin + np.uint64(i)] = null[a, i]

            # Three-valued logic: false and anything is false, true or anything is true, else null is null.
            elif op == _AND:
                for i in range(n):
                    false_a = null[a, i] == 0 and r[a, i] == 0
                    false_b = null[b, i] == 0 and r[b, i] == 0
                    null[t, i] = 0 if false_a or false_b else max(null[a, i], null[b, i])
                    r[t, i] = 1 if r[a, i] != 0 and r[b, i] != 0 else 0
            elif op == _OR:
                for i in range(n):
                    true_a = null[a, i] == 0 and r[a, i] != 0
                    true_b = null[b, i] == 0 and r[b, i] != 0
                    null[t, i] = 0 if true_a or true_b else max(null[a, i], null[b, i])
                    r[t, i] = 1 if r[a, i] != 0 or r[b, i] != 0 else 0
            elif op == _NOT:
                for i in range(n):
                    r[t, i] = 1 if r[a, i] == 0 else 0
            elif op == _IS_NULL:
                for i in range(n):
                    r[t, i] = 1 if null[a, i] != 0 else 0
                for i in range(n):
                    null[t, i] = 0
            elif op == _IS_TRUE:
                for i in range(n):
                    r[t, i] = 1 if null[a, i] == 0 and r[a, i] != 0 else 0
                for i in range(n):
                    null[t, i] = 0

            # Choices.
            elif op == _SELECT:
                for i in range(n):
                    # Both are read whatever the choice: a load that may not happen keeps the loop from vectorising.
                    x, y = r[b, i], r[c, i]
                    r[t, i] = x if (null[a, i] == 0) & (r[a, i] != 0) else y
                for i in range(n):
                    null_x, null_y = null[b, i], null[c, i]
                    null[t, i] = null_x if (null[a, i] == 0) & (r[a, i] != 0) else null_y
            elif op == _COALESCE:
                for i in range(n):
                    x, y = r[a, i], r[b, i]
                    r[t, i] = x if null[a, i] == 0 else y
                for i in range(n):
                    null[t, i] = 0 if (null[a, i] == 0) | (null[b, i] == 0) else max(null[a, i], null[b, i])
            elif op == _NULL_IF:
                for i in range(n):
                    r[t, i] = r[a, i]
                    null[t, i] = _bad(null[a, i], null[b, i] == 0 and r[b, i] != 0, one)
            elif op == _LEAST:
                for i in range(n):
                    keep = (null[b, i] != 0) | ((null[a, i] == 0) & (r[a, i] <= r[b, i]))
                    r[t, i] = r[a, i] if keep else r[b, i]
                for i in range(n):
                    null[t, i] = 0 if (null[a, i] == 0) | (null[b, i] == 0) else max(null[a, i], null[b, i])
            elif op == _GREATEST:
                for i in range(n):
                    keep = (null[b, i] != 0) | ((null[a, i] == 0) & (r[a, i] >= r[b, i]))
                    r[t, i] = r[a, i] if keep else r[b, i]
                for i in range(n):
                    null[t, i] = 0 if (null[a, i] == 0) | (null[b, i] == 0) else max(null[a, i], null[b, i])
            elif op == _FLOAT_LEAST:
                for i in range(n):
                    keep = (null[b, i] != 0) | ((null[a, i] == 0) & (f[a, i] <= f[b, i]))
                    f[t, i] = f[a, i] if keep else f[b, i]
                for i in range(n):
                    null[t, i] = 0 if (null[a, i] == 0) | (null[b, i] == 0) else max(null[a, i], null[b, i])
            elif op == _FLOAT_GREATEST:
                for i in range(n):
                    keep = (null[b, i] != 0) | ((null[a, i] == 0) & (f[a, i] >= f[b, i]))
                    f[t, i] = f[a, i] if keep else f[b, i]
                for i in range(n):
                    null[t, i] = 0 if (null[a, i] == 0) | (null[b, i] == 0) else max(null[a, i], null[b, i])

            # Comparisons.
            elif op == _EQUAL:
                for i in range(n):
                    r[t, i] = 1 if r[a, i] == r[b, i] else 0
            elif op == _NOT_EQUAL:
                for i in range(n):
                    r[t, i] = 1 if r[a, i] != r[b, i] else 0
            elif op == _LESS:
                for i in range(n):
                    r[t, i] = 1 if r[a, i] < r[b, i] else 0
            elif op == _AT_MOST:
                for i in range(n):
                    r[t, i] = 1 if r[a, i] <= r[b, i] else 0
            elif op == _FLOAT_EQUAL:
                for i in range(n):
                    r[t, i] = 1 if f[a, i] == f[b, i] else 0
            elif op == _FLOAT_NOT_EQUAL:
                for i in range(n):
                    r[t, i] = 1 if f[a, i] != f[b, i] else 0
            elif op == _FLOAT_LESS:
                for i in range(n):
                    r[t, i] = 1 if f[a, i] < f[b, i] else 0
            elif op == _FLOAT_AT_MOST:
                for i in range(n):
                    r[t, i] = 1 if f[a, i] <= f[b, i] else 0
            elif op == _MEMBER:
                # All rows search side by side, the half that holds the word chosen by arithmetic: the misses of a long
                # list overlap. One row after the other took six times as long over a million constants.
                for i in range(n):
                    r[t, i] = first
                count = second
                while count > 1:
                    half = count >> 1
                    for i in range(n):
                        base = r[t, i]
                        r[t, i] = base + (half if pool[np.uint64(base + half)] <= r[a, i] else 0)
                    count -= half
                for i in range(n):
                    r[t, i] = 1 if count == 1 and pool[np.uint64(r[t, i])] == r[a, i] else 0

            # Exact arithmetic: an overflow is a failure, never a wrong number.
            elif op == _ADD:
                for i in range(n):
                    x, y = r[a, i], r[b, i]
                    z = _add(x, y)
                    r[t, i] = z
                    null[t, i] = _bad(null[t, i], ((x ^ z) & (y ^ z)) < 0, two)
            elif op == _SUBTRACT:
                for i in range(n):
                    x, y = r[a, i], r[b, i]
                    z = _subtract(x, y)
                    r[t, i] = z
                    null[t, i] = _bad(null[t, i], ((x ^ y) & (x ^ z)) < 0, two)
            elif op == _MULTIPLY:
                for i in range(n):
                    x, y = r[a, i], r[b, i]
                    z = _multiply(x, y)
                    r[t, i] = z
                    # A product that wrapped around is off by 2**64 or more; rounding alone never by more than 2**12.
                    off = np.float64(x) * np.float64(y) - np.float64(z)
                    null[t, i] = _bad(null[t, i], abs(off) > 2.0**62, two)
            elif op == _QUOTIENT:
                for i in range(n):
                    x, y = r[a, i], r[b, i]
                    null[t, i] = _bad(null[t, i], y == 0, one)
                    null[t, i] = _bad(null[t, i], x == _INT_MIN and y == -1, two)
                    y = 1 if y == 0 or (x == _INT_MIN and y == -1) else y
                    q = x // y
                    # numba rounds down, SQL towards zero.
                    r[t, i] = q + 1 if (x ^ y) < 0 and q * y != x else q
            elif op == _REMAINDER:
                for i in range(n):
                    x, y = r[a, i], r[b, i]
                    null[t, i] = _bad(null[t, i], y == 0, one)
                    # By -1 nothing is left, and the processor would trap on the smallest number.
                    y = 1 if y == 0 or y == -1 else y
                    rest = x % y
                    r[t, i] = rest - y if rest != 0 and (x ^ y) < 0 else rest
            elif op == _NEGATE:
                for i in range(n):
                    r[t, i] = _subtract(0, r[a, i])
                    null[t, i] = _bad(null[t, i], r[a, i] == _INT_MIN, two)
            elif op == _ABSOLUTE:
                for i in range(n):
                    r[t, i] = r[a, i] if r[a, i] >= 0 else _subtract(0, r[a, i])
                    null[t, i] = _bad(null[t, i], r[a, i] == _INT_MIN, two)
            # Rounding down never gives more and rounding up never less, unless it wrapped around.
            elif op == _ROUND:
                for i in range(n):
                    x = r[a, i]
                    rest = x % first
                    # Half away from zero: at the half itself, up from 0 on and down below.
                    up = rest > first - rest or (rest == first - rest and x >= 0)
                    y = _add(_subtract(x, rest), first if up else 0)
                    r[t, i] = y
                    null[t, i] = _bad(null[t, i], y < x if up else y > x, two)
            elif op == _FLOOR:
                for i in range(n):
                    x = r[a, i]
                    y = _subtract(x, x % first)
                    r[t, i] = y
                    null[t, i] = _bad(null[t, i], y > x, two)
            elif op == _CEIL:
                for i in range(n):
                    x = r[a, i]
                    rest = x % first
                    y = _add(_subtract(x, rest), first if rest != 0 else 0)
                    r[t, i] = y
                    null[t, i] = _bad(null[t, i], y < x, two)
            elif op == _UNIT:
                for i in range(n):
                    x = r[a, i]
                    rest = x % first
                    up = rest > first - rest or (rest == first - rest and x >= 0)
                    r[t, i] = x // first + (1 if up else 0)
            elif op == _CLOCK:
                for i in range(n):
                    r[t, i] = r[a, i] % first // second
            elif op == _CALENDAR:
                for i in range(n):
                    r[t, i] = _calendar(r[a, i], first)

            # Floats: what is not finite is null.
            elif op == _FINITE:
                for i in range(n):
                    r[t, i] = r[a, i]
                    null[t, i] = _bad(null[t, i], not _finite(f[a, i]), one)
            elif op == _TO_FLOAT:
                for i in range(n):
                    f[t, i] = np.float64(r[a, i]) / np.float64(first)
            elif op == _TO_INT:
                for i in range(n):
                    x = np.rint(f[a, i])
                    fits = -_TOO_LARGE <= x < _TOO_LARGE
                    r[t, i] = np.int64(x if fits else 0.0)
                    null[t, i] = _bad(null[t, i], not fits, two)
            elif op == _FLOAT_ADD:
                for i in range(n):
                    f[t, i] = f[a, i] + f[b, i]
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _FLOAT_SUBTRACT:
                for i in range(n):
                    f[t, i] = f[a, i] - f[b, i]
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _FLOAT_MULTIPLY:
                for i in range(n):
                    f[t, i] = f[a, i] * f[b, i]
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _FLOAT_DIVIDE:
                for i in range(n):
                    f[t, i] = f[a, i] / f[b, i]
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _FLOAT_REMAINDER:
                for i in range(n):
                    f[t, i] = np.fmod(f[a, i], f[b, i])
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _FLOAT_NEGATE:
                for i in range(n):
                    f[t, i] = -f[a, i]
            elif op == _FLOAT_ABSOLUTE:
                for i in range(n):
                    f[t, i] = abs(f[a, i])
            elif op == _FLOAT_ROUND:
                for i in range(n):
                    f[t, i] = _round_to_digits(f[a, i], first)
            elif op == _FLOAT_FLOOR:
                for i in range(n):
                    f[t, i] = np.floor(f[a, i])
            elif op == _FLOAT_CEIL:
                for i in range(n):
                    f[t, i] = np.ceil(f[a, i])
            elif op == _SQRT:
                for i in range(n):
                    f[t, i] = math.sqrt(f[a, i])
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _LN:
                for i in range(n):
                    f[t, i] = math.log(f[a, i])
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _LOG10:
                for i in range(n):
                    f[t, i] = math.log10(f[a, i])
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _EXP:
                for i in range(n):
                    f[t, i] = math.exp(f[a, i])
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _POWER:
                for i in range(n):
                    f[t, i] = math.pow(f[a, i], f[b, i])
                    null[t, i] = _bad(null[t, i], not _finite(f[t, i]), one)
            elif op == _DISTANCE:
                for i in range(n):
                    f[t, i] = great_circle(f[a, i], f[b, i], f[c, i], f[d, i])
                    worst = max(max(null[a, i], null[b, i]), max(null[c, i], null[d, i]))  # noqa: PLW3301 - numba
                    null[t, i] = _bad(worst, not _finite(f[t, i]), one)
