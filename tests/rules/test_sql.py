"""The compiled program against DuckDB, which evaluates the same expressions as SQL."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from counterfoil.rules.sql import quoted, to_duckdb
from counterfoil.rules.types import Base, ValueType
from tests.rules.language import KEY, TYPES, compiler, expressions, rows, run, value_of
from tests.rules.test_expression import MEANINGS, ROW
from tests.rules.test_kernel import compile_or_none

EXPRESSIONS = st.one_of(*expressions(raising=False).values())

_COLUMN_TYPES = {
    Base.BOOL: "BOOLEAN",
    Base.INT: "BIGINT",
    Base.FLOAT: "DOUBLE",
    Base.TIME: "TIMESTAMP",
    Base.INTERVAL: "INTERVAL",
    Base.TEXT: "VARCHAR",
}
_EPOCH = datetime(1970, 1, 1)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET threads = 1")
        columns = [f"{quoted(name)} {_column_type(of)}" for name, of in TYPES.items()]
        opened.execute(f"CREATE TABLE payments (row_number INT, {', '.join(columns)})")
        yield opened


def _column_type(value_type: ValueType) -> str:
    return f"DECIMAL(18, {value_type.scale})" if value_type.base is Base.MONEY else _COLUMN_TYPES[value_type.base]


def _to_duckdb(value_type: ValueType, value: Any) -> Any:
    if value is None:
        return None
    if value_type.base is Base.TIME:
        return _EPOCH + timedelta(microseconds=value)
    return timedelta(microseconds=value) if value_type.base is Base.INTERVAL else value


def _from_duckdb(value_type: ValueType, value: Any) -> Any:
    if value is None:
        return None
    if value_type.base is Base.TIME:
        return (value.replace(tzinfo=UTC) - _EPOCH.replace(tzinfo=UTC)) // timedelta(microseconds=1)
    if value_type.base is Base.INTERVAL:
        return value // timedelta(microseconds=1)
    return KEY.hash(value) if value_type.base is Base.TEXT else value


def _evaluate(
    connection: duckdb.DuckDBPyConnection, sql: str, value_type: ValueType, data: Sequence[Mapping[str, Any]]
) -> list[Any]:
    connection.execute("DELETE FROM payments")
    marks = ", ".join("?" * (len(TYPES) + 1))
    connection.executemany(
        f"INSERT INTO payments VALUES ({marks})",
        [[index, *(_to_duckdb(of, row[name]) for name, of in TYPES.items())] for index, row in enumerate(data)],
    )
    found = connection.execute(f"SELECT {sql} FROM payments ORDER BY row_number").fetchall()
    return [_from_duckdb(value_type, value) for (value,) in found]


def _close(ours: Any, theirs: Any) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(ours, float):
        return math.isclose(ours, float(theirs), rel_tol=1e-9, abs_tol=1e-9)
    return bool(ours == theirs)


@given(EXPRESSIONS, st.lists(rows(edges=False), min_size=1, max_size=4))
def test_program_gives_the_values_of_duckdb(
    connection: duckdb.DuckDBPyConnection, text: str, data: list[dict[str, Any]]
) -> None:
    expression = compile_or_none(text)
    assume(expression is not None)
    assert expression is not None
    (words,), (nulls,) = run([expression], data)
    ours = [value_of(expression.type, word, null) for word, null in zip(words, nulls, strict=True)]
    sql = to_duckdb(compiler(), text)
    try:
        theirs = _evaluate(connection, sql, expression.type, data)
    except (duckdb.OutOfRangeException, duckdb.ConversionException, OverflowError):
        # Repeated multiplication leaves what DuckDB can hold.
        assume(False)
        raise
    for our, their in zip(ours, theirs, strict=True):
        assert _close(our, their), (text, sql, our, their)


@pytest.mark.parametrize(("text", "value"), MEANINGS)
def test_duckdb_gives_what_expressions_mean(connection: duckdb.DuckDBPyConnection, text: str, value: Any) -> None:
    sql = to_duckdb(compiler(), text)
    (theirs,) = _evaluate(connection, sql, compiler().compile(text, "rule").type, [ROW])
    assert _close(value, theirs), (sql, theirs)
