"""Rows of a table as lines of JSON: how a CSV or Parquet file goes over a wire that carries one record at a time."""

from __future__ import annotations

import json

import polars as pl

_NUMBER = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$"
"""What JSON can hold as it stands: not 007, which is no number to whoever wrote it."""


def table_lines(table: pl.DataFrame, *, texts: bool = False) -> bytes:
    r"""Return each row as an object; what is null is left out.

    Numbers keep their digits: an amount is written as it was read. Instants become RFC 3339, those without a zone UTC.

    Parameters
    ----------
    table
        The rows.
    texts
        Whether every column is text, as in a CSV file: then what looks like a number, ``true`` or ``false`` is one.

    Examples
    --------
    >>> table_lines(pl.DataFrame({"id": ["007", "8"], "amount": ["1.50", None]}), texts=True)
    b'{"id":"007","amount":1.50}\n{"id":8}\n'
    >>> table_lines(pl.DataFrame({"id": ["8"], "amount": [1.5]}))
    b'{"id":"8","amount":1.5}\n'
    """
    if not len(table):
        return b""
    members = [
        pl.concat_str(pl.lit(f"{json.dumps(name, ensure_ascii=False)}:"), _value(name, kind, texts))
        for name, kind in table.schema.items()
    ]
    joined = pl.concat_str(members, separator=",", ignore_nulls=True)
    lines = table.select(pl.concat_str(pl.lit("{"), joined, pl.lit("}")).alias("line"))["line"]
    return ("\n".join(lines.to_list()) + "\n").encode()


def _value(name: str, kind: pl.DataType, texts: bool) -> pl.Expr:
    """Return a column as the JSON of its values; null where it has none."""
    column = pl.col(name)
    if kind == pl.String and texts:
        plain = column.str.contains(_NUMBER) | column.is_in(["true", "false"])
        return pl.when(plain).then(column).otherwise(_quoted(column))
    if kind == pl.Boolean or kind.is_integer() or kind.is_decimal():
        return column.cast(pl.String)
    if kind.is_float():
        return pl.when(column.is_finite()).then(column.cast(pl.String))
    if kind == pl.Datetime:
        return pl.concat_str(pl.lit('"'), _utc(column, kind).dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ"), pl.lit('"'))
    return _quoted(column.cast(pl.String))


def _utc(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    assert isinstance(kind, pl.Datetime)
    return column if kind.time_zone is None else column.dt.convert_time_zone("UTC")


def _quoted(column: pl.Expr) -> pl.Expr:
    """Return text with quotes and escapes: what the encoder writes of a record with one field, without its wrapping."""
    wrapped = pl.struct(column.alias("v")).struct.json_encode()
    return pl.when(column.is_not_null()).then(wrapped.str.slice(5).str.head(-1))
