"""Decisions as tables, made of the lines that an engine has written: for Parquet files, at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.rules.types import Base
from counterfoil.runtimes.local.tables import decisions_schema

if TYPE_CHECKING:
    import polars as pl

    from counterfoil.rules.types import ValueType
    from counterfoil.runtimes.engine.job import Job

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS = 32_768
"""Lines that become one table: what is held at once as objects."""


class _Line(msgspec.Struct):
    id: str
    position: int
    event_time: datetime
    decided_at: datetime
    outcome: str
    score: float
    detector: str
    late: bool
    rules: list[Any] = []
    reasons: list[str] = []
    failed_rules: list[str] = []
    models: dict[str, Any] | None = None
    features: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Line)


def write_parquet(path: Path, lines: Iterator[bytes], job: Job, features: bool) -> int:
    """Write decisions as one Parquet file, as a local run does; return how many.

    Parameters
    ----------
    path
        The file.
    lines
        The decisions as JSON, one a line.
    job
        The job that they come from.
    features
        Whether they carry features.
    """
    program = job.program
    columns = list(zip(program.feature_names, program.feature_types, strict=True)) if features else []
    with ParquetOutput(path) as output:
        for frame in line_frames(lines, columns, bool(job.detector.models)):
            output.write(frame)
    return output.rows


def line_frames(
    lines: Iterator[bytes], features: Sequence[tuple[str, ValueType]], models: bool = False
) -> Iterator[pl.DataFrame]:
    """Yield the tables of some lines: at least one, be it empty.

    Parameters
    ----------
    lines
        The decisions as JSON.
    features
        Names and types of the features that they carry.
    models
        Whether their detector has models.
    """
    waiting: list[_Line] = []
    empty = True
    for line in lines:
        waiting.append(_decoder.decode(line))
        if len(waiting) == _ROWS:
            empty = False
            yield _frame(waiting, features, models)
            waiting = []
    if waiting or empty:
        yield _frame(waiting, features, models)


def _frame(lines: Sequence[_Line], features: Sequence[tuple[str, ValueType]], models: bool) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 - only where a table is asked for

    columns: dict[str, list[Any]] = {
        "id": [line.id for line in lines],
        "position": [line.position for line in lines],
        "event_time": [line.event_time for line in lines],
        "decided_at": [line.decided_at for line in lines],
        "outcome": [line.outcome for line in lines],
        "score": [line.score for line in lines],
        "rules": [msgspec.json.encode(line.rules).decode() for line in lines],
        "reasons": [line.reasons for line in lines],
        "failed_rules": [line.failed_rules for line in lines],
        "detector": [line.detector for line in lines],
        "late": [line.late for line in lines],
    }
    if models and lines:
        columns["models"] = [msgspec.json.encode(line.models).decode() for line in lines]
    for name, value_type in features:
        columns[name] = [_plain(line.features.get(name), value_type) for line in lines]
    schema = decisions_schema(features)
    return pl.DataFrame(columns, schema={name: schema.get(name, pl.String) for name in columns})


def _plain(value: Any, value_type: ValueType) -> Any:
    """Return a feature's value as a table has it."""
    if value is None:
        return None
    if value_type.base is Base.TIME:
        return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
    # Whole amounts come as integers; a column has one type.
    return value if value_type.base in (Base.BOOL, Base.INT, Base.TEXT) else float(value)
