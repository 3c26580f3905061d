"""What every source promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from counterfoil.events.record_batch import RecordBatch


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some whole records, and where reading goes on after them."""

    data: bytes | bytearray | memoryview | pl.DataFrame | RecordBatch
    """Lines, rows of a table, or records of a binary format."""
    position: int
    """Input position of the first record: its line or row number, from 0."""
    next_position: int
    """Position of the record that follows."""
    next_offset: int
    """Where that record begins: a byte of a file, a row of a table."""


class Source(Protocol):
    """Gives records in chunks, each with its position, so that a restart can go on where the log stands."""

    name: str
    """What positions are kept under: the same source must have the same name after a restart."""
    seekable: bool
    """Whether it can go back to a position. From one that cannot, what was read and not committed is lost in a crash;
    its positions go on counting."""

    def seek(self, position: int, offset: int) -> None:
        """Go to a position that an earlier chunk named, before the first ``read``.

        Raises
        ------
        InputError
            If the source is not the one that was read then.
        """
        ...

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return how many bytes at the beginning were looked at, at most ``length``, and their checksum.

        (0, 0) where there is nothing to look at.
        """
        ...

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the next records, or None at the end or once ``stopped`` says so while nothing is there."""
        ...

    def close(self) -> None:
        """Give files free; a second call does nothing."""
        ...
