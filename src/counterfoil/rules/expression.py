"""From the text of an SQL expression to typed instructions.

sqlglot parses; the translator here walks the tree and knows a closed set of nodes: whatever is not in it is a
problem, so nothing that an expression says can reach Python, a file or a loop without bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from sqlglot import exp

from counterfoil.errors import DefinitionError, Problem, nearest
from counterfoil.events.batch import Words
from counterfoil.events.identity import IdentityKey
from counterfoil.rules import operation as op
from counterfoil.rules.constants import interval_of, time_of
from counterfoil.rules.definition import ValueList
from counterfoil.rules.functions import FUNCTIONS, TIME_PARTS, called
from counterfoil.rules.kernel import Code
from counterfoil.rules.lists import list_words, sorted_words
from counterfoil.rules.operation import Comparison, Operation, strict
from counterfoil.rules.parsing import deep_recursion, parse, show
from counterfoil.rules.types import BOOL, FLOAT, INT, INTERVAL, TEXT, TIME, Base, ValueType


class Source(IntEnum):
    """Where a variable's values are."""

    EVENT = 0
    """A row of ``Batch.values``."""
    WORK = 1
    """A row of the work matrix."""
    TIME = 2
    """``Batch.time``."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a name in an expression stands for.

    Parameters
    ----------
    type
        The type of its values.
    source
        Where they are.
    index
        The row there; 0 for the time.
    """

    type: ValueType
    source: Source
    index: int = 0


class Instruction(NamedTuple):
    """One step: ``arguments`` are the numbers of earlier steps of the same expression."""

    code: Code
    arguments: tuple[int, ...]
    first: int
    second: int
    pool: Words | None


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    Parameters
    ----------
    text
        As the user wrote it.
    type
        The type of its value.
    uses
        The names of the variables that it reads, each once, in order of appearance.
    lists
        The names of the lists that it asks, likewise.
    instructions
        What computes it; the last one is its value.
    """

    text: str
    type: ValueType
    uses: tuple[str, ...]
    lists: tuple[str, ...]
    instructions: tuple[Instruction, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Translated:
    """A checked expression between its text and its instructions.

    Parameters
    ----------
    tree
        sqlglot's.
    result
        What computes its value.
    types
        The type of each node of the tree, by ``id``; a NULL has none.
    literals
        The value of each node that is a number as it was written, or reckoned from such alone.
    uses, lists
        As in ``Expression``.
    """

    tree: exp.Expression
    result: Operation
    types: Mapping[int, ValueType]
    literals: Mapping[int, Decimal]
    uses: tuple[str, ...]
    lists: tuple[str, ...]


class ExpressionCompiler:
    """Compiles expressions over one set of names.

    Parameters
    ----------
    variables
        What each name stands for.
    key
        Hashes the texts in expressions as the decoders hash those in events.
    lists
        What may stand after ``in`` beside constants.

    Examples
    --------
    >>> names = {"amount": Variable(ValueType(Base.MONEY, 2), Source.EVENT, 0)}
    >>> compiler = ExpressionCompiler(names, IdentityKey(), {})
    >>> compiler.compile("amount * 2 > 100.50", "rules[0].when").uses
    ('amount',)
    >>> compiler.compile("amout > 100", "rules[0].when")
    Traceback (most recent call last):
    counterfoil.errors.DefinitionError: rules[0].when: found "amout"; allowed: the name of a field or feature; \
