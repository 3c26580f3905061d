"""Accepted events as a block of the journal: a batch, word for word, so that replay starts behind the decoder."""

from __future__ import annotations

import numpy as np

from counterfoil.errors import CorruptionError
from counterfoil.events.batch import Batch, Texts
from counterfoil.events.kinds import Schema
from counterfoil.runtimes.local.arrays import gathered, offsets_of, pack, unpack

ID_TEXT = "text id"


def encode_batch(batch: Batch) -> bytes:
    """Return a batch as a journal block; a column that is null throughout is left out."""
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "kind": batch.kind,
        "position": batch.position,
        "time": batch.time,
        "identity": batch.identity,
    }
    for index, column in enumerate(batch.schema.columns):
        nulls = batch.nulls[index]
        if not nulls.all():
            arrays[f"value {column.name}"] = batch.values[index]
            if nulls.any():
                arrays[f"null {column.name}"] = nulls
    rows = []
    for row, name in enumerate(_text_names(batch.schema)):
        if (batch.texts.length[row] >= 0).any():
            arrays[name] = batch.texts.length[row]
            rows.append(row)
    texts = batch.texts
    heap = gathered(texts.heap, texts.offset[rows], texts.length[rows]) if rows else np.zeros(0, np.uint8)
    return pack(arrays, {"heap": heap})


def decode_batch(data: bytes, schema: Schema) -> Batch:
    """Return a journal block as a batch of ``schema``: columns that the schema lacks are dropped, new ones are null.

    Raises
    ------
    CorruptionError
        If the bytes are no journal block.
    """
    arrays = unpack(data)
    try:
        size = len(arrays["time"])
        batch = Batch.empty(schema, size)
        batch.kind = arrays["kind"].astype(np.int16, copy=False)
        batch.position = arrays["position"].astype(np.int64, copy=False)
        batch.time = arrays["time"].astype(np.int64, copy=False)
        batch.identity = arrays["identity"].astype(np.int64, copy=False)
        heap = arrays["heap"].astype(np.uint8, copy=False)
    except KeyError as error:
        raise CorruptionError(f"a journal block has no column {error}; restore the folder from a copy") from error
    for index, column in enumerate(schema.columns):
        if f"value {column.name}" in arrays:
            batch.values[index] = arrays[f"value {column.name}"]
            batch.nulls[index] = arrays.get(f"null {column.name}", np.zeros(size, np.uint8))
    batch.texts = _texts(arrays, heap, schema, size)
    return batch


def _texts(
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
    heap: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    schema: Schema,
    size: int,
) -> Texts:
    """Return the texts; the heap holds them column by column in the order in which the block names them."""
    wanted = {name: row for row, name in enumerate(_text_names(schema))}
    texts = Texts(heap, np.zeros((len(wanted), size), np.int64), np.full((len(wanted), size), -1, np.int32))
    start = 0
    for name, array in arrays.items():
        if name.startswith("text "):
            length = array.astype(np.int32, copy=False)
            if name in wanted:
                texts.offset[wanted[name]] = start + offsets_of(length)
                texts.length[wanted[name]] = length
            start += int(np.maximum(length, 0).sum())
    return texts


def _text_names(schema: Schema) -> list[str]:
    # A blank cannot stand in front of a field's name, so no field can take the place of the id.
    return [ID_TEXT, *(f"text of {schema.columns[index].name}" for index in schema.text_columns)]
