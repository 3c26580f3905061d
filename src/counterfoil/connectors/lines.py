"""Cut a stream of bytes into chunks of whole lines, within bounds on bytes and lines."""

from __future__ import annotations

from collections.abc import Callable

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.connectors.source import Chunk

_NEWLINE = b"\n"


_FEW_LINES = 1_024
"""Up to so many lines a chunk, looking for the last of them costs less than counting all that are there."""


@nb.njit(nogil=True, cache=True)
def _lines_until(data: npt.NDArray[np.uint8], most: int) -> tuple[int, int]:
    """Return how many lines there are, at most ``most``, and where the last of them ends."""
    lines = 0
    end = 0
    for at in range(len(data)):
        if data[at] == 10:
            lines += 1
            end = at + 1
            if lines == most:
                break
    return lines, end


class LineCutter:
    """Takes bytes as they come and gives whole lines.

    A line longer than ``record_bytes`` is cut, so that the decoder refuses it and memory stays bounded; its position
    and offset stay those of the whole line.

    Parameters
    ----------
    fetch
        Returns some more bytes, at most as many as asked for; empty at the end.
    batch_bytes, batch_lines
        Most bytes and lines in a chunk; a single line may be longer.
    record_bytes
        Longest line that is kept whole.
    whole
        Says of a last line without a newline whether it is a line; one that is not is left where it stands. None takes
        every such line.

    Attributes
    ----------
    unfinished
        How many bytes of a last line were left.
    """

    def __init__(
        self,
        fetch: Callable[[int], bytes],
        batch_bytes: int,
        batch_lines: int,
        record_bytes: int,
        whole: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._fetch = fetch
        self._whole = whole
        self._batch_bytes = batch_bytes
        self._batch_lines = batch_lines
        self._record_bytes = record_bytes
        self._data = b""
        self._start = 0
        self._ended = False
        self.position = 0
        self.offset = 0
        self.unfinished = 0

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the next lines; None at the end, or once ``stopped`` says so within a line, and ever after."""
        end = self._data.rfind(_NEWLINE, self._start) + 1
        while end == 0 and not self._ended:
            if stopped():
                return None
            if len(self._data) - self._start > self._record_bytes:
                return self._oversized(stopped)
            end = self._fetch_more()
        return self._chunk(*self._bounded(end)) if end else self._last()

    def _last(self) -> Chunk | None:
        """Return the last line, which has no newline, where there is one and it is whole."""
        line = self._data[self._start :]
        if not line:
            return None
        if self._whole is not None and not self._whole(line):
            self.unfinished = len(line)
            return None
        return self._chunk(1, len(self._data))

    def _fetch_more(self) -> int:
        """Fetch once; return where the last whole line ends, or 0."""
        kept = self._data[self._start :]
        more = self._fetch(max(1, self._batch_bytes - len(kept)))
        self._ended = not more
        self._data, self._start = kept + more, 0
        return self._data.rfind(_NEWLINE, len(kept)) + 1

    def _bounded(self, end: int) -> tuple[int, int]:
        """Return how many lines the chunk takes, and where it ends."""
        if self._batch_lines > _FEW_LINES:
            lines = self._data.count(_NEWLINE, self._start, end)
            if lines <= self._batch_lines:
                return lines, end
        view = np.frombuffer(self._data, np.uint8)[self._start : end]
        lines, size = _lines_until(view, self._batch_lines)
        return int(lines), self._start + int(size)

    def _chunk(self, lines: int, end: int) -> Chunk:
        data = self._data[self._start : end]
        self._start = end
        return self._advanced(data, lines, len(data))

    def _oversized(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the beginning of a line that is too long, and go to its end; None where that does not come."""
        head = self._data[self._start : self._start + self._record_bytes + 1]
        size = len(self._data) - self._start
        self._data, self._start = b"", 0
        while not self._ended:
            if stopped():
                return None
            more = self._fetch(self._batch_bytes)
            self._ended = not more
            end = more.find(_NEWLINE) + 1
            if end:
                self._data, self._start = more, end
                size += end
                break
            size += len(more)
        if self._ended and self._whole is not None:
            self.unfinished = size
            return None
        return self._advanced(head + _NEWLINE, 1, size)

    def _advanced(self, data: bytes, lines: int, size: int) -> Chunk:
        first = self.position
        self.position += lines
        self.offset += size
        return Chunk(data, first, self.position, self.offset)