did you mean "amount"?
    """

    def __init__(self, variables: Mapping[str, Variable], key: IdentityKey, lists: Mapping[str, ValueList]) -> None:
        self.variables = variables
        self.key = key
        self.lists = lists
        self._list_words: dict[tuple[str, ValueType], Words] = {}

    def compile(self, text: str, path: str, expect: Base | None = None) -> Expression:
        """Compile one expression.

        Parameters
        ----------
        text
            The expression.
        path
            Where it stands in the definition, for messages.
        expect
            What its value must be; None for any type. Where a float is expected, other numbers are converted.

        Raises
        ------
        DefinitionError
            With everything that is wrong with it.
        """
        translated = self.translate(text, path, expect)
        with deep_recursion():
            instructions = tuple(_in_order(translated.result))
        return Expression(text, translated.result.type, translated.uses, translated.lists, instructions)

    def translate(self, text: str, path: str, expect: Base | None = None) -> Translated:
        """Parse and check one expression, as ``compile`` does, for those who need its tree."""
        tree = parse(text, path)
        translator = _Translator(self, path)
        with deep_recursion():
            result = translator.translate(tree)
            if result is not None and not translator.problems:
                result = translator.expected(result, tree, expect)
        if translator.problems or result is None:
            assert translator.problems, f"{text!r} was refused without a reason"
            raise DefinitionError(dict.fromkeys(translator.problems))
        return Translated(
            tree, result, translator.types, translator.literals, tuple(translator.uses), tuple(translator.lists)
        )

    def words_of_list(self, name: str, value_type: ValueType) -> Words:
        """Return a list's values as sorted words of a type; each list is hashed once."""
        at = (name, value_type)
        if at not in self._list_words:
            self._list_words[at] = list_words(self.lists[name], value_type, self.key)
        return self._list_words[at]


def _in_order(result: Operation) -> list[Instruction]:
    """Put operations in a row, operands first; what is used twice is computed once."""
    numbers: dict[int, int] = {}
    instructions: list[Instruction] = []

    def place(operation: Operation) -> int:
        if id(operation) not in numbers:
            arguments = tuple(place(each) for each in operation.arguments)
            instructions.append(
                Instruction(operation.code, arguments, operation.first, operation.second, operation.pool)
            )
            numbers[id(operation)] = len(instructions) - 1
        return numbers[id(operation)]

    place(result)
    return instructions


_COMPARISONS: dict[type[exp.Expression], Comparison] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}

_ARITHMETIC: dict[type[exp.Expression], tuple[str, Callable[[Operation, Operation], Operation | None]]] = {
    exp.Add: ("+", op.add),
    exp.Sub: ("-", lambda left, right: op.add(left, right, minus=True)),
    exp.Mul: ("*", op.multiply),
    exp.Div: ("/", op.divide),
    exp.IntDiv: ("//", op.quotient),
    exp.Mod: ("%", op.remainder),
}

_HOUR = 3_600_000_000
_CLOCK_PARTS = {
    "hour": (24 * _HOUR, _HOUR),
    "minute": (_HOUR, 60_000_000),
    "second": (60_000_000, 1_000_000),
}
_CALENDAR_PARTS = {"year": 0, "month": 1, "day": 2}

_LARGEST_ROUNDING = 15
"""Decimal digits, either way, that ``round`` takes: a float has no more."""


