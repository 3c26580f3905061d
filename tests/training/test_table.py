"""What a training table refuses to be read from."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from counterfoil.errors import InputError
from counterfoil.training.table import TrainingTable, write_table
from tests.training.tables import table


def test_labels_that_are_no_truth_values_are_named(tmp_path: Path) -> None:
    made = table(rows=100)
    path = tmp_path / "table.parquet"
    write_table(made.frame.lazy().with_columns(label=pl.lit(float("nan"))), path, made.content)
    with pytest.raises(InputError, match=r'column "label": found Float64; allowed: Boolean'):
        TrainingTable.read(path)
