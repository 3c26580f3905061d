"""Texts to and from polars without a Python object each: the Arrow C data interface, by ctypes.

polars speaks the Arrow PyCapsule interface in both directions, and that needs no pyarrow.

References
----------
https://arrow.apache.org/docs/format/CDataInterface.html,
https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.events.batch import Bytes, Words

_NULLABLE = 2


class _Schema(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_char_p),
        ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class _Array(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.c_void_p),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class _Stream(ctypes.Structure):
    _fields_ = (
        ("get_schema", ctypes.c_void_p),
        ("get_next", ctypes.c_void_p),
        ("get_last_error", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)

_capsule_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_lent: dict[int, tuple[Any, ...]] = {}
"""What polars still reads, until it gives it back."""


# The defaults keep the names alive while the interpreter shuts down: polars may give something back until its very end.
def _release_array(address: int, lent: dict[int, tuple[Any, ...]] = _lent, array_type: type[_Array] = _Array) -> None:
    array = array_type.from_address(address)
    array.release = None
    lent.pop(array.private_data, None)


def _release_schema(address: int, schema_type: type[_Schema] = _Schema) -> None:
    schema_type.from_address(address).release = None


_array_release = _Release(_release_array)
_schema_release = _Release(_release_schema)


class _LargeText:
    """Texts as an Arrow array that polars can take over: offsets, bytes and validity, none of them copied."""

    def __init__(self, offsets: Words, data: Bytes, validity: Bytes | None, nulls: int) -> None:
        pointers = (ctypes.c_void_p * 3)(
            None if validity is None else validity.ctypes.data, offsets.ctypes.data, data.ctypes.data
        )
        self.schema = _Schema(
            format=b"U", name=b"", flags=_NULLABLE, release=ctypes.cast(_schema_release, ctypes.c_void_p).value
        )
        self.array = _Array(
            length=len(offsets) - 1,
            null_count=nulls,
            n_buffers=3,
            buffers=ctypes.addressof(pointers),
            release=ctypes.cast(_array_release, ctypes.c_void_p).value,
            private_data=id(pointers),
        )
        _lent[id(pointers)] = (pointers, offsets, data, validity)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return (
            _capsule_new(ctypes.addressof(self.schema), b"arrow_schema", None),
            _capsule_new(ctypes.addressof(self.array), b"arrow_array", None),
        )


def series_of_texts(name: str, offsets: Words, data: Bytes, present: npt.NDArray[np.bool_]) -> pl.Series:
    """Return texts that lie one behind the other as a String series.

    Parameters
    ----------
    name
        The series' name.
    offsets
        (n + 1,): where each text begins and the last one ends.
    data
        Their bytes, valid UTF-8.
    present
        (n,): False where the text is null.
    """
    if len(present) == 0:
        return pl.Series(name, [], dtype=pl.String)
    nulls = len(present) - int(np.count_nonzero(present))
    validity = np.packbits(present, bitorder="little") if nulls else None
    return pl.Series(values=_LargeText(offsets, data, validity, nulls)).rename(name)


@dataclass(frozen=True, slots=True)
class TextViews:
    """Where the texts of a String series lie in memory; valid only while the series is held."""

    length: int
    offset: int
    """Views and bits of validity before the first."""
    views: int
    """Address of 16 bytes a text: length, then the text itself or its prefix, buffer and place there."""
    validity: int
    """Address of one bit a text; 0 where all are present."""
    buffers: npt.NDArray[np.uint64]
    """Addresses of the buffers that hold the texts of more than twelve bytes."""


@contextmanager
def views_of_series(series: pl.Series) -> Iterator[TextViews]:
    """Lend the memory of a String series of one chunk."""
    capsule = series.__arrow_c_stream__()
    stream = _Stream.from_address(_capsule_pointer(capsule, b"arrow_array_stream"))
    address = ctypes.addressof(stream)
    schema, array = _Schema(), _Array()
    _check(_Get(stream.get_schema)(address, ctypes.addressof(schema)))
    form = schema.format
    _give_back(schema)
    _check(_Get(stream.get_next)(address, ctypes.addressof(array)))
    try:
        if not array.release:
            yield TextViews(0, 0, 0, 0, np.zeros(1, np.uint64))
        else:
            assert form == b"vu", f"polars lends {form!r} where string views were expected"
            yield _views(array)
    finally:
        _give_back(array)


def _views(array: _Array) -> TextViews:
    buffers = (ctypes.c_void_p * array.n_buffers).from_address(array.buffers)
    # First validity and views, last the sizes of the buffers between them.
    texts = [each or 0 for each in buffers[2:-1]]
    return TextViews(array.length, array.offset, buffers[1] or 0, buffers[0] or 0, np.array(texts or [0], np.uint64))


def _give_back(lent: _Schema | _Array) -> None:
    if lent.release:
        _Release(lent.release)(ctypes.addressof(lent))


def _check(status: int) -> None:
    if status:
        message = f"polars could not lend its memory: error {status}"
        raise RuntimeError(message)
