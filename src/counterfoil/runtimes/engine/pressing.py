"""Pieces as they travel and are stored where an engine copies them often: compressed.

A blob may be pressed or not; ``blob.decode`` takes both.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from counterfoil.errors import CorruptionError
from counterfoil.runtimes.engine.blob import PRESSED

_HEAD = len(PRESSED) + 8
"""The mark, and how many bytes there were before."""
_CODEC = pa.Codec("zstd", compression_level=1)


def pressed(data: bytes) -> bytes:
    """Return bytes as they travel and are stored: a third or less, for a microsecond an event.

    What is pressed already stays as it is.

    Spark copies a piece a dozen times between its JVM, Python's workers, shuffles and state: with state in shards, most
    of a micro-batch's time was that.

    Examples
    --------
    >>> bytes(opened(pressed(pressed(b"some" * 9)))) == b"some" * 9
    True
    """
    if data[: len(PRESSED)] == PRESSED:
        return data
    size = len(data).to_bytes(8, "little")
    return b"".join((PRESSED, size, _CODEC.compress(data)))


def opened(data: bytes | bytearray | memoryview) -> Any:
    """Return what was pressed as a buffer of the caller's own, which may be written to.

    Raises
    ------
    CorruptionError
        If it is damaged.
    """
    view = memoryview(data)
    size = int.from_bytes(view[len(PRESSED) : _HEAD], "little")
    try:
        return _CODEC.decompress(view[_HEAD:], decompressed_size=size)
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise CorruptionError(f"a piece is damaged: {error}; restart from the last checkpoint") from None
