"""A batch as a polars frame and back, exactly.

The frame has a column for the position, the kind's number, the time and the id, and one for each column of the schema
in its natural type: texts as strings, amounts as minor units, times as microseconds. Hashes are not stored: they
follow from the texts and the key.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import StorageError
from counterfoil.events.arrow import TextViews, series_of_texts, views_of_series
from counterfoil.events.batch import Batch, Bytes, Texts, Words
from counterfoil.events.hashing import hash_padded
from counterfoil.events.identity import IdentityKey, hash_pair
from counterfoil.events.kinds import Field, FieldType, Schema
from counterfoil.events.words import PADDING, copy_bytes, load_address_byte, load_address_word, store_word

POSITION, KIND, TIME, ID = "position", "kind", "time", "id"
_OWN_NAMES = (POSITION, KIND, TIME, ID)


def column_name(field: Field) -> str:
    """Return the name of a schema's column in a frame; one that the frame itself uses gets a prefix."""
    return f"column.{field.name}" if field.name in _OWN_NAMES else field.name


def column_type(field: Field) -> type[pl.DataType]:
    """Return the type of a schema's column in a frame."""
    if field.type.is_text:
        return pl.String
    return {FieldType.FLOAT: pl.Float64, FieldType.BOOL: pl.Boolean}.get(field.type, pl.Int64)


def frame_schema(schema: Schema) -> dict[str, type[pl.DataType]]:
    """Return the names and types of a frame's columns."""
    own: dict[str, type[pl.DataType]] = {POSITION: pl.Int64, KIND: pl.Int16, TIME: pl.Int64, ID: pl.String}
    return own | {column_name(each): column_type(each) for each in schema.columns}


def to_frame(batch: Batch) -> pl.DataFrame:
    """Return a batch as a frame."""
    rows = {column: 1 + row for row, column in enumerate(batch.schema.text_columns)}
    series = [
        pl.Series(POSITION, batch.position),
        pl.Series(KIND, batch.kind),
        pl.Series(TIME, batch.time),
        texts_to_series(batch.texts, 0, ID),
    ]
    for column, field in enumerate(batch.schema.columns):
        if column in rows:
            series.append(texts_to_series(batch.texts, rows[column], column_name(field)))
        else:
            series.append(_number_series(field, batch.values[column], batch.nulls[column]))
    return pl.DataFrame(series)


def _number_series(field: Field, words: Words, nulls: Bytes) -> pl.Series:
    match field.type:
        case FieldType.FLOAT:
            series = pl.Series(column_name(field), words.view(np.float64), nan_to_null=False)
        case FieldType.BOOL:
            series = pl.Series(column_name(field), words != 0)
        case _:
            series = pl.Series(column_name(field), words)
    return series.set(pl.Series(nulls != 0), None) if nulls.any() else series


def texts_to_series(texts: Texts, row: int, name: str = "") -> pl.Series:
    """Return one row of a batch's texts as a String series."""
    offset, length = texts.offset[row], texts.length[row]
    present = length >= 0
    ends = np.zeros(len(length) + 1, np.int64)
    np.cumsum(np.maximum(length, 0), dtype=np.int64, out=ends[1:])
    data = np.empty(int(ends[-1]) + PADDING, np.uint8)
    _gather(texts.heap, offset, length, ends, data)
    return series_of_texts(name, ends, data[: ends[-1]], present)


@nb.njit(nogil=True, cache=True)
def _gather(heap: Bytes, offset: Words, length: npt.NDArray[np.int32], ends: Words, data: Bytes) -> None:
    """Put texts one behind the other. The heap of a batch is not padded, so its end is copied by bytes."""
    for row in range(len(length)):
        size, start, at = np.int64(length[row]), offset[row], ends[row]
        if size > 0 and start + size + PADDING <= len(heap):
            copy_bytes(heap, start, size, data, at)
        else:
            for byte in range(size):
                data[at + byte] = heap[start + byte]


def from_frame(frame: pl.DataFrame, schema: Schema, key: IdentityKey) -> Batch:
    """Return the batch that a frame was made from.

    Raises
    ------
    StorageError
        The frame lacks a column of the schema, or has one of another type.
    """
    _check_columns(frame, schema)
    count = frame.height
    values = np.zeros((len(schema.columns), count), np.int64)
    nulls = np.zeros((len(schema.columns), count), np.uint8)
    texts = 1 + len(schema.text_columns)
    offset, length = np.zeros((texts, count), np.int64), np.full((texts, count), -1, np.int32)
    ids = np.zeros(count, np.int64)
    hashes = [ids] + [values[column] for column in schema.text_columns]
    names = [ID] + [column_name(schema.columns[column]) for column in schema.text_columns]
    heap = read_texts([frame[name] for name in names], hashes, offset, length, key)
    for text, column in enumerate(schema.text_columns, start=1):
        nulls[column] = length[text] < 0
    for column, field in enumerate(schema.columns):
        if not field.type.is_text:
            _read_numbers(frame[column_name(field)], field, values[column], nulls[column])
    kind = _numbers(frame[KIND], np.int16)
    identity = np.zeros(count, np.int64)
    identities(kind, ids, length[0], *key.words, identity)
    return Batch(
        schema,
        kind,
        _numbers(frame[POSITION], np.int64),
        _numbers(frame[TIME], np.int64),
        identity,
        values,
        nulls,
        Texts(heap, offset, length),
    )


