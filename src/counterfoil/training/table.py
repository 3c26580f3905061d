"""The training table on disk: its columns, and what it says of itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from counterfoil.connectors.table_failures import writing
from counterfoil.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

ID, EVENT_TIME, LABEL, KNOWN_AT = "id", "event_time", "label", "label_known_at"
FIRST_COLUMNS = [ID, EVENT_TIME, LABEL, KNOWN_AT]
"""Columns before the fields and features."""
_METADATA = "counterfoil"
_ROWS = 262_144


class Content(msgspec.Struct, frozen=True):
    """What a table says of itself, in the metadata of its file.

    Parameters
    ----------
    detector
        The version of the detector that made the features.
    types
        What each field and feature holds, in the order of the columns.
    label
        Where labels came from; None for nowhere.
    delay
        Microseconds from an event to its label, where the label itself does not say.
    silence_is_genuine
        Whether an event of which nothing was heard within ``delay`` counts as genuine.
    as_of
        Labels that became known later are left out, in microseconds since 1970.
    source
        The names of what was replayed.
    """

    detector: str
    types: dict[str, str]
    label: str | None = None
    delay: int = 0
    silence_is_genuine: bool = False
    as_of: int = 0
    source: str = ""


def write_table(frame: pl.LazyFrame, path: Path, content: Content) -> None:
    """Write a table: whole or not at all.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with writing(path):
            frame.sink_parquet(
                part,
                compression="zstd",
                row_group_size=_ROWS,
                maintain_order=True,
                metadata={_METADATA: msgspec.json.encode(content).decode()},
            )
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class TrainingTable:
    """A training table: one row a decided event, in arrival order.

    Parameters
    ----------
    frame
        Its rows: ``id``, ``event_time``, ``label``, ``label_known_at``, then fields and features.
    content
        What it says of itself.
    """

    frame: pl.DataFrame
    content: Content

    @classmethod
    def read(cls, path: Path | str | os.PathLike[str]) -> TrainingTable:
        """Read a table that ``counterfoil dataset`` wrote.

        Raises
        ------
        InputError
            If it cannot be read, or is another kind of file.
        """
        path = Path(path)
        try:
            metadata = pl.read_parquet_metadata(path).get(_METADATA)
            frame = pl.read_parquet(path, glob=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
            raise InputError(f"{path}: cannot be read: {reason}; give a table of: counterfoil dataset") from error
        if metadata is None:
            raise InputError(f"{path}: does not say which detector made it; give a table of: counterfoil dataset")
        try:
            content = msgspec.json.decode(metadata, type=Content)
        except msgspec.DecodeError as error:
            raise InputError(f"{path}: says nothing sensible of itself: {error}; write it anew") from error
        missing = [name for name in [*FIRST_COLUMNS, *content.types] if name not in frame.columns]
        if missing:
            raise InputError(f"{path}: has no column {', '.join(missing)}; write it anew: counterfoil dataset")
        if frame[LABEL].dtype != pl.Boolean:
            found = str(frame[LABEL].dtype)
            raise InputError(
                f'{path}: column "{LABEL}": found {found}; allowed: Boolean, null where it was not known; '
                "write it anew: counterfoil dataset"
            )
        return cls(frame, content)

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def times(self) -> npt.NDArray[np.int64]:
        """Event times, in microseconds since 1970."""
        return self.frame[EVENT_TIME].dt.timestamp("us").to_numpy()

    @cached_property
    def labels(self) -> npt.NDArray[np.int8]:
        """Labels as the table holds them: 1 fraud, 0 genuine, -1 not known by ``content.as_of``."""
        return self.frame[LABEL].cast(pl.Int8).fill_null(-1).to_numpy()

    def labels_at(self, time: int) -> npt.NDArray[np.int8]:
        """Return the labels as they were known at a time: 1 fraud, 0 genuine, -1 not known yet.

        Where silence counts as genuine, an event that was reported later was genuine in between.
        """
        known = self.frame[KNOWN_AT].dt.timestamp("us").fill_null(np.iinfo(np.int64).max).to_numpy() <= time
        labels = np.where(known, self.labels, np.int8(-1)).astype(np.int8)
        if self.content.silence_is_genuine:
            labels[~known & (self.times + self.content.delay <= time)] = 0
        return labels
