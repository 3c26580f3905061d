"""Typed operations: what an expression's tree becomes before it is put in a row of instructions.

The functions here know the rules of mixing types. Each returns None where the types do not fit; who calls them knows
the place in the user's text and says so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from typing import Literal

from counterfoil.events.batch import Words
from counterfoil.rules.kernel import Code
from counterfoil.rules.types import BOOL, FLOAT, INT, INTERVAL, Base, ValueType

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

Comparison = Literal["=", "<>", "<", "<=", ">", ">="]

_SWAPPED: dict[Comparison, Comparison] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A value to be computed.

    Parameters
    ----------
    code
        How.
    type
        Its type.
    arguments
        From what.
    first, second
        What ``Code`` says.
    pool
        The sorted constants of ``MEMBER``.
    literal
        The number as it was written, for constants that may still become another type.
    """

    code: Code
    type: ValueType
    arguments: tuple[Operation, ...] = ()
    first: int = 0
    second: int = 0
    pool: Words | None = None
    literal: Decimal | None = None

    @property
    def is_null(self) -> bool:
        """Whether it is the word NULL, which fits every type."""
        return self.code is Code.CONSTANT and self.second == 1

    @property
    def is_constant(self) -> bool:
        """Whether it is a value known while compiling."""
        return self.code is Code.CONSTANT and self.second == 0


def null(value_type: ValueType = INT) -> Operation:
    """Return NULL."""
    return Operation(Code.CONSTANT, value_type, second=1)


def constant(value_type: ValueType, word: int) -> Operation:
    """Return a constant."""
    return Operation(Code.CONSTANT, value_type, first=word)


def float_word(value: float) -> int:
    """Return the bits of a float as a signed integer."""
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def number(literal: Decimal, *, whole: bool) -> Operation:
    """Return a number as it was written: an int where it is ``whole`` and fits, else a float."""
    if whole and INT_MIN <= literal <= INT_MAX:
        return Operation(Code.CONSTANT, INT, first=int(literal), literal=literal)
    return Operation(Code.CONSTANT, FLOAT, first=float_word(float(literal)), literal=literal)


def strict(code: Code, value_type: ValueType, *arguments: Operation, first: int = 0, second: int = 0) -> Operation:
    """Return an operation on operands of the right types."""
    return Operation(code, value_type, arguments, first, second)


def typed(operation: Operation, value_type: ValueType) -> Operation:
    """Return the operation; where it is NULL, with the type given."""
    return null(value_type) if operation.is_null else operation


def scaled(literal: Decimal, scale: int) -> tuple[int, bool]:
    """Return a number in units of ``10 ** -scale``, rounded down, and whether that is exact."""
    units = Fraction(literal) * 10**scale
    return units.numerator // units.denominator, units.denominator == 1


def exact_word(literal: Decimal, scale: int) -> int | None:
    """Return a number in units of ``10 ** -scale``; None where it is not a whole number of them or does not fit."""
    units, exact = scaled(literal, scale)
    return units if exact and INT_MIN <= units <= INT_MAX else None


def to_float(operation: Operation) -> Operation | None:
    """Convert a number to a float; money to major units."""
    if operation.is_null:
        return null(FLOAT)
    if operation.literal is not None:
        return constant(FLOAT, float_word(float(operation.literal)))
    if operation.type.base is Base.FLOAT:
        return operation
    if operation.type.is_exact:
        return strict(Code.TO_FLOAT, FLOAT, operation, first=10**operation.type.scale)
    return None


def to_money(operation: Operation, scale: int) -> Operation | None:
    """Convert an exact number to money of a scale that is at least its own; a literal only where it is exact."""
    money = ValueType(Base.MONEY, scale)
    if operation.is_null:
        return null(money)
    if operation.literal is not None:
        word = exact_word(operation.literal, scale)
        return None if word is None else constant(money, word)
    if operation.type.scale == scale:
        return replace(operation, type=money)
    factor = constant(INT, 10 ** (scale - operation.type.scale))
    return strict(Code.MULTIPLY, money, operation, factor)