class _Translator:
    """Turns one tree into operations, and collects every problem on the way: a part that has one becomes None."""

    def __init__(self, compiler: ExpressionCompiler, path: str) -> None:
        self.compiler = compiler
        self.path = path
        self.problems: list[Problem] = []
        self.uses: dict[str, None] = {}
        self.lists: dict[str, None] = {}
        self.loaded: dict[str, Operation] = {}
        self.types: dict[int, ValueType] = {}
        """The type of each node, by its identity; none for NULL."""
        self.literals: dict[int, Decimal] = {}
        """The value of each node that is a number as it was written, or made of such."""

    # What is wrong.

    def problem(self, found: str, allowed: str, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(self.path, found, allowed, hint))

    def mismatch(self, node: exp.Expression, allowed: str, *operands: Operation, hint: str = "") -> None:
        """Note operands whose types do not fit."""
        types = " and ".join("null" if each.is_null else str(each.type) for each in operands)
        self.problem(f'"{show(node)}" of {types}', allowed, hint)

    def expected(self, result: Operation, tree: exp.Expression, expect: Base | None) -> Operation | None:
        """Return the whole expression's value as the type that its place expects."""
        if result.is_null:
            if expect is None:
                self.problem(f'"{show(tree)}", which is always null', "an expression with a value")
                return None
            return op.null(ValueType(expect))
        if expect is None or result.type.base is expect:
            return result
        if expect is Base.FLOAT and result.type.is_number:
            return op.to_float(result)
        self.problem(f'"{show(tree)}" of {result.type}', _EXPECTED[expect])
        return None

    # Walking the tree.

    def translate(self, node: exp.Expression) -> Operation | None:
        """Translate any node."""
        result = self._translate(node)
        if result is not None and not result.is_null:
            self.types[id(node)] = result.type
            if result.literal is not None:
                self.literals[id(node)] = result.literal
        return result

    def _translate(self, node: exp.Expression) -> Operation | None:
        kind = type(node)
        if kind in _COMPARISONS:
            return self._comparison(node, _COMPARISONS[kind])
        if kind in _ARITHMETIC:
            return self._arithmetic(node, *_ARITHMETIC[kind])
        method = _NODES.get(kind)
        if method is not None:
            return method(self, node)
        call = called(node)
        if call is not None:
            return self._call(node, *call)
        self._unknown(node)
        return None

    def _all(self, nodes: Sequence[exp.Expression]) -> list[Operation] | None:
        """Translate several nodes: all of them, so that each problem is found."""
        found = [self.translate(node) for node in nodes]
        known = [each for each in found if each is not None]
        return known if len(known) == len(found) else None

    def _unknown(self, node: exp.Expression) -> None:
        if isinstance(node, exp.Extract):
            part = node.this.name.lower()
            allowed = ", ".join(sorted(TIME_PARTS))
            return self.problem(f'"{show(node)}"', f"a part of a time: {allowed}", nearest(part, TIME_PARTS))
        if isinstance(node, exp.Anonymous | exp.Func) and not isinstance(node, exp.Connector):
            name = str(node.this) if isinstance(node, exp.Anonymous) else node.sql_name().lower()
            allowed = f"a function: {', '.join(sorted(FUNCTIONS))}"
            return self.problem(f'function "{show(node)}"', allowed, nearest(name.lower(), FUNCTIONS))
        return self.problem(f'"{show(node)}"', "names, constants, operators and functions of an expression")

    # Names and constants.

    def _column(self, node: exp.Expression) -> Operation | None:
        name = node.name
        if node.args.get("table") or not isinstance(node.this, exp.Identifier) or name not in self.compiler.variables:
            whole = name if not node.args.get("table") else show(node)
            hint = nearest(name, self.compiler.variables)
            if whole in self.compiler.lists:
                hint = f'"{whole}" is a list: ask it with "field in {whole}"'
            self.problem(f'"{whole}"', "the name of a field or feature", hint)
            return None
        self.uses[name] = None
        if name not in self.loaded:
            self.loaded[name] = _load(self.compiler.variables[name])
        return self.loaded[name]

    def _literal(self, node: exp.Expression) -> Operation | None:
        if node.args.get("is_string"):
            return op.constant(TEXT, self.compiler.key.hash(node.name))
        try:
            value = Decimal(node.name)
        except InvalidOperation:
            self.problem(f'"{node.name}"', "a number")
            return None
        if not op.is_within_limits(value):
            self.problem(f'"{show(node)}"', "numbers between 1e-300 and 1e300")
            return None
        return op.number(value, whole=node.name.isdigit())

    def _boolean(self, node: exp.Expression) -> Operation:
        return op.constant(BOOL, int(node.this))

    def _null(self, node: exp.Expression) -> Operation:  # noqa: ARG002 - one signature for all nodes
        return op.null()

    def _paren(self, node: exp.Expression) -> Operation | None:
        return self.translate(node.this)

    def _interval(self, node: exp.Expression) -> Operation | None:
        unit = node.args.get("unit")
        literal = node.this
        text = literal.name if isinstance(literal, exp.Literal) else None
        length = None if text is None else interval_of(text if unit is None else f"{text} {unit.name}")
        if length is None:
            self.problem(
                f'"{show(node)}"',
                "an interval in weeks, days, hours, minutes, seconds, milliseconds or microseconds",
                "write interval '24 hours'",
            )
            return None
        return op.constant(INTERVAL, length)

    def _cast(self, node: exp.Expression) -> Operation | None:
        target = node.args["to"].this
        if isinstance(node.this, exp.Literal) and node.this.is_string and target in _TIME_TYPES:
            return self._time_literal(node.this)
        operand = self.translate(node.this)
        if operand is None:
            return None
        result = _cast_to(target, operand)
        if result is None:
            self.mismatch(node, "cast(number as double), cast(number or bool as bigint), cast(int as boolean)", operand)
        return result

    def _time_literal(self, node: exp.Expression) -> Operation | None:
        time = time_of(node.name)
        if time is None:
            self.problem(f'"{node.name}"', "a time as 2026-01-31 23:59:59, UTC or with its offset")
            return None
        return op.constant(TIME, time)

    # Operators.

    def _arithmetic(
        self, node: exp.Expression, sign: str, combine: Callable[[Operation, Operation], Operation | None]
    ) -> Operation | None:
        operands = self._all((node.this, node.expression))
        if operands is None:
            return None
        result = combine(*operands)
        if result is None:
            self.mismatch(node, _ARITHMETIC_ALLOWED[sign], *operands)
        return result

    def _negative(self, node: exp.Expression) -> Operation | None:
        operand = self.translate(node.this)
        if operand is None:
            return None
        result = op.negate(operand)
        if result is None:
            self.mismatch(node, "a number or an interval after -", operand)
        return result

    def _comparison(self, node: exp.Expression, comparison: Comparison) -> Operation | None:
        operands = self._pair(node.this, node.expression)
        return None if operands is None else self._compare(node, comparison, *operands)

    def _pair(self, first: exp.Expression, second: exp.Expression) -> tuple[Operation, Operation] | None:
        operands = self._all((first, second))
        if operands is None:
            return None
        left, right = operands
        return self._read_as(first, left, right), self._read_as(second, right, left)

    def _read_as(self, node: exp.Expression, operation: Operation, other: Operation) -> Operation:
        """Read a text as a time where it is compared with one."""
        if isinstance(node, exp.Literal) and node.is_string and other.type == TIME and not other.is_null:
            return self._time_literal(node) or op.null(TIME)
        return operation

    def _compare(
        self, node: exp.Expression, comparison: Comparison, left: Operation, right: Operation
    ) -> Operation | None:
        result = op.compare(comparison, left, right)
        if result is None:
            same = left.type == right.type
            allowed = f"= or <> for {left.type}" if same else f"values of one type on both sides of {comparison}"
            self.mismatch(node, allowed, left, right)
        return result

    def _condition(self, node: exp.Expression) -> Operation | None:
        """Translate a node that must be a condition."""
        operand = self.translate(node)
        if operand is None or operand.is_null:
            return None if operand is None else op.null(BOOL)
        if operand.type.base is not Base.BOOL:
            self.mismatch(node, "a condition: something that is true or false", operand)
            return None
        return operand

    def _connector(self, node: exp.Expression) -> Operation | None:
        left, right = self._condition(node.this), self._condition(node.expression)
        if left is None or right is None:
            return None
        return strict(Code.AND if isinstance(node, exp.And) else Code.OR, BOOL, left, right)

    def _not(self, node: exp.Expression) -> Operation | None:
        operand = self._condition(node.this)
        return None if operand is None else op.logical_not(operand)

    def _is(self, node: exp.Expression) -> Operation | None:
        what = node.expression
        if isinstance(what, exp.Null):
            operand = self.translate(node.this)
            return None if operand is None else strict(Code.IS_NULL, BOOL, operand)
        if isinstance(what, exp.Boolean):
            operand = self._condition(node.this)
            return None if operand is None else op.is_true(operand, truth=bool(what.this))
        self.problem(f'"{show(node)}"', "is null, is not null, is true, is not true, is false, is not false")
        return None

    def _distinct(self, node: exp.Expression) -> Operation | None:
        operands = self._pair(node.this, node.expression)
        if operands is None:
            return None
        equal = self._compare(node, "=", *operands)
        if equal is None:
            return None
        both_null = strict(Code.AND, BOOL, *(strict(Code.IS_NULL, BOOL, each) for each in operands))
        same = strict(Code.OR, BOOL, op.is_true(equal), both_null)
        return same if isinstance(node, exp.NullSafeEQ) else op.logical_not(same)

    def _between(self, node: exp.Expression) -> Operation | None:
        low, high = node.args["low"], node.args["high"]
        if node.args.get("symmetric"):
            self.problem(f'"{show(node)}"', "x between low and high")
            return None
        lower, upper = self._pair(node.this, low), self._pair(node.this, high)
        if lower is None or upper is None:
            return None
        above, below = self._compare(node, ">=", *lower), self._compare(node, "<=", *upper)
        return None if above is None or below is None else strict(Code.AND, BOOL, above, below)

    # Membership.

    def _in(self, node: exp.Expression) -> Operation | None:
        operand = self.translate(node.this)
        if node.args.get("query") or node.args.get("unnest"):
            self.problem(f'"{show(node)}"', "x in (constants) or x in list_name")
            return None
        named = node.args.get("field")
        if named is not None:
            return self._in_list(node, operand, named)
        if not node.expressions:
            self.problem(f'"{show(node)}"', "at least one value between the parentheses")
            return None
        if operand is None:
            self._all(node.expressions)
            return None
        return self._in_values(node, operand)

    def _in_list(self, node: exp.Expression, operand: Operation | None, named: exp.Expression) -> Operation | None:
        name = named.name if isinstance(named, exp.Column) else show(named)
        if name not in self.compiler.lists:
            self.problem(f'"{name}"', "the name of a list after in", nearest(name, self.compiler.lists))
            return None
        self.lists[name] = None
        if operand is None or operand.is_null:
            return None if operand is None else op.null(BOOL)
        of = self.compiler.variables.get(self.compiler.lists[name].of)
        if of is not None and of.type.base is not operand.type.base:
            self.mismatch(node, f"a value of {of.type}, of which the list {name} is", operand)
            return None
        try:
            words = self.compiler.words_of_list(name, operand.type)
        except DefinitionError as error:
            self.problems.extend(error.problems)
            return None
        return _member(operand, words)

    def _in_values(self, node: exp.Expression, operand: Operation) -> Operation | None:
        words: list[int] = []
        alternatives: list[Operation] = []
        sound = True
        for each in node.expressions:
            value = self.translate(each)
            value = None if value is None else self._read_as(each, value, operand)
            if value is None:
                sound = False
                continue
            equal = self._compare(node, "=", operand, value)
            if equal is None:
                sound = False
            elif value.is_constant and not operand.is_constant and not operand.is_null:
                words.extend(_words_equal_to(operand.type, value))
            else:
                alternatives.append(equal)
        if not sound:
            return None
        if words or not alternatives:
            alternatives.insert(0, _member(operand, sorted_words(np.array(words, np.int64))))
        return op.fold(Code.OR, alternatives)

    # Functions.

    def _case(self, node: exp.Expression) -> Operation | None:
        conditions: list[Operation | None] = []
        for branch in node.args["ifs"]:
            if node.this is None:
                conditions.append(self._condition(branch.this))
            else:
                operands = self._pair(node.this, branch.this)
                conditions.append(None if operands is None else self._compare(branch.this, "=", *operands))
        default = node.args.get("default")
        nodes = [branch.args["true"] for branch in node.args["ifs"]] + ([default] if default is not None else [])
        results = self._all(nodes)
        if results is None:
            return None
        if default is None:
            results.append(op.null())
        return self._choose(node, conditions, results)

    def _choose(
        self, node: exp.Expression, conditions: list[Operation | None], results: list[Operation]
    ) -> Operation | None:
        values = self._same_type(node, results)
        if values is None:
            return None
        chosen = values[-1]
        for condition, value in zip(reversed(conditions), reversed(values[:-1]), strict=True):
            if condition is None:
                return None
            chosen = strict(Code.SELECT, value.type, condition, value, chosen)
        return chosen

    def _same_type(self, node: exp.Expression, operations: list[Operation]) -> list[Operation] | None:
        values = op.common(operations)
        if values is None:
            self.mismatch(node, "values of one type", *operations)
        return values

    def _call(self, node: exp.Expression, name: str, arguments: list[exp.Expression]) -> Operation | None:
        function = FUNCTIONS[name]
        if len(arguments) < function.least or (function.most is not None and len(arguments) > function.most):
            self.problem(f'"{show(node)}" with {len(arguments)} arguments', function.signature)
            return None
        if name == "if":
            return self._if(node, arguments)
        operands = self._all(arguments)
        if operands is None:
            return None
        if name == "round":
            return self._round(node, arguments, operands)
        if name in _CHOICES:
            return self._choice(node, name, operands)
        result = _numeric(name, operands) if name in _NUMERIC else _of_time(name, operands[0])
        if result is None:
            wanted = "numbers" if name in _NUMERIC else "a time or an interval" if name == "epoch" else "a time"
            self.mismatch(node, f"{function.signature} of {wanted}", *operands)
        return result

    def _if(self, node: exp.Expression, arguments: list[exp.Expression]) -> Operation | None:
        condition = self._condition(arguments[0])
        results = self._all(arguments[1:])
        if results is None:
            return None
        return self._choose(node, [condition], results if len(results) == 2 else [*results, op.null()])

    def _choice(self, node: exp.Expression, name: str, operands: list[Operation]) -> Operation | None:
        if name == "nullif":
            equal = self._compare(node, "=", *operands)
            return None if equal is None else strict(Code.NULL_IF, operands[0].type, operands[0], equal)
        values = self._same_type(node, operands)
        if values is None:
            return None
        base = values[0].type.base
        if name == "coalesce":
            return op.fold(Code.COALESCE, values)
        if base in (Base.TEXT, Base.BOOL):
            self.mismatch(node, f"{FUNCTIONS[name].signature} of values with an order", *operands)
            return None
        codes = {"least": (Code.LEAST, Code.FLOAT_LEAST), "greatest": (Code.GREATEST, Code.FLOAT_GREATEST)}
        return op.fold(codes[name][base is Base.FLOAT], values)

    def _round(
        self, node: exp.Expression, arguments: list[exp.Expression], operands: list[Operation]
    ) -> Operation | None:
        digits = 0
        if len(operands) == 2:
            literal = operands[1].literal
            if literal is None or operands[1].type != INT or abs(literal) > _LARGEST_ROUNDING:
                allowed = f"a whole number from -{_LARGEST_ROUNDING} to {_LARGEST_ROUNDING} for the digits"
                self.problem(f'"{show(arguments[1])}"', allowed)
                return None
            digits = int(literal)
        result = _rounded(Code.ROUND, Code.FLOAT_ROUND, operands[0], digits)
        if result is None:
            self.mismatch(node, f"{FUNCTIONS['round'].signature} of numbers", *operands[:1])
        return result


