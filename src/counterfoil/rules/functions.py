"""The functions of the expression language: one table for the compiler, the messages and the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Function:
    """What a function takes, for messages and documentation.

    Parameters
    ----------
    name
        How it is called.
    arguments
        Names of its arguments.
    least, most
        How many it takes; ``most`` None for any number.
    meaning
        What it returns, in a sentence.
    """

    name: str
    arguments: str
    least: int
    most: int | None
    meaning: str

    @property
    def signature(self) -> str:
        """How it is written."""
        return f"{self.name}({self.arguments})"


_FUNCTIONS = (
    Function("coalesce", "x, y, …", 1, None, "the first that is not null"),
    Function("nullif", "x, y", 2, 2, "null where x = y, else x"),
    Function("if", "condition, x, y", 2, 3, "x where the condition is true, else y (null where left out)"),
    Function("least", "x, y, …", 1, None, "the smallest; nulls are left out"),
    Function("greatest", "x, y, …", 1, None, "the largest; nulls are left out"),
    Function("abs", "x", 1, 1, "without its sign"),
    Function("round", "x, digits", 1, 2, "rounded to decimal digits (0 where left out), half away from zero"),
    Function("floor", "x", 1, 1, "rounded down to a whole number"),
    Function("ceil", "x", 1, 1, "rounded up to a whole number"),
    Function("sqrt", "x", 1, 1, "the square root; null below 0"),
    Function("ln", "x", 1, 1, "the natural logarithm; null up to 0"),
    Function("log10", "x", 1, 1, "the logarithm to base 10; null up to 0"),
    Function("exp", "x", 1, 1, "e to the power x"),
    Function("power", "x, y", 2, 2, "x to the power y"),
    Function("distance", "lat1, lon1, lat2, lon2", 4, 4, "great-circle kilometres between two points in degrees"),
    Function("year", "t", 1, 1, "the year, UTC"),
    Function("month", "t", 1, 1, "the month, 1 to 12, UTC"),
    Function("day", "t", 1, 1, "the day of the month, 1 to 31, UTC"),
    Function("hour", "t", 1, 1, "the hour, 0 to 23, UTC"),
    Function("minute", "t", 1, 1, "the minute, 0 to 59"),
    Function("second", "t", 1, 1, "the second, 0 to 59, without its fraction"),
    Function("dayofweek", "t", 1, 1, "the day of the week, Sunday 0 to Saturday 6, UTC"),
    Function("isodow", "t", 1, 1, "the day of the week, Monday 1 to Sunday 7, UTC"),
    Function("epoch", "t", 1, 1, "seconds since 1970-01-01 UTC of a time, or seconds of an interval, with fraction"),
)

FUNCTIONS = {each.name: each for each in _FUNCTIONS}
"""Every function by its name."""

TIME_PARTS = {"dow": "dayofweek", "dayofweek": "dayofweek", "weekday": "dayofweek", "isodow": "isodow"} | {
    name: name for name in ("year", "month", "day", "hour", "minute", "second", "epoch")
}
"""What ``extract(part from t)`` knows, and the function it stands for."""

_ALIASES = {"iff": "if", "weekday": "dayofweek", "dow": "dayofweek"}

_ONE_ARGUMENT: dict[type[exp.Expression], str] = {
    exp.Abs: "abs",
    exp.Floor: "floor",
    exp.Ceil: "ceil",
    exp.Sqrt: "sqrt",
    exp.Ln: "ln",
    exp.Exp: "exp",
    exp.Year: "year",
    exp.Month: "month",
    exp.Day: "day",
    exp.Hour: "hour",
    exp.Minute: "minute",
    exp.Second: "second",
    exp.DayOfWeek: "dayofweek",
    exp.DayOfWeekIso: "isodow",
    exp.TimeToUnix: "epoch",
}

Call = tuple[str, list[exp.Expression]]


def called(node: exp.Expression) -> Call | None:
    """Return the function that a node calls and its arguments; None where it calls none that is known.

    sqlglot gives the functions it knows a class each and the others one class for all: here they are alike again.
    """
    kind = type(node)
    name = _ONE_ARGUMENT.get(kind)
    if name is not None:
        return (name, _present([node.this])) if _only(node, "this") else None
    if isinstance(node, exp.Anonymous):
        name = str(node.this).lower()
        name = _ALIASES.get(name, name)
        return (name, list(node.expressions)) if name in FUNCTIONS else None
    if isinstance(node, exp.Coalesce | exp.Least | exp.Greatest):
        return kind.__name__.lower(), _present([node.this, *node.expressions])
    if isinstance(node, exp.Nullif):
        return "nullif", _present([node.this, node.expression])
    if isinstance(node, exp.Pow):
        return "power", _present([node.this, node.expression])
    if isinstance(node, exp.If):
        return "if", _present([node.this, node.args.get("true"), node.args.get("false")])
    if isinstance(node, exp.Round):
        return ("round", _present([node.this, node.args.get("decimals")])) if _only(node, "this", "decimals") else None
    if isinstance(node, exp.Log):
        return _logarithm(node)
    if isinstance(node, exp.Extract):
        part = TIME_PARTS.get(str(node.this.name).lower())
        return (part, _present([node.expression])) if part else None
    return None


def _logarithm(node: exp.Log) -> Call | None:
    """DuckDB's ``log(x)`` is to base 10, and sqlglot writes ``log10(x)`` as ``log(10, x)``."""
    if node.expression is None:
        return "log10", [node.this]
    is_ten = isinstance(node.this, exp.Literal) and node.this.name == "10"
    return ("log10", [node.expression]) if is_ten else None


def _present(nodes: Iterable[exp.Expression | None]) -> list[exp.Expression]:
    return [node for node in nodes if node is not None]


def _only(node: exp.Expression, *names: str) -> bool:
    """Return whether a node has no other arguments than these."""
    return all(value is None or value is False or name in names for name, value in node.args.items())
