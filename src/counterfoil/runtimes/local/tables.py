"""The decision log as tables: for Parquet files, for listings, and as the form in which two logs are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from counterfoil.rules.definition import Outcome
from counterfoil.rules.types import Base
from counterfoil.runtimes.local.arrays import texts_of
from counterfoil.runtimes.local.model_records import with_models
from counterfoil.runtimes.local.outputs import read_decisions
from counterfoil.runtimes.local.values import column_values

if TYPE_CHECKING:
    from counterfoil.rules.types import ValueType
    from counterfoil.runtimes.local.records import Records
    from counterfoil.runtimes.local.store import Header, Store

_OUTCOMES = [outcome.value for outcome in Outcome]
_TIME = pl.Datetime("us", "UTC")
_TYPES = {Base.BOOL: pl.Boolean, Base.INT: pl.Int64, Base.TIME: pl.Int64, Base.TEXT: pl.Int64}


def decision_frames(
    store: Store, start: int, stop: int, features: Sequence[tuple[str, ValueType]] = ()
) -> Iterator[pl.DataFrame]:
    """Yield one table for each block with decisions, and one empty table when there is none.

    Parameters
    ----------
    store
        The log.
    start, stop
        The blocks, ``stop`` excluded.
    features
        Names and types of the features to add; they are there where a sink of the run asked for them.
    """
    empty = True
    for header, records in read_decisions(store, start, stop):
        empty = False
        yield decision_frame(header, records, store.version_at(header.block), features)
    if empty:
        yield pl.DataFrame(schema=decisions_schema(features))


def decision_frame(
    header: Header, records: Records, version: str, features: Sequence[tuple[str, ValueType]] = ()
) -> pl.DataFrame:
    """Return the decisions of a block as a table; ``rules`` and ``models`` are JSON texts, as in the lines."""
    size = len(records)
    records = with_models(records)
    ids = texts_of(records.id_heap, records.id_offset, records.id_length)
    texts = texts_of(records.finding_heap, records.finding_offset, records.finding_length)
    findings = [msgspec.json.decode("{" + text + "}") if text is not None else {} for text in texts]
    columns: dict[str, object] = {
        "id": [text if text is not None else str(at) for text, at in zip(ids, records.position.tolist(), strict=True)],
        "position": records.position,
        "event_time": records.time,
        "decided_at": np.full(size, header.decided_at, np.int64),
        "outcome": [_OUTCOMES[each] for each in records.outcome.tolist()],
        "score": records.score,
        "rules": [msgspec.json.encode(each.get("rules", [])).decode() for each in findings],
        "reasons": [each.get("reasons", []) for each in findings],
        "failed_rules": [each.get("failed_rules", []) for each in findings],
        "detector": [version] * size,
        "late": records.late.astype(np.bool_),
    }
    if records.models is not None:
        columns["models"] = [msgspec.json.encode(each["models"]).decode() for each in findings]
    for index, (name, value_type) in enumerate(features):
        if records.features is None or records.feature_nulls is None:
            columns[name] = [None] * size
        else:
            columns[name] = _plain(records, index, value_type)
    schema = decisions_schema(features)
    return pl.DataFrame(columns, schema={name: schema.get(name, pl.String) for name in columns})


def _plain(records: Records, index: int, value_type: ValueType) -> list[Any]:
    assert records.features is not None
    assert records.feature_nulls is not None
    if value_type.base is Base.TIME:
        words, nulls = records.features[index].tolist(), records.feature_nulls[index].tolist()
        return [None if null else word for word, null in zip(words, nulls, strict=True)]
    values = column_values(records.features[index], records.feature_nulls[index], value_type)
    # Amounts too large to be exact as a double come as decimals; a column has one type.
    return [float(each) if isinstance(each, Decimal) else each for each in values]


def decisions_schema(features: Sequence[tuple[str, ValueType]]) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Return the types of a table of decisions, with those of the features that it has."""
    return {
        "id": pl.String,
        "position": pl.Int64,
        "event_time": _TIME,
        "decided_at": _TIME,
        "outcome": pl.String,
        "score": pl.Float64,
        "rules": pl.String,
        "reasons": pl.List(pl.String),
        "failed_rules": pl.List(pl.String),
        "detector": pl.String,
        "late": pl.Boolean,
        **{name: _TYPES.get(value_type.base, pl.Float64) for name, value_type in features},
    }
