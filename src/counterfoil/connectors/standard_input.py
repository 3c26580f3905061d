"""Standard input: lines from a pipe.

At most once across a crash: what was read and not yet committed is gone with the process. Everything committed stays,
and positions go on counting over restarts.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

from counterfoil.connectors.lines import LineCutter
from counterfoil.connectors.source import Chunk
from counterfoil.errors import InputError

_POLL_SECONDS = 0.1
"""How long a stop may go unnoticed while nothing comes."""
_LINGER_SECONDS = 0.02
"""How long a chunk may be filled: a pipe holds 64 KiB, some 200 events, and larger batches are cheaper an event."""
_READ_BYTES = 1 << 20
"""More than a pipe holds; a buffer of the whole chunk for each read would be mostly air."""
_GAP_SECONDS = 0.002
"""A pause this long ends the filling at once."""


class _Stopped(Exception):  # noqa: N818 - a signal within this module, not an error
    """The run was told to stop while nothing was there to read."""


class StandardInputSource:
    """Reads lines from a descriptor, by default standard input.

    Parameters
    ----------
    batch_bytes, batch_lines, record_bytes
        See ``LineCutter``.
    header
        Whether the first line names the fields; it is read at once.
    descriptor
        What to read; it is not closed.
    """

    name: str = "standard input"
    seekable = False

    def __init__(
        self,
        batch_bytes: int,
        batch_lines: int,
        record_bytes: int,
        header: bool = False,
        descriptor: int | None = None,
    ) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._batch_bytes = batch_bytes
        self._stopped: Callable[[], bool] = lambda: False
        self._pending = b""
        self._closed = False
        self.header = self._read_header() if header else b""
        self._cutter = LineCutter(self._fetch, batch_bytes, batch_lines, record_bytes)

    def seek(self, position: int, offset: int) -> None:
        """Go on counting from a position; nothing is skipped, because a pipe gives only what is new."""
        # A header takes a position wherever it comes: after a restart, too, the first line of the pipe is one.
        position += int(bool(self.header))
        self._cutter.position, self._cutter.offset = position, offset

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return (0, 0): two pipes cannot be told apart."""
        del length
        return 0, 0

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the lines that are there; wait when there are none."""
        self._stopped = stopped
        try:
            return None if stopped() else self._cutter.read(stopped)
        except _Stopped:
            # Half a line may have come; it is not a record.
            return None

    def close(self) -> None:
        """Do nothing: the descriptor belongs to the process."""

    def _fetch(self, size: int) -> bytes:
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
            return data
        while not self._ready(_POLL_SECONDS):
            if self._stopped():
                raise _Stopped
        data = os.read(self._descriptor, min(size, _READ_BYTES))
        parts, have, started = [data], len(data), time.monotonic()
        while data and have < size and time.monotonic() - started < _LINGER_SECONDS and self._ready(_GAP_SECONDS):
            data = os.read(self._descriptor, min(size - have, _READ_BYTES))
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def _read_header(self) -> bytes:
        data = b""
        while b"\n" not in data and len(data) < self._batch_bytes:
            more = os.read(self._descriptor, 65_536)
            if not more:
                break
            data += more
        end = data.find(b"\n") + 1 or len(data)
        self._pending = data[end:]
        return data[:end]


class PipeSource(StandardInputSource):
    """Reads lines from a pipe that has a path: a FIFO, or what a shell makes of ``<(…)``.

    Parameters
    ----------
    path
        The pipe; opening it waits for somebody who writes.
    batch_bytes, batch_lines, record_bytes, header
        See ``StandardInputSource``.

    Raises
    ------
    InputError
        If it cannot be opened.
    """

    def __init__(self, path: Path, batch_bytes: int, batch_lines: int, record_bytes: int, header: bool = False) -> None:
        try:
            self._owned = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"{path}: cannot be read: {reason}; give the path of a file or a pipe") from error
        super().__init__(batch_bytes, batch_lines, record_bytes, header, self._owned)
        self.name = str(path.absolute())

    def close(self) -> None:
        """Close the pipe."""
        if self._owned >= 0:
            os.close(self._owned)
            self._owned = -1
