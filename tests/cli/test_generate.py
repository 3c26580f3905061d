from __future__ import annotations

import json
import time
from pathlib import Path

import polars as pl
import pytest

from counterfoil.connectors.line_output import LineOutput
from counterfoil.connectors.parquet_output import ParquetOutput
from tests.cli.conftest import Command

SMALL = ("--count", 500, "--customers", 50, "--seed", 3)


def test_the_same_options_give_the_same_bytes(command: Command, tmp_path: Path) -> None:
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    for path in (first, second):
        assert command("generate", "payments", *SMALL, "--output", path).exit_code == 0
    assert first.read_bytes() == second.read_bytes()
    to_pipe = command("generate", "payments", *SMALL, "--quiet")
    assert to_pipe.stdout_bytes == first.read_bytes()
    assert to_pipe.stderr == ""


def test_payments_have_labels(command: Command) -> None:
    result = command("generate", "payments", "--count", 3000, "--customers", 50, "--fraud-share", 0.05)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(records) == 3000
    assert any(record.get("fraud") and record["story"] for record in records)
    assert "3,000 events to standard output" in result.stderr


def test_formats(command: Command, tmp_path: Path) -> None:
    csv, parquet = tmp_path / "payments.csv", tmp_path / "payments.parquet"
    for path in (csv, parquet):
        assert command("generate", "payments", *SMALL, "--output", path).exit_code == 0
    table = pl.read_parquet(parquet)
    assert len(table) == 500
    assert csv.read_text().splitlines()[0].split(",") == table.columns
    assert len(csv.read_text().splitlines()) == 501


def test_transfers(command: Command) -> None:
    lines = command("generate", "transfers", "--count", 10, "--seed", 1).stdout.splitlines()
    assert len(lines) == 10
    assert all(line.count(";") == 3 and line.split(";")[0].endswith(" UTC") for line in lines)
    one = command("generate", "transfers", "--count", 2, "--time-format", "rfc3339", "--start", "2026-01-01")
    assert one.stdout.startswith("2026-01-01T")


def test_start(command: Command) -> None:
    result = command("generate", "payments", *SMALL, "--start", "2025-06-02T00:00:00Z")
    assert '"2025-06-02T' in result.stdout.splitlines()[0]


def test_a_rate_is_held(command: Command) -> None:
    started = time.monotonic()
    result = command("generate", "payments", "--count", 100, "--customers", 20, "--rate", 200)
    assert time.monotonic() - started >= 0.4
    assert len(result.stdout.splitlines()) == 100


def test_a_rate_that_cannot_be_held_is_said(command: Command) -> None:
    result = command("generate", "payments", "--count", 20_000, "--customers", 50, "--rate", 9e9)
    assert "The rate could not be held" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("payments", "--format", "lines"),
        ("transfers", "--format", "json"),
        ("payments", "--format", "parquet"),
        ("payments", "--time-format", "rfc850"),
        ("transfers", "--fraud-share", 0.01),
        ("payments", "--start", "soon"),
    ],
)
def test_wrong_use(command: Command, arguments: tuple[object, ...]) -> None:
    result = command("generate", *arguments, "--count", 10)
    assert result.exit_code == 2
    assert "allowed" in result.stderr


def test_a_file_that_cannot_be_written(command: Command, tmp_path: Path) -> None:
    result = command("generate", "payments", "--count", 10, "--output", tmp_path / "absent" / "x.ndjson")
    assert result.exit_code == 1
    assert "choose another output" in result.stderr


@pytest.mark.parametrize("name", ["x.ndjson", "x.csv", "x.parquet"])
def test_a_folder_that_is_missing_is_said_and_not_made(command: Command, tmp_path: Path, name: str) -> None:
    output = tmp_path / "missing" / name
    made = command("generate", "payments", *SMALL, "--output", output)
    assert made.exit_code == 1
    assert f"{output}: cannot be written: No such file or directory" in made.stderr
    assert not output.parent.exists()


@pytest.mark.parametrize("name", ["x.ndjson", "x.csv", "x.parquet"])
def test_a_file_that_is_being_written_is_left_alone(command: Command, tmp_path: Path, name: str) -> None:
    output = tmp_path / name
    assert command("generate", "payments", *SMALL, "--output", output).exit_code == 0
    former = output.read_bytes()
    other = ParquetOutput(output) if name.endswith(".parquet") else LineOutput(output)
    try:
        refused = command("generate", "payments", *SMALL, "--output", output)
    finally:
        other.close()
    assert refused.exit_code == 1
    assert f"{name}: is being written by another run" in refused.stderr
    assert output.read_bytes() == former
