"""What has a name and is no file: a named pipe, or a device such as ``/dev/stdout``, written as standard output is."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from counterfoil.connectors.standard_output import StandardOutput
from counterfoil.errors import StorageError

READER_SECONDS = 10.0
"""How long to wait for somebody to read a pipe: without an end, a run would hang where nobody does."""
_POLL_SECONDS = 0.05


def is_stream(path: Path) -> bool:
    """Say whether there is something at a path that can only be written on and on, never cut back or read again."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class StreamOutput(StandardOutput):
    """Writes lines to a named pipe or a device; at least once across a crash, as standard output.

    Parameters
    ----------
    path
        The pipe or the device.

    Raises
    ------
    StorageError
        If it cannot be opened, or nobody comes to read the pipe.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(_opened(path), str(path))

    def close(self) -> None:
        """Close it; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _opened(path: Path) -> int:
    deadline = time.monotonic() + READER_SECONDS
    while True:
        try:
            # A pipe that nobody reads would keep a blocking call, and Ctrl-C with it, until somebody does.
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            unread = error.errno == errno.ENXIO and stat.S_ISFIFO(path.stat().st_mode)
            if unread and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            reason = "nobody reads the pipe" if unread else error.strerror or str(error)
            raise StorageError(f"{path}: cannot be written: {reason}; choose another output") from error
        os.set_blocking(descriptor, True)
        return descriptor