_EXPECTED = {
    Base.BOOL: "a condition: something that is true or false",
    Base.INT: "a whole number",
    Base.MONEY: "an amount of money",
    Base.FLOAT: "a number",
    Base.TIME: "a time",
    Base.INTERVAL: "an interval",
    Base.TEXT: "a text",
}

_ARITHMETIC_ALLOWED = {
    "+": "number + number, time + interval, interval + interval",
    "-": "number - number, time - time, time - interval, interval - interval",
    "*": "number * number, interval * int",
    "/": "number / number, interval / interval",
    "//": "int // int",
    "%": "number % number",
}

_TIME_TYPES = {
    exp.DataType.Type.TIMESTAMP,
    exp.DataType.Type.TIMESTAMPNTZ,
    exp.DataType.Type.TIMESTAMPTZ,
    exp.DataType.Type.DATE,
}
_FLOAT_TYPES = {exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT}
_INT_TYPES = {exp.DataType.Type.BIGINT, exp.DataType.Type.INT}

_NODES: dict[type[exp.Expression], Callable[[_Translator, exp.Expression], Operation | None]] = {
    exp.Column: _Translator._column,
    exp.Literal: _Translator._literal,
    exp.Boolean: _Translator._boolean,
    exp.Null: _Translator._null,
    exp.Paren: _Translator._paren,
    exp.Interval: _Translator._interval,
    exp.Cast: _Translator._cast,
    exp.Neg: _Translator._negative,
    exp.And: _Translator._connector,
    exp.Or: _Translator._connector,
    exp.Not: _Translator._not,
    exp.Is: _Translator._is,
    exp.NullSafeEQ: _Translator._distinct,
    exp.NullSafeNEQ: _Translator._distinct,
    exp.Between: _Translator._between,
    exp.In: _Translator._in,
    exp.Case: _Translator._case,
}

