"""The expression language once more: row by row, in plain Python, for tests.

The twin walks sqlglot's own tree and shares nothing with the compiler but the table of functions. Values are what a
person would write: money is a ``Decimal`` in major units, a text is a ``str``, times and intervals are microseconds,
null is None, and ``FAILED`` stands for exact arithmetic that left 64 bits. Expressions must be well typed: the
compiler has refused all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final

from sqlglot import exp

from counterfoil.rules.constants import interval_of, time_of
from counterfoil.rules.definition import ValueList
from counterfoil.rules.functions import called
from counterfoil.rules.parsing import parse
from counterfoil.rules.types import BOOL, FLOAT, INT, INTERVAL, TEXT, TIME, Base, ValueType


class _Failed:
    def __repr__(self) -> str:
        return "FAILED"


FAILED: Final = _Failed()
"""The value of an expression whose exact arithmetic overflowed."""

_WIDE = Context(prec=20_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its type; ``type`` None is the word NULL."""

    type: ValueType | None
    value: Any
    literal: bool = False

    @property
    def absent(self) -> bool:
        """Whether it is null or failed."""
        return self.value is None or self.value is FAILED


_NULL = Value(None, None)


class Twin:
    """Evaluates expressions over one set of names.

    Parameters
    ----------
    types
        The type of each name.
    lists
        What may stand after ``in``.

    Examples
    --------
    >>> twin = Twin({"amount": ValueType(Base.MONEY, 2)}, {})
    >>> twin.evaluate("amount * 3 - 0.5", {"amount": Decimal("1.10")}).value
    Decimal('2.80')
    """

    def __init__(self, types: Mapping[str, ValueType], lists: Mapping[str, ValueList]) -> None:
        self.types = types
        self.lists = lists

    def evaluate(self, text: str, row: Mapping[str, Any]) -> Value:
        """Return the value of an expression for one row."""
        return self.evaluate_rows(text, [row])[0]

    def evaluate_rows(self, text: str, rows: Sequence[Mapping[str, Any]]) -> list[Value]:
        """Return the value of an expression for each row."""
        tree = parse(text, "twin")
        return [self._walk(tree, row) for row in rows]

    def _walk(self, node: exp.Expression, row: Mapping[str, Any]) -> Value:
        def walk(child: exp.Expression) -> Value:
            return self._walk(child, row)

        kind = type(node)
        if isinstance(node, exp.Column):
            return _loaded(self.types[node.name], row[node.name])
        if isinstance(node, exp.In):
            return self._in(node, walk)
        if kind in _LITERALS:
            return _LITERALS[kind](node)
        if kind in _FORMS:
            return _FORMS[kind](node, walk)
        if kind in _OPERATORS:
            return _OPERATORS[kind](*_read_alike(node.this, node.expression, walk))
        call = called(node)
        assert call is not None, f"the twin does not know {node!r}"
        name, arguments = call
        if name == "nullif":
            left, right = _read_alike(arguments[0], arguments[1], walk)
            return Value(left.type, None) if _compare("=", left, right).value is True else left
        return _FUNCTIONS[name](*(walk(each) for each in arguments))

    def _in(self, node: exp.In, walk: Callable[[exp.Expression], Value]) -> Value:
        named = node.args.get("field")
        if named is None:
            result = Value(BOOL, False)
            for each in node.expressions:
                result = _or(result, _compare("=", *_read_alike(node.this, each, walk)))
            return result
        operand = walk(node.this)
        if operand.type is None:
            return Value(BOOL, None)
        members = {_of_text(text, operand.type) for text in self.lists[named.name].values}
        return _strict(BOOL, lambda value: value in members, operand)


def _loaded(value_type: ValueType, value: Any) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        return Value(value_type, None)
    return Value(value_type, value)


def _of_text(text: str, value_type: ValueType) -> Any:
    readers: dict[Base, Callable[[str], Any]] = {
        Base.TEXT: str,
        Base.INT: int,
        Base.FLOAT: float,
        Base.MONEY: Decimal,
        Base.TIME: time_of,
        Base.INTERVAL: interval_of,
        Base.BOOL: lambda word: word.lower() == "true",
    }
    return readers[value_type.base](text)


