"""An Avro object container file: blocks of records, with their schema at the beginning.

Exactly once: a position is a record's number, and the offset beside it says where its block begins.

References
----------
Apache Avro specification 1.12: object container files.
"""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from counterfoil.connectors.source import Chunk
from counterfoil.connectors.text_file import HEAD_BYTES, head_checksum
from counterfoil.errors import InputError
from counterfoil.events.record_batch import RecordBatch

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_HEADER_MAX = 16 << 20
"""Longest header: the schema is nearly all of it."""
_LONG_MAX = 10
BLOCK_BYTES_MAX = 256 << 20
"""Longest block, packed or not; writers make blocks of 16 KiB to a few MiB."""

Split = Callable[[bytes, int, int], RecordBatch]
"""Takes a block's bytes apart: see ``AvroDecoder.split``."""


class AvroFileSource:
    """Reads a container file by blocks.

    Parameters
    ----------
    path
        The file.
    batch_events
        About how many records a chunk has: whole blocks are gathered up to it.

    Attributes
    ----------
    schema
        The schema of all records, as JSON.

    Raises
    ------
    InputError
        It cannot be opened, or is no container file.
    """

    seekable = True

    def __init__(self, path: Path, batch_events: int) -> None:
        self.path = path
        self.name = str(path.resolve())
        self._batch_events = batch_events
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._read_header()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"{path}: cannot be read: {reason}; give the path of a file") from error
        self._split: Split | None = None
        self._position = 0
        self._offset = self._first

    def split_with(self, split: Split) -> None:
        """Say how blocks are taken apart; before the first ``read``."""
        self._split = split

    def seek(self, position: int, offset: int) -> None:
        """Go to a block that an earlier chunk named; ``offset`` 0 is the first one."""
        size = os.fstat(self._descriptor).st_size
        if offset > size:
            raise InputError(
                f"{self.path}: has {size} bytes, but {offset} were read of it before; it is another file or was cut:"
                " give the former file, or another state folder"
            )
        self._position, self._offset = position, offset or self._first

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return length and checksum of the beginning."""
        data = os.pread(self._descriptor, HEAD_BYTES if length is None else length, 0)
        return len(data), head_checksum(data)

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the records of the next block or blocks; None at the end."""
        assert self._split is not None
        batches: list[RecordBatch] = []
        first, count = self._position, 0
        while count < self._batch_events and not stopped():
            block = self._next_block()
            if block is None:
                break
            batches.append(self._split(block[0], block[1], self._position))
            count += block[1]
            self._position += block[1]
        if not batches:
            return None
        return Chunk(RecordBatch.joined(batches), first, self._position, self._offset)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _next_block(self) -> tuple[bytes, int] | None:
        """Return the next block's bytes, unpacked, and how many records it has; None at the end."""
        head = os.pread(self._descriptor, 2 * _LONG_MAX, self._offset)
        if not head:
            return None
        count, at = self._long(head, 0, self._offset)
        size, at = self._long(head, at, self._offset)
        if count < 0 or not 0 <= size <= BLOCK_BYTES_MAX:
            raise self._damaged(self._offset, f"a block of {count} records and {size} bytes")
        data = os.pread(self._descriptor, size + _SYNC_BYTES, self._offset + at)
        if len(data) < size + _SYNC_BYTES:
            raise self._damaged(self._offset, "half a block; is somebody still writing?")
        if data[size:] != self._sync:
            raise self._damaged(self._offset, "a block that does not end in the file's mark")
        unpacked = self._unpack(data[:size])
        self._offset += at + size + _SYNC_BYTES
        return unpacked, count

    def _unpack(self, data: bytes) -> bytes:
        try:
            match self._codec:
                case "null":
                    return data
                case "deflate":
                    unpacker = zlib.decompressobj(-15)
                    unpacked = unpacker.decompress(data, BLOCK_BYTES_MAX)
                    if unpacker.unconsumed_tail:
                        raise self._damaged(self._offset, f"a block of more than {BLOCK_BYTES_MAX:,} bytes")
                    return unpacked
                case _:
                    whole = bz2.BZ2Decompressor() if self._codec == "bzip2" else lzma.LZMADecompressor()
                    unpacked = whole.decompress(data, BLOCK_BYTES_MAX)
                    if not whole.eof:
                        raise self._damaged(self._offset, "half a packed block, or one beyond every limit")
                    return unpacked
        except (zlib.error, OSError, EOFError, lzma.LZMAError) as error:
            raise self._damaged(self._offset, f"a block that cannot be unpacked ({error})") from error

    def _read_header(self) -> None:
        data = os.pread(self._descriptor, _HEADER_MAX, 0)
        if not data.startswith(_MAGIC):
            raise InputError(f"{self.path}: is no Avro container file: it does not begin with Obj and a 1")
        values: dict[str, bytes] = {}
        at = len(_MAGIC)
        while True:
            count, at = self._long(data, at, 0)
            if count == 0:
                break
            if count < 0:
                _, at = self._long(data, at, 0)
            for _ in range(abs(count)):
                key, at = self._bytes(data, at)
                values[key.decode(errors="replace")], at = self._bytes(data, at)
        self._sync = data[at : at + _SYNC_BYTES]
        self._first = at + _SYNC_BYTES
        self._codec = values.get("avro.codec", b"null").decode(errors="replace") or "null"
        if self._codec not in {"null", "deflate", "bzip2", "xz"}:
            message = (
                f"{self.path}: found the codec {self._codec!r}; allowed: null, deflate, bzip2, xz; write it with one"
            )
            raise InputError(message)
        try:
            self.schema = msgspec.json.format(values["avro.schema"], indent=-1).decode()
        except (KeyError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._damaged(0, "no schema") from error

    def _bytes(self, data: bytes, at: int) -> tuple[bytes, int]:
        size, at = self._long(data, at, 0)
        if size < 0 or at + size > len(data):
            raise self._damaged(0, f"a header beyond {_HEADER_MAX:,} bytes, or half of one")
        return data[at : at + size], at + size

    def _long(self, data: bytes, at: int, offset: int) -> tuple[int, int]:
        value = shift = 0
        while at < len(data) and shift < 7 * _LONG_MAX:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return (value >> 1) ^ -(value & 1), at
            shift += 7
        raise self._damaged(offset, "no integer where one should stand")

    def _damaged(self, offset: int, what: str) -> InputError:
        return InputError(f"{self.path}: at byte {offset}: found {what}; the file is damaged")
