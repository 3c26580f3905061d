"""An expression as SQL that DuckDB evaluates to the same values.

DuckDB reads the same text, but not everywhere with the same meaning: here a division by zero is null, floats are
always finite, and what is not exact is reckoned in floats. The table is expected to have a column for each name:
money as DECIMAL in major units, texts as VARCHAR, times as TIMESTAMP in UTC, intervals as INTERVAL.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from counterfoil.rules.constants import time_of
from counterfoil.rules.expression import ExpressionCompiler, Translated
from counterfoil.rules.functions import TIME_PARTS, called
from counterfoil.rules.kernel import EARTH_RADIUS
from counterfoil.rules.parsing import deep_recursion
from counterfoil.rules.types import FLOAT, TIME, Base, ValueType


def to_duckdb(compiler: ExpressionCompiler, text: str, path: str = "expression") -> str:
    """Return an expression as DuckDB's SQL.

    Two differences remain, both far from any real amount: where exact arithmetic leaves 64 bits, DuckDB raises or
    goes on with more digits; and decimal results of ``coalesce``, ``case`` and the like keep DuckDB's scale.

    Raises
    ------
    DefinitionError
        Where the expression does not compile.
    """
    translated = compiler.translate(text, path)
    with deep_recursion():
        return _Writer(compiler, translated).write(translated.tree)


_INFIX: dict[type[exp.Expression], str] = {
    exp.And: "AND",
    exp.Or: "OR",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "//",
    exp.Mod: "%",
}
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_FLOAT_FUNCTIONS = {"ln", "log10", "exp", "power"}


class _Writer:
    def __init__(self, compiler: ExpressionCompiler, translated: Translated) -> None:
        self.compiler = compiler
        self.types = translated.types
        self.literals = translated.literals

    def write(self, node: exp.Expression) -> str:
        """Return a node, in parentheses where it is more than a word."""
        kind = type(node)
        if kind in _INFIX:
            folded = self.literals.get(id(node))
            if folded is not None:
                return f"({folded:f})"
            return self._infix(node, _INFIX[kind])
        method = _WRITERS.get(kind)
        if method is not None:
            return method(self, node)
        call = called(node)
        assert call is not None, f"no SQL for {node!r}"
        return self._call(*call)

    def _type(self, node: exp.Expression) -> ValueType | None:
        return self.types.get(id(node))

    def _float(self, node: exp.Expression) -> str:
        return f"CAST({self.write(node)} AS DOUBLE)"

    def _column(self, node: exp.Expression) -> str:
        return quoted(node.name)

    def _literal(self, node: exp.Expression) -> str:
        return text_literal(node.name) if node.args.get("is_string") else node.name

    def _paren(self, node: exp.Expression) -> str:
        return self.write(node.this)

    def _infix(self, node: exp.Expression, sign: str) -> str:
        left, right = node.this, node.expression
        if isinstance(node, exp.Div) and {self._base(left), self._base(right)} == {Base.INTERVAL}:
            return _finite(f"(epoch({self.write(left)}) / epoch({self.write(right)}))")
        if isinstance(node, _ARITHMETIC) and self._type(node) == FLOAT:
            over = self._float(right)
            if isinstance(node, exp.Mod):
                over = f"nullif({over}, 0)"
            return _finite(f"({self._float(left)} {sign} {over})")
        over = self._operand(right, left)
        if isinstance(node, exp.Mod | exp.IntDiv):
            over = f"nullif({over}, 0)"
        return f"({self._operand(left, right)} {sign} {over})"

    def _base(self, node: exp.Expression) -> Base | None:
        value_type = self._type(node)
        return None if value_type is None else value_type.base

    def _operand(self, node: exp.Expression, other: exp.Expression) -> str:
        """Return an operand; a text beside a time is a time."""
        is_text = isinstance(node, exp.Literal) and node.is_string
        return _time(node.name) if is_text and self._type(other) == TIME else self.write(node)

    def _negative(self, node: exp.Expression) -> str:
        return f"(-{self.write(node.this)})"

    def _not(self, node: exp.Expression) -> str:
        return f"(NOT {self.write(node.this)})"

    def _is(self, node: exp.Expression) -> str:
        what = "NULL" if isinstance(node.expression, exp.Null) else str(bool(node.expression.this)).upper()
        return f"({self.write(node.this)} IS {what})"

    def _between(self, node: exp.Expression) -> str:
        low, high = (self._operand(node.args[name], node.this) for name in ("low", "high"))
        return f"({self.write(node.this)} BETWEEN {low} AND {high})"

    def _in(self, node: exp.Expression) -> str:
        operand = self.write(node.this)
        named = node.args.get("field")
        if named is None:
            values = [self._operand(each, node.this) for each in node.expressions]
            return f"({operand} IN ({', '.join(values)}))"
        values = [self._list_value(text, self._base(node.this)) for text in self.compiler.lists[named.name].values]
        if not values:
            return f"(CASE WHEN {operand} IS NOT NULL THEN FALSE END)"
        return f"({operand} IN ({', '.join(values)}))"

    def _list_value(self, text: str, base: Base | None) -> str:
        if base is Base.TIME:
            return _time(text)
        if base in (Base.INT, Base.MONEY):
            return text.strip()
        casts = {Base.INTERVAL: "INTERVAL ", Base.BOOL: "BOOLEAN ", Base.FLOAT: "DOUBLE "}
        return f"{casts.get(base, '') if base else ''}{text_literal(text)}"

    def _interval(self, node: exp.Expression) -> str:
        unit = node.args.get("unit")
        text = node.this.name if unit is None else f"{node.this.name} {unit.name}"
        return f"INTERVAL {text_literal(text.lower())}"

    def _case(self, node: exp.Expression) -> str:
        start = "CASE" if node.this is None else f"CASE {self.write(node.this)}"
        branches = [
            f"WHEN {self.write(branch.this) if node.this is None else self._operand(branch.this, node.this)} "
            f"THEN {self.write(branch.args['true'])}"
            for branch in node.args["ifs"]
        ]
        default = node.args.get("default")
        end = [] if default is None else [f"ELSE {self.write(default)}"]
        return f"({' '.join([start, *branches, *end, 'END'])})"

    def _cast(self, node: exp.Expression) -> str:
        if isinstance(node.this, exp.Literal) and node.this.is_string:
            return _time(node.this.name)
        names = {"FLOAT": "DOUBLE", "INT": "BIGINT"}
        target = node.args["to"].this.value
        return f"CAST({self.write(node.this)} AS {names.get(target, target)})"

    def _call(self, name: str, arguments: list[exp.Expression]) -> str:
        if name == "if":
            otherwise = f" ELSE {self.write(arguments[2])}" if len(arguments) == 3 else ""
            return f"(CASE WHEN {self.write(arguments[0])} THEN {self.write(arguments[1])}{otherwise} END)"
        if name == "nullif":
            first, second = arguments
            return f"nullif({self._operand(first, second)}, {self._operand(second, first)})"
        if name == "distance":
            return _distance(*(self._float(each) for each in arguments))
        if name == "sqrt":
            # Negative zero is no negative number.
            operand = self._float(arguments[0])
            return f"sqrt(CASE WHEN {operand} >= 0 THEN {operand} END)"
        if name in ("ln", "log10"):
            # greatest leaves nulls out, and so gives 0 for null.
            return _finite(f"{name}(nullif(greatest({self._float(arguments[0])}, 0), 0))")
        if name in _FLOAT_FUNCTIONS:
            return _finite(f"{name}({', '.join(self._float(each) for each in arguments)})")
        if name in TIME_PARTS and self._type(arguments[0]) is None:
            # DuckDB cannot tell of what a bare NULL would be the hour.
            return f"{name}(CAST(NULL AS TIMESTAMP))"
        values = [self.write(each) for each in arguments]
        return f"{name}({', '.join(values)})"


def quoted(name: str) -> str:
    """Return a name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Return a text as a constant."""
    return "'" + text.replace("'", "''") + "'"


def _time(text: str) -> str:
    """Return a time as a constant in UTC: DuckDB's TIMESTAMP would leave an offset out."""
    microseconds = time_of(text)
    assert microseconds is not None
    return f"make_timestamp({microseconds})"