def _literal(node: exp.Expression) -> Value:
    if node.args.get("is_string"):
        return Value(TEXT, node.name)
    return _number(Decimal(node.name), whole=node.name.isdigit())


def _number(value: Decimal, *, whole: bool) -> Value:
    if whole and -(2**63) <= value < 2**63:
        return Value(INT, int(value), literal=True)
    return Value(FLOAT, value, literal=True)


_LITERALS: dict[type[exp.Expression], Callable[[exp.Expression], Value]] = {
    exp.Literal: _literal,
    exp.Boolean: lambda node: Value(BOOL, bool(node.this)),
    exp.Null: lambda _: _NULL,
    exp.Interval: lambda node: Value(INTERVAL, interval_of(_interval_text(node))),
}


def _interval_text(node: exp.Expression) -> str:
    unit = node.args.get("unit")
    return str(node.this.name) if unit is None else f"{node.this.name} {unit.name}"


def _worst(*values: Value) -> Any:
    """Return FAILED where one value failed, else None: what an operation gives where an operand is absent."""
    return FAILED if any(each.value is FAILED for each in values) else None


def _strict(value_type: ValueType | None, function: Callable[..., Any], *values: Value) -> Value:
    """Apply a function to present values; floats that are not finite become null, exact ones that overflow FAILED."""
    if any(each.absent for each in values):
        return Value(value_type, _worst(*values))
    try:
        result = function(*(each.value for each in values))
    except (ZeroDivisionError, ValueError, OverflowError):
        return Value(value_type, None)
    return Value(value_type, _checked(value_type, result))


def _checked(value_type: ValueType | None, result: Any) -> Any:
    if result is None or value_type is None:
        return None
    if value_type.base is Base.FLOAT:
        return result if math.isfinite(result) else None
    if value_type.base in (Base.INT, Base.MONEY, Base.TIME, Base.INTERVAL):
        units = Fraction(result) * 10**value_type.scale
        return result if -(2**63) <= units < 2**63 else FAILED
    return result


# Types.


def _minor(value: Value) -> Any:
    assert value.type is not None
    return value.value if value.absent else int(Fraction(value.value) * 10**value.type.scale)


def _float(value: Value) -> Value:
    if value.type is None:
        return Value(FLOAT, None)
    if value.absent:
        return Value(FLOAT, value.value)
    if value.literal or value.type.base is Base.FLOAT:
        return Value(FLOAT, float(value.value))
    return Value(FLOAT, float(_minor(value)) / float(10**value.type.scale))


def _money(value: Value, scale: int) -> Value:
    money = ValueType(Base.MONEY, scale)
    if value.absent:
        return Value(money, value.value)
    return Value(money, _checked(money, Decimal(value.value)))


def _common(values: Sequence[Value]) -> list[Value]:
    known = [each for each in values if each.type is not None]
    types = {each.type for each in known}
    if len(types) <= 1:
        return [each if each.type is not None else Value(known[0].type if known else None, None) for each in values]
    scales = [each.type.scale for each in known if each.type is not None and each.type.base is Base.MONEY]
    inexact = [each for each in known if each.type == FLOAT and not each.literal]
    if scales and not inexact and all(_fits(each, max(scales)) for each in known if each.literal):
        return [_money(each, max(scales)) for each in values]
    return [_float(each) for each in values]


def _fits(literal: Value, scale: int) -> bool:
    units = Fraction(literal.value) * 10**scale
    return units.denominator == 1 and -(2**63) <= units < 2**63


def _read_alike(
    first: exp.Expression, second: exp.Expression, walk: Callable[[exp.Expression], Value]
) -> tuple[Value, Value]:
    """Evaluate two operands; a text compared with a time is a time."""
    left, right = walk(first), walk(second)
    if left.type == TIME and right.type == TEXT:
        right = Value(TIME, time_of(right.value))
    if right.type == TIME and left.type == TEXT:
        left = Value(TIME, time_of(left.value))
    return left, right


# Logic.


