"""Arrays to bytes and back, as Arrow IPC or, where there is little, MessagePack; and texts gathered into one heap."""

from __future__ import annotations

import io
from collections.abc import Mapping

import msgspec
import numba as nb
import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import CorruptionError
from counterfoil.events.words import load_word, store_word
from counterfoil.runtimes.local.narrow import PADDING, Narrowed, narrow, narrowable, widen

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]

_SMALL_BYTES = 1 << 17
"""Bytes below which arrays are kept as they are: fifty calls of kernels cost more than the bytes."""
_SMALL = b"\xff" * 8
"""Stands where the length of the first file would."""
_Small = dict[str, tuple[str, bytes]]
_NARROW = b"\xfe" * 8
"""Stands there where columns are narrowed."""
_Contents = tuple[list[tuple[str, str, int, Narrowed]], list[tuple[str, str, int]]]
"""Columns (name, type, count and how they were written) and heaps (name, type, bytes)."""


def pack(arrays: Mapping[str, npt.NDArray[np.generic]], heaps: Mapping[str, Bytes]) -> bytes:
    """Return some arrays of one length, and byte heaps of any length, as bytes.

    The result is a table of contents in MessagePack, behind a mark and its length in eight bytes each, and then the
    arrays, each the shortest way that ``narrow`` knows, and the heaps as they are. The log is written at every event
    and seldom read: an Arrow file with LZ4 took a tenth less room and 0.7 µs an event, of which this takes a sixth.
    What is small is a map in MessagePack, from names to types and bytes.
    """
    if sum(array.nbytes for array in arrays.values()) + sum(heap.nbytes for heap in heaps.values()) < _SMALL_BYTES:
        small = {name: (array.dtype.str, array.tobytes()) for name, array in (*arrays.items(), *heaps.items())}
        return _SMALL + msgspec.msgpack.encode(small)
    out = np.empty(sum(array.nbytes for array in arrays.values()) + PADDING, np.uint8)
    contents, at = [], 0
    whole: dict[str, npt.NDArray[np.generic]] = {}
    for name, array in arrays.items():
        if narrowable(array.dtype.str):
            how = narrow(array, out, at)
            contents.append((name, array.dtype.str, len(array), how))
            at += how.size
        else:
            whole[name] = array
    whole |= heaps
    table = msgspec.msgpack.encode((contents, [(name, each.dtype.str, each.nbytes) for name, each in whole.items()]))
    parts: list[bytes | memoryview] = [_NARROW, len(table).to_bytes(8, "little"), table, out[:at].data]
    return b"".join([*parts, *(np.ascontiguousarray(each).data for each in whole.values())])


def unpack(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Return what was packed.

    Raises
    ------
    CorruptionError
        If the bytes are not what ``pack`` makes.
    """
    if data[:8] == _SMALL:
        return _unpack_small(data[8:])
    if data[:8] == _NARROW:
        return _unpack_narrow(data)
    return _unpack_arrow(data)


def _unpack_arrow(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Return what was packed before columns were narrowed: Arrow IPC files, each behind its length."""
    found: dict[str, npt.NDArray[np.generic]] = {}
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        if at + 8 + size > len(data):
            raise CorruptionError("a block of the log is cut short; restore the folder from a copy")
        frame = pl.read_ipc(io.BytesIO(data[at + 8 : at + 8 + size]))
        # Copies, because numba would compile every kernel a second time for arrays that are read-only.
        found.update({series.name: np.array(series.to_numpy()) for series in frame.get_columns()})
        at += 8 + size
    return found


def _unpack_narrow(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    try:
        at = 16 + int.from_bytes(data[8:16], "little")
        contents, heaps = msgspec.msgpack.decode(data[16:at], type=_Contents)
        buffer = np.zeros(len(data) + PADDING, np.uint8)
        buffer[: len(data)] = np.frombuffer(data, np.uint8)
        found: dict[str, npt.NDArray[np.generic]] = {}
        for name, kind, count, how in contents:
            found[name] = widen(how, kind, count, buffer, at)
            at += how.size
        for name, kind, size in heaps:
            found[name] = buffer[at : at + size].copy().view(kind)
            at += size
        if at != len(data):
            raise ValueError(f"{len(data)} bytes, and {at} are spoken of")
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise CorruptionError(
            f"a block of the log is damaged or cut short ({error}); restore the folder from a copy"
        ) from error
    return found


def _unpack_small(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    try:
        small = msgspec.msgpack.decode(data, type=_Small)
        return {name: np.frombuffer(bytearray(held), kind) for name, (kind, held) in small.items()}
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise CorruptionError(
            f"a block of the log is damaged or cut short ({error}); restore the folder from a copy"
        ) from error


@nb.njit(nogil=True, cache=True)
def gather(heap: Bytes, offset: Words, length: Lengths, out: Bytes) -> int:
    """Copy texts, one row of ``offset`` after the other, behind each other into ``out``; return the bytes written.

    ``out`` has ``PADDING`` bytes more than the texts.
    """
    at = 0
    for row in range(offset.shape[0]):
        for index in range(offset.shape[1]):
            start, size = offset[row, index], int(length[row, index])
            if size > 0 and start + size + PADDING <= len(heap):
                for byte in range(0, size, 8):
                    store_word(out, at + byte, load_word(heap, start + byte))
            else:
                for byte in range(size):
                    out[at + byte] = heap[start + byte]
            if size > 0:
                at += size
    return at


def gathered(heap: Bytes, offset: Words, length: Lengths) -> Bytes:
    """Return a heap that holds just these texts, in order; a length below 0 is null and takes nothing."""
    out = np.empty(int(np.maximum(length, 0).sum()) + PADDING, np.uint8)
    return out[: gather(heap, offset, length, out)]


def offsets_of(length: Lengths) -> Words:
    """Return where each text of a gathered heap begins."""
    ends = np.cumsum(np.maximum(length, 0).ravel(), dtype=np.int64)
    starts = np.zeros(length.size, np.int64)
    starts[1:] = ends[:-1]
    return starts.reshape(length.shape)


def texts_of(heap: Bytes, offset: Words, length: Lengths) -> list[str | None]:
    """Return texts as Python strings: for people, not for the hot path."""
    data = heap.tobytes()
    pairs = zip(offset.tolist(), length.tolist(), strict=True)
    return [None if size < 0 else data[start : start + size].decode() for start, size in pairs]


def heap_of(texts: list[bytes]) -> tuple[Bytes, Words, Lengths]:
    """Return some texts as heap, offsets and lengths."""
    length = np.array([len(text) for text in texts], np.int32)
    return writable(b"".join(texts)), offsets_of(length), length


def writable(data: bytes) -> Bytes:
    """Return bytes as an array of the one kind that kernels are compiled for."""
    return np.frombuffer(bytearray(data), np.uint8)
