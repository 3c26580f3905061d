"""A Parquet file as a source of rows. Exactly once: a position is a row number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from counterfoil.connectors.source import Chunk
from counterfoil.connectors.text_file import HEAD_BYTES, head_checksum
from counterfoil.errors import InputError


class ParquetFileSource:
    """Reads a Parquet file some rows at a time.

    Parameters
    ----------
    path
        The file.
    batch_rows
        Most rows in a chunk.

    Raises
    ------
    InputError
        If it is no Parquet file.
    """

    seekable = True

    def __init__(self, path: Path, batch_rows: int) -> None:
        self.path = path
        self.name = str(path.resolve())
        self._batch_rows = batch_rows
        self._next = 0
        try:
            self._scan = pl.scan_parquet(path, glob=False)
            self.columns = self._scan.collect_schema()
            self._rows = int(self._scan.select(pl.len()).collect().item())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise InputError(f"{path}: cannot be read as Parquet: {error}") from error

    def seek(self, position: int, offset: int) -> None:
        """Go to a row."""
        if offset > self._rows:
            raise InputError(
                f"{self.path}: has {self._rows} rows, but {offset} were read of it before; it is another file:"
                " give the former file, or another state folder"
            )
        self._next = position

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return length and checksum of the beginning."""
        with self.path.open("rb") as file:
            data = file.read(HEAD_BYTES if length is None else length)
        return len(data), head_checksum(data)

    def read(self, stopped: Callable[[], bool]) -> Chunk | None:
        """Return the next rows; None at the end."""
        if stopped() or self._next >= self._rows:
            return None
        first = self._next
        try:
            frame = self._scan.slice(first, self._batch_rows).collect()
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{self.path}: row {first} cannot be read: {error}") from error
        if not len(frame):
            return None
        self._next += len(frame)
        return Chunk(frame, first, self._next, self._next)

    def close(self) -> None:
        """Do nothing: the file is opened for each chunk."""
