"""Where something went wrong, for errors of the system that do not say it: those of an open file's descriptor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterfoil.errors import StorageError


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Name a file or a folder of the state in what the system refuses meanwhile.

    Parameters
    ----------
    path
        What is written.

    Raises
    ------
    StorageError
        If the disk is full, say.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{path}: cannot be written: {reason}; see to it, or choose another state folder"
        raise StorageError(message) from error