def common(operations: Sequence[Operation]) -> list[Operation] | None:
    """Convert values to the one type that holds them all.

    Equal types stay. Of numbers: a float makes all float, else money makes all money of the largest scale, exactly; a
    literal with more digits than that scale makes all float.
    """
    known = [each for each in operations if not each.is_null]
    if not known:
        return list(operations)
    types = {each.type for each in known}
    if len(types) == 1:
        return [typed(each, known[0].type) for each in operations]
    if not all(each.type.is_number for each in known):
        return None
    if all(each.type.is_exact or each.literal is not None for each in known):
        scales = [each.type.scale for each in known if each.type.base is Base.MONEY]
        if scales:
            money = [to_money(each, max(scales)) for each in operations]
            if all(money):
                return [each for each in money if each is not None]
    floats = [to_float(each) for each in operations]
    return [each for each in floats if each is not None]


def compare(comparison: Comparison, left: Operation, right: Operation) -> Operation | None:
    """Compare two values; numbers by their value whatever their types."""
    if left.is_null or right.is_null:
        return null(BOOL)
    if left.literal is not None and right.literal is None:
        left, right, comparison = right, left, _SWAPPED[comparison]
    if left.type.is_exact and left.literal is None and right.literal is not None:
        return _compare_with_literal(comparison, left, right.literal)
    both = common((left, right))
    if both is None:
        return None
    base = both[0].type.base
    if base in (Base.TEXT, Base.BOOL) and comparison not in ("=", "<>"):
        return None
    return _compare_words(comparison, both[0], both[1], is_float=base is Base.FLOAT)


def _compare_words(comparison: Comparison, left: Operation, right: Operation, *, is_float: bool) -> Operation:
    if comparison in (">", ">="):
        left, right, comparison = right, left, _SWAPPED[comparison]
    codes = {
        "=": (Code.EQUAL, Code.FLOAT_EQUAL),
        "<>": (Code.NOT_EQUAL, Code.FLOAT_NOT_EQUAL),
        "<": (Code.LESS, Code.FLOAT_LESS),
        "<=": (Code.AT_MOST, Code.FLOAT_AT_MOST),
    }
    return strict(codes[comparison][is_float], BOOL, left, right)


def _compare_with_literal(comparison: Comparison, left: Operation, literal: Decimal) -> Operation:
    """Compare an exact number with a literal of any number of digits, exactly."""
    floor, exact = scaled(literal, left.type.scale)
    if not exact:
        if comparison in ("=", "<>"):
            return _always(comparison == "<>", left)
        # Between two units lies no value: at most the lower one, or above it.
        comparison = "<=" if comparison in ("<", "<=") else ">"
    if floor > INT_MAX:
        return _always(comparison in ("<>", "<", "<="), left)
    if floor < INT_MIN:
        return _always(comparison in ("<>", ">", ">="), left)
    return _compare_words(comparison, left, constant(left.type, floor), is_float=False)


def _always(truth: bool, operand: Operation) -> Operation:
    """Return a condition that is always true (or false) but null where the operand is null."""
    return strict(Code.EQUAL if truth else Code.NOT_EQUAL, BOOL, operand, operand)


_EXACT = Context(prec=20_000, traps=[Inexact])
"""No arithmetic on the literals of one expression needs as many digits: its text is much shorter."""


def _folded(left: Operation, right: Operation, combine: Callable[[Decimal, Decimal], Decimal]) -> Operation | None:
    """Reckon with two literals exactly, as they were written; None where the result is no literal.

    So ``amount >= 0.9 * 10000`` compares with 9,000.00 and not with the float next to it.
    """
    if left.literal is None or right.literal is None:
        return None
    value = combine(left.literal, right.literal)
    if not is_within_limits(value):
        return None
    return number(value, whole=left.type.base is Base.INT and right.type.base is Base.INT)


def is_within_limits(value: Decimal) -> bool:
    """Return whether a number is neither too large nor too small for a literal."""
    return abs(value) <= LARGEST_LITERAL and (value == 0 or value.adjusted() >= -LARGEST_EXPONENT)