def _check_columns(frame: pl.DataFrame, schema: Schema) -> None:
    types = dict(zip(frame.columns, frame.dtypes, strict=True))
    for name, kind in frame_schema(schema).items():
        found = types.get(name)
        if found != kind:
            stood = "no column" if found is None else found
            message = f"stored events: {name}: found {stood}; allowed: {kind}; they belong to another detector"
            raise StorageError(message)


def _numbers(series: pl.Series, kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.array(series.to_numpy(), kind)


def _read_numbers(series: pl.Series, field: Field, words: Words, nulls: Bytes) -> None:
    """Fill a column's words and nulls from a series."""
    if series.null_count():
        nulls[:] = series.is_null().to_numpy()
        series = series.fill_null(False if field.type is FieldType.BOOL else 0)
    if field.type is FieldType.FLOAT:
        words.view(np.float64)[:] = series.to_numpy()
    else:
        words[:] = series.to_numpy()


@nb.njit(nogil=True, cache=True)
def identities(
    kind: npt.NDArray[np.int16],
    ids: Words,
    length: npt.NDArray[np.int32],
    key0: np.uint64,
    key1: np.uint64,
    identity: Words,
) -> None:
    """Fill in the identities of events from the hashes of their ids."""
    for row in range(len(kind)):
        if length[row] >= 0:
            identity[row] = hash_pair(np.int64(kind[row]) + 1, ids[row], key0, key1)


def read_texts(
    columns: list[pl.Series], hashes: list[Words], offset: Words, length: npt.NDArray[np.int32], key: IdentityKey
) -> Bytes:
    """Copy the texts of some String columns to one heap, which is returned.

    Parameters
    ----------
    columns
        String series.
    hashes
        For each column, where the hashes of its texts go; that of a null becomes 0.
    offset, length
        (columns, n): where each text lies in the heap, and its bytes; -1 for null.
    key
        The key of the hashes.
    """
    whole = [each.rechunk() for each in columns]
    with ExitStack() as stack:
        lent = [_view_arguments(stack.enter_context(views_of_series(each))) for each in whole]
        heap = np.empty(sum(_views_size(*each) for each in lent) + PADDING, np.uint8)
        at = 0
        for row, views in enumerate(lent):
            at = _copy_views(*views, heap, at, offset[row], length[row])
    for row, hash_row in enumerate(hashes):
        _hash_texts(heap, offset[row], length[row], *key.words, hash_row)
    return heap[:at]


def _view_arguments(views: TextViews) -> tuple[int, int, np.uint64, np.uint64, npt.NDArray[np.uint64]]:
    return views.length, views.offset, np.uint64(views.views), np.uint64(views.validity), views.buffers


@nb.njit(nogil=True, cache=True)
def _is_present(validity: np.uint64, place: np.uint64) -> bool:
    if validity == 0:
        return True
    bits = load_address_byte(validity + (place >> np.uint64(3)))
    return (bits >> (place & np.uint64(7))) & np.uint64(1) != 0


@nb.njit(nogil=True, cache=True)
def _views_size(count: int, first: int, views: np.uint64, validity: np.uint64, _buffers: npt.NDArray[np.uint64]) -> int:
    """Return how many bytes the texts have together."""
    size = 0
    for row in range(count):
        place = np.uint64(first + row)
        if _is_present(validity, place):
            size += np.int64(load_address_word(views + (place << np.uint64(4))) & np.uint64(0xFFFFFFFF))
    return size


@nb.njit(nogil=True, cache=True)
def _copy_views(
    count: int,
    first: int,
    views: np.uint64,
    validity: np.uint64,
    buffers: npt.NDArray[np.uint64],
    heap: Bytes,
    at: int,
    offset: Words,
    length: npt.NDArray[np.int32],
) -> int:
    """Copy texts out of somebody else's memory, never reading beyond their end, and return the end of the heap."""
    low = np.uint64(0xFFFFFFFF)
    for row in range(count):
        place = np.uint64(first + row)
        if not _is_present(validity, place):
            length[row] = -1
            continue
        view = views + (place << np.uint64(4))
        head = load_address_word(view)
        tail = load_address_word(view + np.uint64(8))
        size = np.int64(head & low)
        offset[row] = at
        length[row] = size
        if size <= 12:
            store_word(heap, at, (head >> np.uint64(32)) | (tail << np.uint64(32)))
            store_word(heap, at + 8, tail >> np.uint64(32))
        else:
            source = buffers[np.int64(tail & low)] + (tail >> np.uint64(32))
            whole = size & ~7
            for byte in range(0, whole, 8):
                store_word(heap, at + byte, load_address_word(source + np.uint64(byte)))
            for byte in range(whole, size):
                heap[at + byte] = load_address_byte(source + np.uint64(byte))
        at += size
    return at


@nb.njit(nogil=True, cache=True)
def _hash_texts(
    heap: Bytes,
    offset: Words,
    length: npt.NDArray[np.int32],
    key0: np.uint64,
    key1: np.uint64,
    hashes: Words,
) -> None:
    for row in range(len(length)):
        if length[row] >= 0:
            hashes[row] = hash_padded(heap, offset[row], np.int64(length[row]), key0, key1)
        else:
            hashes[row] = 0