_CHOICES = {"coalesce", "nullif", "least", "greatest"}
_NUMERIC = {"abs", "floor", "ceil", "sqrt", "ln", "log10", "exp", "power", "distance"}
_FLOAT_CODES = {
    "sqrt": Code.SQRT,
    "ln": Code.LN,
    "log10": Code.LOG10,
    "exp": Code.EXP,
    "power": Code.POWER,
    "distance": Code.DISTANCE,
}


def _load(variable: Variable) -> Operation:
    codes = {Source.EVENT: Code.EVENT, Source.WORK: Code.WORK, Source.TIME: Code.CLOCK_TIME}
    return op.as_finite(strict(codes[variable.source], variable.type, first=variable.index))


def _member(operand: Operation, words: Words) -> Operation:
    if operand.type.base is Base.FLOAT:
        # Adding 0 makes -0.0 to 0.0, so that equal floats have equal bits.
        operand = strict(Code.FLOAT_ADD, FLOAT, operand, op.constant(FLOAT, 0))
    return Operation(Code.MEMBER, BOOL, (operand,), pool=words)


def _words_equal_to(value_type: ValueType, value: Operation) -> list[int]:
    """Return the word of a type that equals a constant, or none where no value of that type does."""
    if value.literal is None or not value_type.is_number:
        return [value.first]
    if value_type.base is Base.FLOAT:
        return [op.float_word(float(value.literal) + 0.0)]
    word = op.exact_word(value.literal, value_type.scale)
    return [] if word is None else [word]