def _and(left: Value, right: Value) -> Value:
    if left.value is False or right.value is False:
        return Value(BOOL, False)
    return _strict(BOOL, lambda x, y: x and y, left, right)


def _or(left: Value, right: Value) -> Value:
    if left.value is True or right.value is True:
        return Value(BOOL, True)
    return _strict(BOOL, lambda x, y: x or y, left, right)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda x, y: x == y,
    "<>": lambda x, y: x != y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
}


def _compare(comparison: str, left: Value, right: Value) -> Value:
    if left.type is None or right.type is None:
        return Value(BOOL, None)
    exact = [each.type.is_exact and not each.literal for each in (left, right) if each.type is not None]
    if left.literal != right.literal and any(exact):
        # An exact number against a number as it was written: no rounding, whatever its digits.
        return _strict(BOOL, lambda x, y: _COMPARISONS[comparison](Fraction(x), Fraction(y)), left, right)
    return _strict(BOOL, _COMPARISONS[comparison], *_common((left, right)))


def _same(left: Value, right: Value) -> Value:
    if left.absent or right.absent:
        return Value(BOOL, left.absent and right.absent)
    return _compare("=", left, right)


def _is(node: exp.Expression, walk: Callable[[exp.Expression], Value]) -> Value:
    operand = walk(node.this)
    if isinstance(node.expression, exp.Null):
        return Value(BOOL, operand.absent)
    return Value(BOOL, operand.value is bool(node.expression.this))


def _case(node: exp.Expression, walk: Callable[[exp.Expression], Value]) -> Value:
    default = node.args.get("default")
    results = _common(
        [walk(branch.args["true"]) for branch in node.args["ifs"]] + [walk(default) if default else _NULL]
    )
    for branch, result in zip(node.args["ifs"], results, strict=False):
        condition = (
            walk(branch.this) if node.this is None else _compare("=", *_read_alike(node.this, branch.this, walk))
        )
        if condition.value is True:
            return result
    return results[-1]


def _between(node: exp.Expression, walk: Callable[[exp.Expression], Value]) -> Value:
    above = _compare(">=", *_read_alike(node.this, node.args["low"], walk))
    return _and(above, _compare("<=", *_read_alike(node.this, node.args["high"], walk)))


def _if(condition: Value, *results: Value) -> Value:
    then, otherwise = _common(results if len(results) == 2 else [*results, _NULL])
    return then if condition.value is True else otherwise


# Arithmetic.


def _add(left: Value, right: Value) -> Value:
    if left.literal and right.literal:
        return _of_literals(lambda x, y: x + y, left, right)
    if left.type is not None and right.type is not None and TIME in (left.type, right.type):
        return _strict(TIME, lambda x, y: x + y, left, right)
    x, y = _common((left, right))
    x, y = _plain(x), _plain(y)
    return _strict(x.type or INT, lambda a, b: a + b, x, y)


def _subtract(left: Value, right: Value) -> Value:
    if left.literal and right.literal:
        return _of_literals(lambda x, y: x - y, left, right)
    if left.type == TIME and right.type is not None:
        return _strict(INTERVAL if right.type == TIME else TIME, lambda x, y: x - y, left, right)
    x, y = _common((left, right))
    x, y = _plain(x), _plain(y)
    return _strict(x.type or INT, lambda a, b: a - b, x, y)


