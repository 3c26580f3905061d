"""What is written must not be what is read: files are compared before the first of them is opened for writing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from counterfoil.config import RunConfig

STANDARD = "-"
"""Standard input among what is read, standard output among what is written."""

Named = tuple[str, str | os.PathLike[str]]
"""What a file is to the user (``--output``), and its path."""


def check_destinations(read: Iterable[Named], written: Iterable[Named]) -> None:
    """Refuse to write what is also read, and to write one file twice.

    Files are compared by device and inode, so that links count too; one that does not exist yet by its real path.

    Parameters
    ----------
    read
        What is read.
    written
        What is written.

    Raises
    ------
    ConfigurationError
        If two of them are one.
    """
    taken: dict[object, tuple[Named, bool]] = {}
    for each in read:
        identity = _identity(each[1], 0)
        if identity is not None:
            taken[identity] = (each, True)
    for each in written:
        identity = _identity(each[1], 1)
        if identity is None:
            continue
        if identity in taken:
            (other, path), was_read = taken[identity]
            reason = "which is read and would be overwritten" if was_read else "which is written already"
            place = "" if os.fspath(path) == os.fspath(each[1]) else f" ({os.fspath(path)})"
            raise ConfigurationError(
                f"{each[0]}: {os.fspath(each[1])} is the file of {other}{place}, {reason}; choose another file"
            )
        taken[identity] = (each, False)


def check_run(config: RunConfig, read: Iterable[Named] = (), written: Iterable[Named] = ()) -> None:
    """Refuse a run whose outputs are its input, its log, its definition, or one another.

    Parameters
    ----------
    config
        Its settings.
    read, written
        What else is read and written beside it.
    """
    inputs: list[Named] = list(read)
    if config.source.type == "stdin":
        inputs.append(("--input", STANDARD))
    elif config.source.type == "file" and config.source.path:
        inputs.append(("--input", config.source.path))
    if Path(config.detector).is_file():
        inputs.append(("--detector", config.detector))
    if config.state.folder is not None:
        inputs.append(("--state", Path(config.state.folder) / "counterfoil.sqlite"))
    outputs: list[Named] = [
        (f"--output (sinks[{index}])", STANDARD if sink.type == "stdout" else sink.path or "")
        for index, sink in enumerate(config.sinks)
    ]
    check_destinations(inputs, [*outputs, *written])


def _identity(path: str | os.PathLike[str], standard: int) -> object | None:
    """Return what tells a file from every other; None for what may be used twice, such as a device."""
    named = os.fspath(path) != STANDARD
    try:
        found = Path(path).stat() if named else os.fstat(standard)
    except OSError:
        return os.path.realpath(path) if named else (STANDARD, standard)
    if stat.S_ISREG(found.st_mode):
        return found.st_dev, found.st_ino
    return None if named else (STANDARD, standard)
