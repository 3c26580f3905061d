"""Standard output: decisions as JSON lines for the next program in a pipe.

At least once across a crash: a pipe cannot be cut back, so decisions that were written and not yet known to be are
written again by the next run. Each carries its position, by which a reader can drop the repeat.
"""

from __future__ import annotations

import os
import sys

from counterfoil.errors import StorageError


class StandardOutput:
    """Writes lines to a descriptor, by default standard output.

    Parameters
    ----------
    descriptor
        Where to write; it is not closed.
    name
        What it is called in errors.
    """

    def __init__(self, descriptor: int | None = None, name: str = "standard output") -> None:
        self._descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._name = name
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write some whole lines.

        Raises
        ------
        StorageError
            If the reader has gone, or the disk behind it is full.
        """
        view = memoryview(data)
        try:
            while len(view):
                written = os.write(self._descriptor, view)
                self.size += written
                view = view[written:]
        except BrokenPipeError as error:
            raise StorageError(f"{self._name}: the reader has gone; the decision log is complete") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{self._name}: cannot be written: {reason}; the decision log is complete") from error

    def sync(self) -> None:
        """Do nothing: a pipe has no disk."""

    def close(self) -> None:
        """Do nothing: the descriptor belongs to the process."""
