"""Events as one table: a column for every field of every kind."""

from __future__ import annotations

import polars as pl

from counterfoil.events.generators.columns import EventColumns
from counterfoil.events.generators.fields import FIELDS, Format, GeneratedField
from counterfoil.events.generators.writing import write_ndjson

_NUMBERS = {Format.FLAG: pl.Boolean(), Format.MONEY: pl.Float64(), Format.POSITION: pl.Float64()}


def frame_schema() -> dict[str, pl.DataType]:
    """Return the columns of a table of events: the kind, then every field once, in order of first appearance."""
    columns: dict[str, pl.DataType] = {"kind": pl.String()}
    for members in FIELDS.values():
        for each in members:
            columns.setdefault(each.name, _type(each))
    return columns


def _type(field: GeneratedField) -> pl.DataType:
    return _NUMBERS.get(field.format, pl.String())


def to_frame(events: EventColumns) -> pl.DataFrame:
    """Return the events as a table.

    Read back from the lines, at a gigabyte in a few seconds: so tables and lines cannot disagree. Times become
    instants in UTC; ids and words text; amounts floats in major units, whose two digits are exact.
    """
    schema = frame_schema()
    if not len(events):
        frame = pl.DataFrame(schema=schema)
    else:
        frame = pl.read_ndjson(write_ndjson(events).tobytes(), schema=schema)
    times = [each.name for members in FIELDS.values() for each in members if each.format is Format.TIME]
    instant = pl.Datetime("us", "UTC")
    return frame.with_columns(pl.col(sorted(set(times))).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ").cast(instant))
