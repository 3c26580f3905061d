"""A file of decisions as JSON lines.

Exactly once and in order: the file is a copy of the decision log. Up to ``synced`` bytes it is known to be on disk;
after a crash it is cut back to there and written again from the log.
"""

from __future__ import annotations

import os
from pathlib import Path

import xxhash

from counterfoil.connectors.output_lock import lock_output
from counterfoil.connectors.stream_output import is_stream
from counterfoil.errors import StorageError

TAIL_BYTES = 4_096
"""How much before the cut is compared with what was written, to find a file that somebody else has changed."""


class LineOutput:
    """Appends whole lines to a file, which is locked for others until it is closed.

    Parameters
    ----------
    path
        The file; it is made when absent, its folder is not.

    Raises
    ------
    StorageError
        If it cannot be opened, is no file, or another run writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if is_stream(path):
            raise StorageError(f"{path}: is a device or a pipe; name a file here, or - for standard output")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{path}: cannot be written: {reason}; choose another output") from error
        try:
            lock_output(self._descriptor, path)
        except StorageError:
            self.close()
            raise
        self.size = os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        """Cut the file back to ``size`` bytes."""
        os.ftruncate(self._descriptor, size)
        self.size = size

    def write(self, data: bytes | memoryview) -> None:
        """Append some whole lines.

        Raises
        ------
        StorageError
            If the disk is full, say.
        """
        view = memoryview(data)
        try:
            while len(view):
                written = os.pwrite(self._descriptor, view, self.size)
                self.size += written
                view = view[written:]
        except OSError as error:
            reason = error.strerror or str(error)
            message = (
                f"{self.path}: cannot be written: {reason}; the decision log is complete, run again once it can be"
            )
            raise StorageError(message) from error

    def sync(self) -> None:
        """Wait until everything written is on disk.

        Raises
        ------
        StorageError
            If it does not get there.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"{self.path}: cannot be synced: {reason}; the decision log is complete, run again once it can be"
            raise StorageError(message) from error

    def tail_checksum(self, size: int) -> int:
        """Return the XXH3-64 of the last ``TAIL_BYTES`` before ``size``, as a signed integer."""
        start = max(0, size - TAIL_BYTES)
        data = os.pread(self._descriptor, size - start, start)
        return int.from_bytes(xxhash.xxh3_64_digest(data), "little", signed=True)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