def _cast_to(target: object, operand: Operation) -> Operation | None:
    base = operand.type.base
    if target in _FLOAT_TYPES:
        if base is Base.BOOL:
            return strict(Code.TO_FLOAT, FLOAT, operand, first=1)
        return op.to_float(operand)
    if target in _INT_TYPES:
        if operand.is_null or base in (Base.INT, Base.BOOL):
            return Operation(operand.code, INT, operand.arguments, operand.first, operand.second)
        if base is Base.MONEY:
            return strict(Code.UNIT, INT, operand, first=10**operand.type.scale)
        return strict(Code.TO_INT, INT, operand) if base is Base.FLOAT else None
    if target is exp.DataType.Type.BOOLEAN:
        if operand.is_null or base is Base.BOOL:
            return op.typed(operand, BOOL)
        if operand.type.is_number:
            return op.compare("<>", operand, op.number(Decimal(0), whole=True))
    return None


def _numeric(name: str, operands: list[Operation]) -> Operation | None:
    if name == "abs":
        return _absolute(operands[0])
    if name == "floor":
        return _rounded(Code.FLOOR, Code.FLOAT_FLOOR, operands[0], 0)
    if name == "ceil":
        return _rounded(Code.CEIL, Code.FLOAT_CEIL, operands[0], 0)
    floats = [op.to_float(each) for each in operands]
    known = [each for each in floats if each is not None]
    return strict(_FLOAT_CODES[name], FLOAT, *known) if len(known) == len(floats) else None


