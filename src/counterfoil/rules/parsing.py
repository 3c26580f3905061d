"""From text to sqlglot's tree, within bounds; what is no SQL expression becomes a problem."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlglot import Dialect, exp
from sqlglot.errors import ParseError, SqlglotError

from counterfoil.errors import DefinitionError, Problem

TEXT_LIMIT = 4_096
"""Characters in an expression."""
DEPTH_LIMIT = 64
"""Operations within operations; a row of equal ones (``a or b or c``) counts as one."""
NODE_LIMIT = 500
"""Names, constants and operations; the constants of an IN list count as one."""

_RECURSION = 6_000
_recursion_lock = threading.RLock()

_WANTED = "an SQL expression"


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Allow what the limits above allow: sqlglot descends some twenty calls for one pair of parentheses."""
    with _recursion_lock:
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(before, _RECURSION))
        try:
            yield
        finally:
            sys.setrecursionlimit(before)


def shorten(text: str, length: int = 60) -> str:
    """Return a text on one line, cut to a length that fits a message."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def show(node: exp.Expression) -> str:
    """Return a node as SQL, for messages."""
    try:
        return shorten(node.sql(dialect="duckdb", comments=False, normalize_functions="lower"))
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError):
        return node.key


def parse(text: str, path: str) -> exp.Expression:
    """Parse one SQL expression.

    Raises
    ------
    DefinitionError
        Where the text is no SQL expression, or is beyond a limit.
    """
    if not isinstance(text, str):
        raise DefinitionError([Problem(path, repr(text), f"{_WANTED} as text")])
    if not text.strip():
        raise DefinitionError([Problem(path, "nothing", _WANTED)])
    if len(text) > TEXT_LIMIT:
        raise DefinitionError([Problem(path, f"{len(text):,} characters", f"at most {TEXT_LIMIT:,} characters")])
    if not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DefinitionError([Problem(path, "half of a surrogate pair", "text that is valid Unicode")])
    tree = _parse(text, path)
    _check_size(tree, path)
    return tree


def _parse(text: str, path: str) -> exp.Expression:
    dialect = Dialect.get_or_raise("duckdb")
    try:
        with deep_recursion():
            trees = dialect.parse_into(exp.Condition, text)
    except ParseError as error:
        raise DefinitionError([_syntax_problem(error, text, path)]) from None
    except RecursionError:
        raise DefinitionError([_too_deep(path)]) from None
    except Exception as error:
        # Whatever a parser does with text from outside, it is the text's fault.
        raise DefinitionError([Problem(path, f'"{shorten(text)}"', _WANTED, shorten(str(error)))]) from None
    if len(trees) != 1:
        raise DefinitionError([Problem(path, f"{len(trees)} expressions", "one expression", "leave out the semicolon")])
    tree = trees[0]
    if not isinstance(tree, exp.Expression):
        raise DefinitionError([Problem(path, "nothing", _WANTED)])
    return tree


def _syntax_problem(error: ParseError, text: str, path: str) -> Problem:
    if not error.errors:
        return Problem(path, f'"{shorten(text)}"', _WANTED)
    details = error.errors[-1]
    word, line, column = details.get("highlight"), details.get("line"), details.get("col")
    is_incomplete = str(details.get("description")).startswith("Required keyword")
    hint = f"{'something is missing' if is_incomplete else 'not understood'} at line {line}, column {column}"
    return Problem(path, f'"{shorten(str(word or text))}"', _WANTED, hint)


def _too_deep(path: str) -> Problem:
    return Problem(
        path, f"more than {DEPTH_LIMIT} operations within each other", "fewer", "give a part a name of its own"
    )


def _check_size(tree: exp.Expression, path: str) -> None:
    nodes = 0
    waiting: list[tuple[exp.Expression, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        nodes += 1
        if depth > DEPTH_LIMIT:
            raise DefinitionError([_too_deep(path)])
        for child in node.iter_expressions():
            if isinstance(child, exp.Identifier) or (isinstance(node, exp.In) and isinstance(child, exp.Literal)):
                continue
            chained = isinstance(node, exp.Binary) and child is node.this and type(child) is type(node)
            waiting.append((child, depth if chained else depth + 1))
    if nodes > NODE_LIMIT:
        found = f"{nodes:,} names, constants and operations"
        raise DefinitionError([Problem(path, found, f"at most {NODE_LIMIT}", "give a part a name of its own")])