def _of_literals(combine: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    """Return the exact result for two literals, which is a literal again, unless it is beyond their limits."""
    result = combine(Fraction(left.value), Fraction(right.value))
    if result and not Fraction(1, 10**300) <= abs(result) <= 10**300:
        return _strict(FLOAT, combine, _float(left), _float(right))
    digits = result.denominator.bit_length()
    units = result * 10**digits
    assert units.denominator == 1
    return _number(Decimal(int(units)).scaleb(-digits, _WIDE), whole=left.type == INT and right.type == INT)


def _plain(value: Value) -> Value:
    """Return a literal as a value of its type: decimal fractions are floats from here on."""
    if not value.literal:
        return value
    return _float(value) if value.type == FLOAT else Value(value.type, value.value)


def _with_types(left: Value, right: Value) -> tuple[Value, Value]:
    return (
        left if left.type is not None else Value(right.type, None),
        right if right.type is not None else Value(left.type, None),
    )


def _multiply(left: Value, right: Value) -> Value:
    if left.literal and right.literal:
        return _of_literals(lambda x, y: x * y, left, right)
    left, right = _with_types(left, right)
    bases = [each.type.base if each.type else Base.INT for each in (left, right)]
    exact = (Base.INT, Base.MONEY, Base.INTERVAL)
    if Base.INT in bases and all(base in exact for base in bases):
        value_type = next((each.type for each in (left, right) if each.type not in (INT, None)), INT)
        return _strict(value_type, lambda x, y: x * y, left, right)
    return _strict(FLOAT, lambda x, y: x * y, _float(left), _float(right))


def _divide(left: Value, right: Value) -> Value:
    left, right = _with_types(left, right)
    if left.type == right.type and left.type is not None and left.type.base is not Base.FLOAT:
        operands = [Value(FLOAT, each.value if each.absent else float(_minor(each))) for each in (left, right)]
    else:
        operands = [_float(left), _float(right)]
    return _strict(FLOAT, lambda x, y: x / y, *operands)


def _quotient(left: Value, right: Value) -> Value:
    def towards_zero(x: int, y: int) -> int:
        size = abs(x) // abs(y)
        return size if (x < 0) == (y < 0) else -size

    return _strict(INT, towards_zero, left, right)


def _remainder(left: Value, right: Value) -> Value:
    x, y = (_plain(each) for each in _common((left, right)))
    value_type = x.type or INT
    if value_type == FLOAT:
        return _strict(FLOAT, math.fmod, x, y)

    def rest(a: Any, b: Any) -> Any:
        a_units, b_units = (Fraction(each) * 10**value_type.scale for each in (a, b))
        size = abs(a_units) % abs(b_units)
        return _major(int(size if a_units >= 0 else -size), value_type)

    return _strict(value_type, rest, x, y)


def _major(units: int, value_type: ValueType) -> Any:
    return units if value_type.base is not Base.MONEY else Decimal(units).scaleb(-value_type.scale)


def _negate(operand: Value) -> Value:
    if operand.type is None:
        return operand
    if operand.literal:
        return _number(-Decimal(operand.value), whole=operand.type == INT)
    return _strict(operand.type, lambda x: -x, operand)


_OPERATORS: dict[type[exp.Expression], Callable[[Value, Value], Value]] = {
    exp.And: _and,
    exp.Or: _or,
    exp.EQ: lambda left, right: _compare("=", left, right),
    exp.NEQ: lambda left, right: _compare("<>", left, right),
    exp.LT: lambda left, right: _compare("<", left, right),
    exp.LTE: lambda left, right: _compare("<=", left, right),
    exp.GT: lambda left, right: _compare(">", left, right),
    exp.GTE: lambda left, right: _compare(">=", left, right),
    exp.NullSafeEQ: _same,
    exp.NullSafeNEQ: lambda left, right: Value(BOOL, not _same(left, right).value),
    exp.Add: _add,
    exp.Sub: _subtract,
    exp.Mul: _multiply,
    exp.Div: _divide,
    exp.IntDiv: _quotient,
    exp.Mod: _remainder,
}


# Functions.


def _cast(node: exp.Expression, walk: Callable[[exp.Expression], Value]) -> Value:
    target = node.args["to"].this.value
    if isinstance(node.this, exp.Literal) and node.this.is_string:
        return Value(TIME, time_of(node.this.name))
    operand = walk(node.this)
    if target in ("DOUBLE", "FLOAT"):
        return _strict(FLOAT, float, operand) if operand.type == BOOL else _float(operand)
    if target == "BOOLEAN":
        return _strict(BOOL, bool, operand)
    if operand.type == FLOAT:
        return _strict(INT, round, _float(operand))
    return _strict(INT, lambda x: _half_away(Fraction(x)), operand)


def _half_away(value: Fraction) -> int:
    size = math.floor(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


def _round(operand: Value, digits: Value = Value(INT, 0)) -> Value:
    return _rounded(operand, int(digits.value), _half_away, _float_round)


def _float_round(value: float, digits: int) -> float:
    scale = 10.0 ** abs(digits)
    try:
        moved = value * scale if digits >= 0 else value / scale
        result = _half_away_float(moved) / scale if digits >= 0 else _half_away_float(moved) * scale
    except (OverflowError, ValueError):
        return value
    return result if math.isfinite(result) else value


def _half_away_float(value: float) -> float:
    return math.copysign(float(_half_away(Fraction(value))), value)


def _rounded(
    operand: Value, digits: int, exact: Callable[[Fraction], int], inexact: Callable[[float, int], float]
) -> Value:
    if operand.type is None:
        return operand
    if operand.type == FLOAT:
        return _strict(FLOAT, lambda x: inexact(x, digits), _float(operand))
    value_type = operand.type
    if digits >= value_type.scale:
        return Value(value_type, operand.value)
    unit = Fraction(10) ** -digits

    def cut(value: Any) -> Any:
        units = exact(Fraction(value) / unit) * unit * 10**value_type.scale
        return _major(int(units), value_type)

    return _strict(value_type, cut, operand)


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Value]:
    def extreme(*operands: Value) -> Value:
        values = [_plain(each) for each in _common(operands)]
        present = [each.value for each in values if not each.absent]
        return Value(values[0].type, choose(present) if present else _worst(*values))

    return extreme


def _coalesce(*operands: Value) -> Value:
    values = _common(operands)
    return next((each for each in values if not each.absent), Value(values[0].type, _worst(*values)))


def _floats(function: Callable[..., float]) -> Callable[..., Value]:
    return lambda *operands: _strict(FLOAT, function, *(_float(each) for each in operands))


def _of_time(part: Callable[[datetime], int]) -> Callable[[Value], Value]:
    return lambda time: _strict(INT, lambda value: part(_EPOCH + timedelta(microseconds=value)), time)


def _abs(operand: Value) -> Value:
    operand = _plain(operand)
    return _strict(operand.type, abs, operand)


def _distance(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    phi1, phi2 = math.radians(latitude1), math.radians(latitude2)
    half_phi = math.sin((phi2 - phi1) / 2)
    half_lambda = math.sin(math.radians(longitude2 - longitude1) / 2)
    square = half_phi**2 + math.cos(phi1) * math.cos(phi2) * half_lambda**2
    return 2 * 6371.0088 * math.asin(math.sqrt(min(1.0, square)))


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "coalesce": _coalesce,
    "if": _if,
    "least": _extreme(min),
    "greatest": _extreme(max),
    "abs": _abs,
    "round": _round,
    "floor": lambda x: _rounded(x, 0, math.floor, lambda value, _: float(math.floor(value))),
    "ceil": lambda x: _rounded(x, 0, math.ceil, lambda value, _: float(math.ceil(value))),
    "sqrt": _floats(math.sqrt),
    "ln": _floats(math.log),
    "log10": _floats(math.log10),
    "exp": _floats(math.exp),
    "power": _floats(math.pow),
    "distance": _floats(_distance),
    "year": _of_time(lambda time: time.year),
    "month": _of_time(lambda time: time.month),
    "day": _of_time(lambda time: time.day),
    "hour": _of_time(lambda time: time.hour),
    "minute": _of_time(lambda time: time.minute),
    "second": _of_time(lambda time: time.second),
    "dayofweek": _of_time(lambda time: time.isoweekday() % 7),
    "isodow": _of_time(lambda time: time.isoweekday()),
    "epoch": lambda operand: _strict(FLOAT, lambda value: float(value) / 1_000_000.0, operand),
}

_FORMS: dict[type[exp.Expression], Callable[[exp.Expression, Callable[[exp.Expression], Value]], Value]] = {
    exp.Paren: lambda node, walk: walk(node.this),
    exp.Neg: lambda node, walk: _negate(walk(node.this)),
    exp.Not: lambda node, walk: _strict(BOOL, lambda x: not x, walk(node.this)),
    exp.Is: _is,
    exp.Between: _between,
    exp.Case: _case,
    exp.Cast: _cast,
}
