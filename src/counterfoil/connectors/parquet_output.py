"""A Parquet file that grows batch by batch. Whole or not at all: the file appears when it is complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from counterfoil.connectors.output_lock import locked_folder
from counterfoil.connectors.stream_output import is_stream
from counterfoil.connectors.table_failures import writing
from counterfoil.errors import StorageError

if TYPE_CHECKING:
    import polars as pl

PART_ROWS = 262_144
"""Rows of one part, and of one row group of the whole: what memory holds at once."""


class ParquetOutput:
    """Takes tables of one schema and makes one Parquet file of them, as a context manager.

    Rows go into parts beside the file first; leaving the context in order joins them, leaving it by an exception
    removes them and leaves a file that was there before as it was. Until then the file is locked for others.

    Parameters
    ----------
    path
        The file.
    shown
        The file that messages name, where this one is a step on the way to it.

    Raises
    ------
    StorageError
        If nothing can be written there, it is no file, or another run writes it.
    """

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        self.path = path
        self._shown = shown or path
        if is_stream(self._shown):
            # The finished file would take its place: that of /dev/null, for all programs of the machine.
            message = f"{self._shown}: is a device or a pipe, and Parquet wants a file; choose another output"
            raise StorageError(message)
        self.rows = 0
        self._folder = path.with_name(f".{path.name}.parts")
        self._waiting: list[pl.DataFrame] = []
        self._waiting_rows = 0
        self._parts = 0
        self._descriptor = -1
        try:
            self._descriptor = locked_folder(self._folder, path)
            self._clear()
        except OSError as error:
            self.close()
            reason = error.strerror or str(error)
            raise StorageError(f"{path}: cannot be written: {reason}; choose another output") from error

    def _clear(self) -> None:
        """Remove what a run that was killed has left."""
        for each in self._folder.iterdir():
            each.unlink()

    def write(self, frame: pl.DataFrame) -> None:
        """Append the rows of a table. At least one table must come, be it an empty one."""
        self.rows += len(frame)
        self._waiting.append(frame)
        self._waiting_rows += len(frame)
        if self._waiting_rows >= PART_ROWS:
            self._flush()

    def _flush(self) -> None:
        import polars as pl  # noqa: PLC0415 - the command line looks at this module without needing tables

        if self._waiting:
            part = self._folder / f"{self._parts:08d}.parquet"
            with writing(self._shown):
                pl.concat(self._waiting, rechunk=True).write_parquet(part, compression="zstd", row_group_size=PART_ROWS)
            self._parts += 1
            self._waiting, self._waiting_rows = [], 0

    def __enter__(self) -> ParquetOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._join()
        finally:
            self.close()

    def close(self) -> None:
        """Remove the parts and give the file free, without writing it; a second call does nothing."""
        if self._descriptor >= 0:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _join(self) -> None:
        import polars as pl  # noqa: PLC0415

        self._flush()
        whole = self._folder / "00000000.parquet"
        if self._parts > 1:
            parts = pl.scan_parquet(self._folder / "*.parquet")
            whole = self._folder / "whole"
            with writing(self._shown):
                parts.sink_parquet(whole, compression="zstd", row_group_size=PART_ROWS, maintain_order=True)
        with writing(self._shown):
            with whole.open("rb") as file:
                os.fsync(file.fileno())
            whole.replace(self.path)
