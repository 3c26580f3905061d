"""One run an output file: two that write the same one would destroy it, each behind the other's back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from typing import BinaryIO

from counterfoil.errors import StorageError


def lock_output(descriptor: int, path: Path) -> None:
    """Lock an open file or folder until its descriptor is closed.

    The operating system drops the lock when the process dies, however it dies. Devices and pipes are not locked: many
    may write to them. Neither are files on a file system that knows no locks.

    Parameters
    ----------
    descriptor
        Of the file or the folder.
    path
        What it is called in errors.

    Raises
    ------
    StorageError
        If it is locked already, by whomever.
    """
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return
    try:
        # Not the lock of POSIX, as a state folder has: that one is dropped when any descriptor of the file is closed.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"{path}: is being written by another run; wait for its end, or choose another output"
        raise StorageError(message) from error
    except OSError:
        return


def locked_file(path: Path) -> BinaryIO:
    """Open a file to write it anew, locked for others until it is closed.

    What it held is gone once it is locked, and not before: it may be what the other run writes.

    Raises
    ------
    StorageError
        If it cannot be opened, or is locked already.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written: {reason}; choose another output") from error
    try:
        lock_output(descriptor, path)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.truncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "wb")


def locked_folder(folder: Path, path: Path) -> int:
    """Make a folder and lock it; return its descriptor, by which it is locked.

    Parameters
    ----------
    folder
        The folder; its parent exists.
    path
        What is written by way of it, for errors.

    Raises
    ------
    StorageError
        If it is locked already.
    OSError
        If it cannot be made.
    """
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            lock_output(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_still(folder, descriptor):
            return descriptor
        os.close(descriptor)


def _is_still(folder: Path, descriptor: int) -> bool:
    """Say whether a folder is the one that was opened: its former holder may have removed it before the lock."""
    found = os.fstat(descriptor)
    try:
        named = folder.stat()
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (named.st_dev, named.st_ino)