def _absolute(operand: Operation) -> Operation | None:
    if operand.is_null:
        return operand
    if operand.type.base is Base.FLOAT:
        return strict(Code.FLOAT_ABSOLUTE, FLOAT, operand)
    return strict(Code.ABSOLUTE, operand.type, operand) if operand.type.is_exact else None


def _rounded(exact: Code, code: Code, operand: Operation, digits: int) -> Operation | None:
    """Round to decimal digits. Money stays money: ``floor(12.34)`` is 12.00."""
    if operand.is_null:
        return operand
    if operand.type.base is Base.FLOAT:
        return strict(code, FLOAT, operand, first=digits)
    if not operand.type.is_exact:
        return None
    cut = operand.type.scale - digits
    return operand if cut <= 0 else strict(exact, operand.type, operand, first=10**cut)


def _of_time(name: str, operand: Operation) -> Operation | None:
    if operand.is_null:
        return op.null(FLOAT if name == "epoch" else INT)
    base = operand.type.base
    if name == "epoch" and base in (Base.TIME, Base.INTERVAL):
        return strict(Code.TO_FLOAT, FLOAT, operand, first=1_000_000)
    if base is not Base.TIME:
        return None
    if name in _CLOCK_PARTS:
        modulus, unit = _CLOCK_PARTS[name]
        return strict(Code.CLOCK, INT, operand, first=modulus, second=unit)
    if name in _CALENDAR_PARTS:
        return strict(Code.CALENDAR, INT, operand, first=_CALENDAR_PARTS[name])
    # Days since Thursday, 1970-01-01.
    since_thursday = strict(Code.CLOCK, INT, operand, first=7 * 24 * _HOUR, second=24 * _HOUR)
    offset, start = (4, 0) if name == "dayofweek" else (3, 1)
    shifted = strict(Code.ADD, INT, since_thursday, op.constant(INT, offset))
    weekday = strict(Code.REMAINDER, INT, shifted, op.constant(INT, 7))
    return strict(Code.ADD, INT, weekday, op.constant(INT, start)) if start else weekday
