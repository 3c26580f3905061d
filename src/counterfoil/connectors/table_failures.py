"""What stops a table from being written, said as of every other output: polars has a language of its own for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterfoil.errors import StorageError

_SYSTEM = re.compile(r"\(os error (\d+)\)")
"""How polars tells which error the system gave: it raises no OSError for one that comes while it writes."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what the system refuses while a file is written.

    Parameters
    ----------
    path
        The file, for messages.

    Raises
    ------
    StorageError
        If it cannot be written; errors of another kind are left as they are.
    """
    import polars as pl  # noqa: PLC0415 - the command line looks at this module without needing tables

    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise StorageError(f"{path}: cannot be written: {reason}; choose another output") from error


def _reason(error: Exception) -> str | None:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    found = _SYSTEM.search(str(error))
    return os.strerror(int(found[1])) if found else None