def add(left: Operation, right: Operation, *, minus: bool = False) -> Operation | None:
    """Add, or subtract. A time takes an interval; two times have an interval between them."""
    folded = _folded(left, right, _EXACT.subtract if minus else _EXACT.add)
    if folded is not None:
        return folded
    code = Code.SUBTRACT if minus else Code.ADD
    bases = (left.type.base, right.type.base)
    if Base.TIME in bases and not (left.is_null or right.is_null):
        if bases == (Base.TIME, Base.TIME) and minus:
            return strict(code, INTERVAL, left, right)
        if bases == (Base.TIME, Base.INTERVAL) or (bases == (Base.INTERVAL, Base.TIME) and not minus):
            return strict(code, ValueType(Base.TIME), left, right)
        return None
    both = common((left, right))
    if both is None or both[0].type.base not in (Base.INT, Base.MONEY, Base.FLOAT, Base.INTERVAL):
        return None
    if both[0].type.base is Base.FLOAT:
        code = Code.FLOAT_SUBTRACT if minus else Code.FLOAT_ADD
    return strict(code, both[0].type, *both)


def multiply(left: Operation, right: Operation) -> Operation | None:
    """Multiply: an exact number or an interval by an int is exact, everything else is float."""
    folded = _folded(left, right, _EXACT.multiply)
    if folded is not None:
        return folded
    left, right = typed(left, right.type), typed(right, left.type)
    if right.type.base in (Base.MONEY, Base.INTERVAL):
        left, right = right, left
    if right.type.base is Base.INT and left.type.base in (Base.INT, Base.MONEY, Base.INTERVAL):
        return strict(Code.MULTIPLY, left.type, left, right)
    return _floats(Code.FLOAT_MULTIPLY, left, right)


def divide(left: Operation, right: Operation) -> Operation | None:
    """Divide: always a float; null over 0."""
    left, right = typed(left, right.type), typed(right, left.type)
    if left.type == right.type and left.type.base in (Base.INT, Base.MONEY, Base.INTERVAL):
        # The units cancel out, so that no digit is lost before the division.
        ratio = [strict(Code.TO_FLOAT, FLOAT, each, first=1) for each in (left, right)]
        return strict(Code.FLOAT_DIVIDE, FLOAT, *ratio)
    return _floats(Code.FLOAT_DIVIDE, left, right)


def quotient(left: Operation, right: Operation) -> Operation | None:
    """Divide ints towards zero; null over 0."""
    left, right = typed(left, INT), typed(right, INT)
    if left.type.base is not Base.INT or right.type.base is not Base.INT:
        return None
    return strict(Code.QUOTIENT, INT, left, right)


def remainder(left: Operation, right: Operation) -> Operation | None:
    """Return what is left of a division, with the sign of the first operand; null over 0."""
    both = common((left, right))
    if both is None or not both[0].type.is_number:
        return None
    code = Code.FLOAT_REMAINDER if both[0].type.base is Base.FLOAT else Code.REMAINDER
    return strict(code, both[0].type, *both)


def _floats(code: Code, *operations: Operation) -> Operation | None:
    floats = [to_float(each) for each in operations]
    known = [each for each in floats if each is not None]
    return strict(code, FLOAT, *known) if len(known) == len(floats) else None


def negate(operation: Operation) -> Operation | None:
    """Change the sign."""
    if operation.is_null:
        return operation
    if operation.literal is not None:
        return number(-operation.literal, whole=operation.type.base is Base.INT)
    if operation.type.base is Base.FLOAT:
        return strict(Code.FLOAT_NEGATE, FLOAT, operation)
    if operation.type.base in (Base.INT, Base.MONEY, Base.INTERVAL):
        return strict(Code.NEGATE, operation.type, operation)
    return None


def logical_not(operation: Operation) -> Operation:
    """Return NOT of a condition."""
    return strict(Code.NOT, BOOL, operation)


def is_true(operation: Operation, *, truth: bool = True) -> Operation:
    """Return whether a condition is true (or false), never null."""
    return strict(Code.IS_TRUE, BOOL, operation if truth else logical_not(operation))


def fold(code: Code, operations: Sequence[Operation]) -> Operation:
    """Join operands of one type by a two-operand code, from the left."""
    result = operations[0]
    for each in operations[1:]:
        result = Operation(code, result.type, (result, each))
    return result


def as_finite(operation: Operation) -> Operation:
    """Return a loaded value; a float that is not finite is null."""
    return strict(Code.FINITE, FLOAT, operation) if operation.type.base is Base.FLOAT else operation


LARGEST_LITERAL = 10**300
"""Numbers are at most this large either way: far beyond every amount, and a float holds them."""

LARGEST_EXPONENT = 300
"""The same towards 0."""
