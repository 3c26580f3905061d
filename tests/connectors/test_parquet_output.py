from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from counterfoil.connectors import parquet_output
from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.errors import StorageError


def test_rows_stay_in_order_over_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_output, "PART_ROWS", 10)
    path = tmp_path / "out.parquet"
    with ParquetOutput(path) as output:
        for start in range(0, 130, 7):
            output.write(pl.DataFrame({"row": range(start, start + 7)}))
            assert not path.exists()
    assert pl.read_parquet(path)["row"].to_list() == list(range(133))
    assert output.rows == 133
    assert list(tmp_path.iterdir()) == [path]


def test_one_empty_table(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with ParquetOutput(path) as output:
        output.write(pl.DataFrame(schema={"row": pl.Int64}))
    assert pl.read_parquet(path).schema == {"row": pl.Int64}


def test_a_failure_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    path.write_text("former")

    def fail() -> None:
        with ParquetOutput(path) as output:
            output.write(pl.DataFrame({"row": [1]}))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="choose another output"):
        ParquetOutput(tmp_path / "absent" / "out.parquet")


def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, shown in ((pipe, None), (tmp_path / "rows", pipe)):
        with pytest.raises(StorageError, match="pipe: is a device or a pipe, and Parquet wants a file"):
            ParquetOutput(path, shown)
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()
