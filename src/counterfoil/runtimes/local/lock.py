"""One process a state folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from counterfoil.errors import StorageError
from counterfoil.runtimes.local.places import writing_to

LOCK_NAME = "counterfoil.lock"

_held: set[str] = set()
"""Folders locked by this process: the lock of POSIX is per process and would let a second runtime in."""


class FolderLock:
    """An exclusive lock on a state folder, until ``release`` or the end of the process.

    The operating system drops it when the process dies, however it dies, so there is no stale lock to remove.

    Parameters
    ----------
    folder
        The state folder; it exists.

    Raises
    ------
    StorageError
        If another process, or another runtime of this one, holds it, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._name = str(folder.resolve())
        if self._name in _held:
            raise StorageError(f"{folder}: is in use by this process (pid {os.getpid()}); stop that run first")
        try:
            self._descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{folder}: cannot be written: {reason}; choose another state folder") from error
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StorageError(f"{folder}: is in use by pid {holder}; stop that process first") from error
        try:
            with writing_to(folder):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except StorageError:
            os.close(self._descriptor)
            raise
        _held.add(self._name)

    def release(self) -> None:
        """Give the folder free; a second call does nothing."""
        if self._name in _held:
            _held.discard(self._name)
            os.close(self._descriptor)
