"""Rows of a table as people and JSON may see them, whatever their columns hold."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

_YEAR = 31_557_600
_SHOWN_SECONDS = (-1_960 * _YEAR, 7_960 * _YEAR)
"""Years 10 to 9930: Python has a date for them in every zone. polars panics where it has none."""
_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def rows_as_json(rows: list[dict[str, Any]]) -> list[bytes]:
    """Return each row as a line of JSON; a datetime without a zone is UTC."""
    return [json.dumps(row, default=_plain, ensure_ascii=False).encode() for row in rows]


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as Python values."""
    columns = {series.name: _values(series) for series in frame.get_columns()}
    return [{name: values[row] for name, values in columns.items()} for row in range(frame.height)]


def _values(series: pl.Series) -> list[Any]:
    if series.dtype in {pl.Time, pl.Duration} or not _has_dates(series):
        series = series.to_physical()
    try:
        return series.to_list()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return [f"a value of the type {series.dtype}"] * len(series)


def _has_dates(series: pl.Series) -> bool:
    """Return whether Python has a date for every date of a series; True where it has no dates."""
    dtype = series.dtype
    if dtype == pl.Date:
        scale = 1 / 86_400
    elif isinstance(dtype, pl.Datetime):
        scale = _PER_SECOND[dtype.time_unit]
    else:
        return True
    first, last = series.to_physical().cast(pl.Int64).min(), series.to_physical().cast(pl.Int64).max()
    if not isinstance(first, int) or not isinstance(last, int):
        return True
    return first > _SHOWN_SECONDS[0] * scale and last < _SHOWN_SECONDS[1] * scale


def _plain(value: Any) -> str:
    match value:
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes():
            return value.decode(errors="backslashreplace")
        case _:
            return repr(value)
