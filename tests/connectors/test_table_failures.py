"""A disk that takes no more is said in one line, whatever writes the table."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.connectors.table_failures import writing
from counterfoil.errors import StorageError
from counterfoil.training.table import Content, write_table

_ROWS = 100_000


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 100 kB: the system then refuses in the middle of one, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _frame() -> pl.DataFrame:
    return pl.DataFrame({"value": np.random.default_rng(1).random(_ROWS)})


@pytest.mark.usefixtures("small_files")
def test_an_output_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    output = ParquetOutput(path)

    def write() -> None:
        with output:
            output.write(_frame())

    with pytest.raises(StorageError, match=r"out\.parquet: cannot be written: File too large; choose another output"):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_files")
def test_a_training_table_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with pytest.raises(StorageError, match=r"table\.parquet: cannot be written: File too large"):
        write_table(_frame().lazy(), path, Content("demo@1", {}))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No such file or directory"):
        write_table(_frame().lazy(), tmp_path / "absent" / "table.parquet", Content("demo@1", {}))


def test_other_errors_are_left_as_they_are(tmp_path: Path) -> None:
    def fail() -> None:
        with writing(tmp_path / "out.parquet"):
            raise pl.exceptions.ComputeError("of another kind")

    with pytest.raises(pl.exceptions.ComputeError, match="of another kind"):
        fail()