def _finite(sql: str) -> str:
    """Return null for what is not finite; to DuckDB a NaN equals a NaN."""
    return f"nullif(nullif(nullif({sql}, 'inf'::DOUBLE), '-inf'::DOUBLE), 'nan'::DOUBLE)"


def _distance(latitude1: str, longitude1: str, latitude2: str, longitude2: str) -> str:
    half_phi = f"sin((radians({latitude2}) - radians({latitude1})) / 2)"
    half_lambda = f"sin(radians({longitude2} - {longitude1}) / 2)"
    square = (
        f"({half_phi} * {half_phi}"
        f" + cos(radians({latitude1})) * cos(radians({latitude2})) * {half_lambda} * {half_lambda})"
    )
    # The angle whose sine is sqrt(square), written so that rounding cannot leave the domain.
    return _finite(f"({2 * EARTH_RADIUS} * atan2(sqrt({square}), sqrt(abs(1 - {square}))))")


_WRITERS: dict[type[exp.Expression], Callable[[_Writer, exp.Expression], str]] = {
    exp.Column: _Writer._column,
    exp.Literal: _Writer._literal,
    exp.Boolean: lambda _, node: str(bool(node.this)).upper(),
    exp.Null: lambda *_: "NULL",
    exp.Paren: _Writer._paren,
    exp.Interval: _Writer._interval,
    exp.Cast: _Writer._cast,
    exp.Neg: _Writer._negative,
    exp.Not: _Writer._not,
    exp.Is: _Writer._is,
    exp.Between: _Writer._between,
    exp.In: _Writer._in,
    exp.Case: _Writer._case,
}
