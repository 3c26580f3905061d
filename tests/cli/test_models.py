"""``counterfoil models``: from a file to a version that serves, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from counterfoil.cli.application import application
from counterfoil.models.signature import Input, Signature
from tests.models.making import linear_of

pytest.importorskip("onnx")
runner = CliRunner()


def models(folder: Path, *arguments: str) -> str:
    result = runner.invoke(application, ["models", *arguments, "--registry", str(folder / "registry")])
    assert result.exit_code == 0, result.output
    return result.stdout


def write(folder: Path, weight: float) -> Path:
    path = folder / f"model-{weight:g}.onnx"
    path.write_bytes(linear_of([weight, 1.0]))
    inputs = (Input("amount", "money"), Input("card_count_1h", "int"))
    signature = Signature("payments", "logistic", "payments@0", inputs, metrics={"auc": weight}, seed=1)
    path.with_suffix(".json").write_bytes(signature.encode())
    return path


def test_a_model_is_added_promoted_compared_and_rolled_back(tmp_path: Path) -> None:
    for weight in (0.5, 0.75):
        models(tmp_path, "add", str(write(tmp_path, weight)), "--why", "a try", "--who", "ada")
    assert models(tmp_path, "promote", "payments@1", "--to", "champion", "--why", "first").startswith(
        "payments@champion is payments@1"
    )
    models(tmp_path, "promote", "payments@2", "--to", "champion", "--why", "better", "--who", "ada")
    again = models(tmp_path, "promote", "payments@2", "--to", "champion", "--why", "twice")
    assert again == "payments@champion is payments@2 already; nothing was changed\n"
    rows = json.loads(models(tmp_path, "list", "--json"))
    assert [(row["version"], row["aliases"]) for row in rows] == [("payments@1", []), ("payments@2", ["champion"])]
    assert "payments@2" in models(tmp_path, "list")
    shown = json.loads(models(tmp_path, "show", "payments@champion", "--json"))
    assert shown["metrics"] == {"auc": 0.75}
    assert [each["name"] for each in shown["inputs"]] == ["amount", "card_count_1h"]
    assert "inputs: amount, card_count_1h" in models(tmp_path, "show", "payments@2")
    found = json.loads(models(tmp_path, "diff", "payments@1", "payments@2", "--json"))
    assert found["metric auc"] == [0.5, 0.75]
    assert "again" in models(tmp_path, "rollback", "payments@champion", "--why", "too many alerts", "--who", "bob")
    last = json.loads(models(tmp_path, "audit", "payments", "--json"))[-1]
    assert (last["who"], last["action"], last["version"], last["former"], last["why"]) == (
        "bob",
        "rollback",
        "payments@1",
        "payments@2",
        "too many alerts",
    )
    assert "rollback payments@1 to champion (before: payments@2): too many alerts" in models(tmp_path, "audit")


def refused(folder: Path, *arguments: str) -> str:
    command = ["models", "add", *arguments, "--why", "x", "--who", "ada", "--registry", str(folder / "registry")]
    result = runner.invoke(application, command)
    assert result.exit_code == 1, result.output
    return result.stderr


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone.onnx"
    assert f"{gone}: cannot be read: No such file or directory" in refused(tmp_path, str(gone))
    path = write(tmp_path, 0.5)
    path.with_suffix(".json").unlink()
    assert f"{path}: its signature {path.with_suffix('.json')} is missing" in refused(tmp_path, str(path))


def test_a_model_is_held_against_the_detector_that_shall_serve_it(tmp_path: Path) -> None:
    path = write(tmp_path, 0.5)
    arguments = [str(path), "--why", "x", "--who", "ada", "--registry", str(tmp_path / "registry")]
    result = runner.invoke(application, ["models", "add", *arguments, "--detector", "payments"])
    assert result.exit_code == 0, result.output
    assert "trained on payments@0, and payments is payments@" in result.stderr
    assert "trained on" not in runner.invoke(application, ["models", "add", *arguments]).stderr
    inputs = (Input("amount", "float"), Input("card_count_1h", "int"))
    path.with_suffix(".json").write_bytes(Signature("payments", "logistic", "payments@0", inputs).encode())
    assert 'needs "amount" as float' in refused(tmp_path, str(path), "--detector", "payments")
    write(tmp_path, 0.5)
    assert 'needs "card_count_1h", which is no feature' in refused(tmp_path, str(path), "--detector", "account-burst")


def test_an_onnx_file_is_imported_for_a_detector(tmp_path: Path) -> None:
    names = "amount,card_count_1h"
    path = write(tmp_path, 0.5)
    arguments = ["import", str(path), "--name", "payments", "--detector", "payments", "--why", "a try"]
    models(tmp_path, *arguments, "--inputs", names)
    shown = json.loads(models(tmp_path, "show", "payments@1", "--json"))
    assert [each["type"] for each in shown["inputs"]] == ["money", "int"]
    assert shown["detector"].startswith("payments@")
    result = runner.invoke(application, ["models", *arguments, "--inputs", "amount,card_cuont_1h"])
    assert result.exit_code == 1
    assert 'did you mean "card_count_1h"?' in result.stderr.replace("\n", " ")


def test_a_pickle_without_trust_is_wrong_use(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(b"\x80\x04.")
    result = runner.invoke(
        application, ["models", "import", str(path), "--name", "m", "--detector", "payments", "--why", "x"]
    )
    assert result.exit_code == 2
    assert "--trusted" in result.stderr
