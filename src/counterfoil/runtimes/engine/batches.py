"""Batches and decisions as arrays of a blob.

Columns that are null in all rows, those of other event kinds above all, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from counterfoil.decisions.decided import Decided
from counterfoil.events.batch import Batch, Bytes, Texts, Words
from counterfoil.events.kinds import Schema
from counterfoil.runtimes.engine.blob import Array, pack_bits, unpack_bits
from counterfoil.runtimes.local.arrays import gathered, offsets_of


def sparse_rows(name: str, matrix: Array, nulls: Bytes | None = None) -> dict[str, Array]:
    """Return the rows of a matrix that hold anything, and where they are null."""
    present = np.flatnonzero((nulls == 0).any(axis=1) if nulls is not None else (matrix != 0).any(axis=1))
    found: dict[str, Array] = {f"{name}_rows": present.astype(np.int16), name: matrix[present]}
    if nulls is not None:
        found[f"{name}_nulls"] = pack_bits(nulls[present])
    return found


def dense_rows(name: str, arrays: Mapping[str, Array], rows: int, count: int) -> Words:
    """Return the matrix of (rows, count) that ``sparse_rows`` was given."""
    matrix = np.zeros((rows, count), np.int64)
    matrix[arrays[f"{name}_rows"]] = arrays[name]
    return matrix


def dense_nulls(name: str, arrays: Mapping[str, Array], rows: int, count: int) -> Bytes:
    """Return its nulls."""
    nulls = np.ones((rows, count), np.uint8)
    nulls[arrays[f"{name}_rows"]] = unpack_bits(arrays[f"{name}_nulls"], count)
    return nulls


def batch_arrays(batch: Batch) -> dict[str, Array]:
    """Return a batch as arrays."""
    texts = batch.texts
    present = np.flatnonzero((texts.length >= 0).any(axis=1))
    length = np.ascontiguousarray(texts.length[present])
    return {
        "kind": batch.kind,
        "position": batch.position,
        "time": batch.time,
        "identity": batch.identity,
        **sparse_rows("values", batch.values, batch.nulls),
        "text_rows": present.astype(np.int16),
        "text_length": length,
        "text_heap": gathered(texts.heap, np.ascontiguousarray(texts.offset[present]), length),
    }


def batch_of(arrays: Mapping[str, Array], schema: Schema) -> Batch:
    """Return the batch that arrays were made from."""
    count, columns, texts = len(arrays["kind"]), len(schema.columns), 1 + len(schema.text_columns)
    length = np.full((texts, count), -1, np.int32)
    length[arrays["text_rows"]] = arrays["text_length"]
    offset = np.zeros((texts, count), np.int64)
    offset[arrays["text_rows"]] = offsets_of(arrays["text_length"])
    return Batch(
        schema,
        arrays["kind"],
        arrays["position"],
        arrays["time"],
        arrays["identity"],
        dense_rows("values", arrays, columns, count),
        dense_nulls("values", arrays, columns, count),
        Texts(arrays["text_heap"], offset, length),
    )


def decided_arrays(decided: Decided, columns: Words) -> dict[str, Array]:
    """Return some decisions as arrays, models' scores left out."""
    return {
        "decided_score": decided.score[columns],
        "decided_outcome": decided.outcome[columns],
        "decided_hits": decided.hits[:, columns],
        "decided_late": decided.late[columns],
        "decided_features": decided.features[:, columns],
        "decided_feature_nulls": decided.feature_nulls[:, columns],
    }


def decided_of(arrays: Mapping[str, Array]) -> Decided:
    """Return the decisions: those of the rows of a batch of their own."""
    none = np.zeros(0, np.int64)
    fields: dict[str, Any] = {name.removeprefix("decided_"): arrays[name] for name in arrays if "decided_" in name}
    return Decided(rows=np.arange(len(fields["score"])), duplicates=none, firsts=none, observed=0, **fields)
