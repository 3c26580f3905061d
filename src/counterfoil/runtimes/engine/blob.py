"""Arrays as bytes and back: the one form in which anything travels between the workers of an engine.

A blob is eight bytes of mark and header length, a JSON header (what it is, names, types and shapes), the arrays one
behind the other, each at a multiple of eight bytes, and a checksum of everything before it. Where an engine does not
compress what it copies, blobs are pressed (``pressing``); they are read all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from counterfoil.errors import CorruptionError

Array = npt.NDArray[Any]

_MARK = b"CFB1"
PRESSED = b"CFZ1"
"""What a pressed blob begins with; see ``pressing``."""
_TYPES = frozenset({"<i8", "<i4", "<i2", "|u1", "<f8", "<u8", "<f4"})
_HEAD_MAX = 1 << 24


class Piece(NamedTuple):
    """Some bytes on their way.

    Engines may sort pieces: by part, then by batch, in the order in which they were made.
    """

    part: int
    """Who gets it; see ``job``."""
    batch: int
    """The batch it belongs to: the input position of its first record, so batches of a split sort in its order."""
    data: bytes


class _Header(msgspec.Struct, array_like=True):
    kind: str
    arrays: list[tuple[str, str, list[int]]]
    meta: dict[str, Any]


@dataclass(slots=True)
class Blob:
    """What a blob holds."""

    kind: str
    """What it is."""
    arrays: dict[str, Array]
    """By name; writable and of the caller's own."""
    meta: dict[str, Any] = field(default_factory=dict)
    """A few plain values."""


def encode(kind: str, arrays: Mapping[str, Array], meta: Mapping[str, Any] | None = None) -> bytes:
    """Return arrays as bytes.

    Parameters
    ----------
    kind
        What it is, in a word.
    arrays
        Of fixed-width numbers.
    meta
        Plain values beside them.
    """
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = msgspec.json.encode(
        _Header(kind, [(name, array.dtype.str, list(array.shape)) for name, array in plain.items()], dict(meta or {}))
    )
    header += b" " * (-len(header) % 8)
    parts: list[bytes | memoryview] = [_MARK + len(header).to_bytes(4, "little"), header]
    for name, array in plain.items():
        assert array.dtype.str in _TYPES, f"{name} is of a type that a blob does not hold"
        if array.nbytes:
            parts.append(array.data.cast("B"))
            parts.append(bytes(-array.nbytes % 8))
    body = b"".join(parts)
    return b"".join((body, xxhash.xxh3_64_digest(body)))


def decode(data: bytes | bytearray | memoryview, kind: str | None = None) -> Blob:
    """Return what a blob holds.

    Parameters
    ----------
    data
        The bytes, pressed or not.
    kind
        What it must be; None for anything.

    Raises
    ------
    CorruptionError
        If it is something else, or damaged.
    """
    # Arrays that are read-only would make numba compile every kernel once more; so there is one copy, for all arrays.
    own = np.frombuffer(_opened(data) if data[:4] == PRESSED else bytearray(data), np.uint8)
    if len(own) < 16 or bytes(own[:4]) != _MARK:
        raise CorruptionError("what came is no blob; do all workers run the same version of counterfoil?")
    if xxhash.xxh3_64_digest(own[:-8].data) != own[-8:].tobytes():
        raise CorruptionError("a blob is damaged: its checksum does not match; restart from the last checkpoint")
    at = 8 + int.from_bytes(own[4:8].tobytes(), "little")
    if at > min(_HEAD_MAX, len(own) - 8):
        raise CorruptionError("the header of a blob is longer than the blob; restart from the last checkpoint")
    header = msgspec.json.decode(own[8:at].tobytes(), type=_Header)
    if kind is not None and header.kind != kind:
        raise CorruptionError(f"a blob is of kind {header.kind}, not {kind}; do all workers run the same version?")
    arrays: dict[str, Array] = {}
    for name, dtype, shape in header.arrays:
        assert dtype in _TYPES
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        arrays[name] = own[at : at + size].view(dtype).reshape(shape)
        at += size + -size % 8
    return Blob(header.kind, arrays, header.meta)


def _opened(data: bytes | bytearray | memoryview) -> Any:
    from counterfoil.runtimes.engine.pressing import opened  # noqa: PLC0415 - not every engine presses

    return opened(data)


def encode_pieces(pieces: Sequence[Piece]) -> bytes:
    """Return pieces as one blob: an entry of a part's log."""
    lengths = [len(piece.data) for piece in pieces]
    joined = np.frombuffer(b"".join(piece.data for piece in pieces), np.uint8)
    numbers = np.array([(piece.part, piece.batch) for piece in pieces], np.int64).reshape(len(pieces), 2)
    return encode("pieces", {"numbers": numbers, "length": np.array(lengths, np.int64), "data": joined})


def decode_pieces(data: bytes | bytearray | memoryview) -> list[Piece]:
    """Return what ``encode_pieces`` made."""
    blob = decode(data, "pieces")
    ends = np.cumsum(blob.arrays["length"]).tolist()
    whole = blob.arrays["data"].tobytes()
    found, start = [], 0
    for (part, batch), end in zip(blob.arrays["numbers"].tolist(), ends, strict=True):
        found.append(Piece(part, batch, whole[start:end]))
        start = end
    return found


def pack_bits(flags: Array) -> Array:
    """Return (rows, n) of 0 and 1 as bits."""
    return np.packbits(flags, axis=1, bitorder="little")


def unpack_bits(bits: Array, count: int) -> npt.NDArray[np.uint8]:
    """Return (rows, count) of 0 and 1."""
    return np.unpackbits(bits, axis=1, count=count, bitorder="little")
