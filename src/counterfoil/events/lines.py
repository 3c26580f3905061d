"""A file or pipe as chunks of whole lines, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from counterfoil.events.dead_letters import DEAD_LETTER_BYTES_MAX, DeadLetter, ReasonCode
from counterfoil.events.decoding import Decoded, Decoder

CHUNK_BYTES = 1 << 20
"""Large enough that the cost of a batch does not count, small enough to stay in a core's cache."""


class ByteSource(Protocol):
    """A file, pipe or socket that is open in binary mode."""

    def read(self, size: int = -1, /) -> bytes:
        """Return some bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class LineChunk:
    """Some whole lines, or the one line that was too long to be read."""

    data: bytes
    """Whole lines; empty where a line was too long."""
    first_position: int
    """The number of the first line, counted from 0."""
    lines: int
    offset: int
    """Where the chunk begins in the source, in bytes."""
    size: int
    """How many bytes of the source it stands for."""
    dead: tuple[DeadLetter, ...] = ()
    """The line that was too long."""

    @property
    def next_position(self) -> int:
        """The number of the line behind the chunk."""
        return self.first_position + self.lines

    @property
    def next_offset(self) -> int:
        """Where the next chunk begins: with ``next_position`` all that is needed to go on from here."""
        return self.offset + self.size


class LineChunks:
    r"""Cuts a binary file into chunks of whole lines.

    A chunk holds what one read brought, so the lines of a slow pipe come out as they come in. No more than
    ``chunk_bytes + record_bytes_max`` bytes are held. A line longer than ``record_bytes_max`` comes as a chunk of its
    own with one dead letter and no data; its bytes are read and thrown away. A last line without a newline is a line.

    Parameters
    ----------
    file
        Open in binary mode; at ``offset`` already, where that is not 0.
    chunk_bytes
        How much is read at once.
    record_bytes_max
        Longest line; the ``record_bytes_max`` of the decoder.
    first_position, offset
        Where the file stands: ``next_position`` and ``next_offset`` of the last chunk that was dealt with.

    Examples
    --------
    >>> import io
    >>> [chunk.data for chunk in LineChunks(io.BytesIO(b"one\ntwo\nthr"), chunk_bytes=5)]
    [b'one\n', b'two\n', b'thr']
    """

    def __init__(
        self,
        file: ByteSource,
        chunk_bytes: int = CHUNK_BYTES,
        record_bytes_max: int = 1 << 20,
        first_position: int = 0,
        offset: int = 0,
    ) -> None:
        self._read = getattr(file, "read1", file.read)
        self._chunk_bytes = chunk_bytes
        self._record_bytes_max = record_bytes_max
        self._position = first_position
        self._offset = offset

    def __iter__(self) -> Iterator[LineChunk]:
        rest = b""
        while data := self._read(self._chunk_bytes):
            end = data.rfind(b"\n") + 1
            if end:
                yield self._chunk(rest + data[:end])
                rest = data[end:]
            else:
                rest += data
            # A carriage return and a newline may still belong to the longest line.
            if len(rest) > self._record_bytes_max + 2:
                line, rest = self._skip_line(rest)
                yield line
                end = rest.rfind(b"\n") + 1
                if end:
                    yield self._chunk(rest[:end])
                    rest = rest[end:]
        if rest:
            yield self._chunk(rest)

    def _chunk(self, data: bytes) -> LineChunk:
        """Return a chunk. Lines that are only a little too long are left to the decoder, which refuses them alike."""
        lines = data.count(b"\n") + (not data.endswith(b"\n"))
        return self._advance(data, lines, len(data))

    def _advance(self, data: bytes, lines: int, size: int, dead: tuple[DeadLetter, ...] = ()) -> LineChunk:
        chunk = LineChunk(data, self._position, lines, self._offset, size, dead)
        self._position += lines
        self._offset += size
        return chunk

    def _skip_line(self, start: bytes) -> tuple[LineChunk, bytes]:
        """Read to the end of a line that is too long; return it as a dead letter, and what follows it."""
        kept, size, rest, newline, last = start, len(start), b"", 0, start[-1:]
        while data := self._read(self._chunk_bytes):
            line, found, rest = data.partition(b"\n")
            kept = kept[:DEAD_LETTER_BYTES_MAX] + line[: max(0, DEAD_LETTER_BYTES_MAX - len(kept))]
            size, newline, last = size + len(line), len(found), line[-1:] or last
            if found:
                break
        length = size - (newline and last == b"\r")
        detail = f"{length} bytes; record_bytes_max is {self._record_bytes_max}"
        record = kept[: min(length, DEAD_LETTER_BYTES_MAX)]
        letter = DeadLetter(self._position, ReasonCode.RECORD_TOO_LARGE, detail, record, length)
        return self._advance(b"", 1, size + newline, (letter,)), rest


def decode_chunk(decoder: Decoder, chunk: LineChunk, arrival: int) -> Decoded:
    """Return what a chunk holds; the line that was too long to be read is among its dead letters."""
    decoded = decoder.decode(chunk.data, chunk.first_position, arrival)
    decoded.dead.extend(chunk.dead)
    decoded.consumed = chunk.size
    decoded.records = chunk.lines
    return decoded
