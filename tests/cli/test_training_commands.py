"""``dataset`` and ``train`` from the command line: payments in the shape of PaySim, from nothing to a model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from counterfoil.training import paysim

from .conftest import Command

pytest.importorskip("lightgbm")


@pytest.fixture(scope="module")
def money(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("money") / "paysim.csv"
    paysim.payments(20_000, 0.02, seed=3).write_csv(path, float_precision=2)
    return path


@pytest.fixture(scope="module")
def table(money: Path, command: Command) -> Path:
    out = money.with_name("table.parquet")
    result = command(
        "dataset", "paysim", money, "--kind", "payment", "--labels", "isFraud", "--label-delay", "24s", "--out", out,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["rows"] == 20_000
    assert found["dead_letters"] == 0
    assert found["labels"]["not_known_yet"] > 0
    return out


def test_generated_money_has_the_shape_of_paysim() -> None:
    made = paysim.payments(5_000, 0.01, seed=1)
    assert made.columns == [
        "step", "type", "amount", "nameOrig", "oldbalanceOrg", "newbalanceOrig", "nameDest", "oldbalanceDest",
        "newbalanceDest", "isFraud",
    ]  # fmt: skip
    assert made.equals(paysim.payments(5_000, 0.01, seed=1))
    assert made["step"].is_sorted()
    assert made["isFraud"].sum() == 50
    frauds = made.filter(pl.col("isFraud") == 1)
    assert set(frauds["type"]) == {"TRANSFER", "CASH_OUT"}
    assert (frauds["newbalanceOrig"] == 0).all()


def test_the_module_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "money.csv"
    monkeypatch.setattr(sys, "argv", ["paysim", "--output", str(out), "--count", "500"])
    paysim.main()
    assert len(pl.read_csv(out)) == 500
    monkeypatch.setattr(sys, "argv", ["paysim", "--output", str(out), "--count", "5"])
    with pytest.raises(SystemExit, match="--count"):
        paysim.main()


def test_train_writes_reports_and_registers(table: Path, tmp_path: Path, command: Command) -> None:
    onnx, report, registry = tmp_path / "money.onnx", tmp_path / "report.html", tmp_path / "models"
    result = command(
        "train", "paysim", table, "--model", "logistic", "--class-weight", "balanced", "--entity", "nameDest",
        "--out", onnx, "--report", report, "--registry", registry, "--promote", "champion", "--no-checks", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["registered"] == "paysim@1"
    assert found["onnx_difference"] < 1e-6
    assert found["metrics"]["auc"] > 0.9
    assert found["borders"]["train"][1] <= found["borders"]["test"][0]
    assert onnx.is_file()
    assert onnx.with_suffix(".json").is_file()
    assert "Precision and recall" in report.read_text()


def test_people_see_what_it_rests_on(table: Path, command: Command) -> None:
    result = command("train", "paysim", table, "--trees", 20, "--learning-rate", 0.2, "--no-checks")
    assert result.exit_code == 0, result.stderr
    assert "it rests on" in result.stdout
    assert "average_precision" in result.stdout


def test_a_table_of_another_detector_is_refused(table: Path, command: Command) -> None:
    result = command("train", "paysim", table, "--set", "large=1000")
    assert result.exit_code == 2
    assert "write the table anew" in result.stderr


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--promote", "champion"), "--registry"),
        (("--model", "magic"), "lightgbm"),
        (("--gap", "soon"), "duration"),
        (("--entity", "nameDst"), "nameDest"),
    ],
)
def test_wrong_use_of_train(table: Path, command: Command, more: tuple[str, ...], word: str) -> None:
    result = command("train", "paysim", table, *more)
    assert result.exit_code == 2
    assert word in result.stderr


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (("--label-delay", "7d"), "--labels"),
        (("--labels", "isFraud", "--label-delay", "soon"), "duration"),
        (("--labels", "nothing"), "nothing"),
    ],
)
def test_wrong_use_of_dataset(money: Path, tmp_path: Path, command: Command, more: tuple[str, ...], word: str) -> None:
    result = command("dataset", "paysim", money, "--kind", "payment", "--out", tmp_path / "x.parquet", *more)
    assert word in result.stderr


def test_people_see_what_was_written(money: Path, tmp_path: Path, command: Command) -> None:
    result = command(
        "dataset", "paysim", money, "--kind", "payment", "--labels", "isFraud", "--out", tmp_path / "t.parquet"
    )
    assert result.exit_code == 0
    assert "20,000 rows" in result.stdout
