"""The registry: versions, aliases, the audit trail; the same suite for each place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from counterfoil.errors import CorruptionError, InputError, StorageError
from counterfoil.models import mlflow_registry
from counterfoil.models.mlflow_registry import MlflowRegistry
from counterfoil.models.registry import FolderRegistry, Registry, open_registry
from tests.models.making import linear_of, random_matrix, signature_of

pytest.importorskip("onnx")


SERVER = os.environ.get("COUNTERFOIL_TEST_MLFLOW")
"""``http://HOST:PORT`` of an MLflow server that may be filled and emptied; left out, its file store alone is tested."""


@pytest.fixture(params=["folder", "mlflow", *(["mlflow-server"] if SERVER else [])])
def registry(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    if request.param == "folder":
        opened = open_registry(tmp_path / "registry")
    else:
        pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'counterfoil[mlflow]'")
        # MLflow wants a database; without a server its small package has none, and the files are there for tests.
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        opened = open_registry(f"mlflow:{SERVER if request.param == 'mlflow-server' else tmp_path / 'mlflow'}")
    yield opened
    if isinstance(opened, MlflowRegistry):
        for name in opened.names():
            opened._client.delete_registered_model(name)
    opened.close()


def fill(registry: Registry, count: int = 3) -> None:
    for number in range(count):
        registry.add(linear_of([float(number), 1.0]), signature_of(2), "ada", f"try {number}")


def test_versions_are_numbered_and_the_same_content_is_one(registry: Registry) -> None:
    fill(registry)
    fill(registry)
    assert [each.reference for each in registry.versions()] == ["demo@1", "demo@2", "demo@3"]
    assert registry.names() == ["demo"]
    assert [entry.action for entry in registry.audit()] == ["add"] * 3


def test_an_alias_is_promoted_and_rolled_back_step_by_step(registry: Registry) -> None:
    fill(registry)
    before = registry.stamp()
    for number in (1, 2, 3):
        registry.promote("demo", number, "champion", "ada", f"better {number}")
    assert registry.stamp() != before
    assert registry.resolve("demo@champion").number == 3
    assert registry.rollback("demo", "champion", "bob", "worse").number == 2
    assert registry.rollback("demo", "champion", "bob", "worse still").number == 1
    with pytest.raises(InputError, match="no version before"):
        registry.rollback("demo", "champion", "bob", "no")
    assert registry.aliases("demo") == {"champion": 1}
    last = registry.audit("demo")[-1]
    assert (last.who, last.why, last.action, last.number, last.former) == ("bob", "worse still", "rollback", 1, 2)


def test_what_was_added_comes_back_and_scores(registry: Registry) -> None:
    fill(registry, 1)
    version = registry.resolve("demo@1")
    assert registry.onnx(version) == linear_of([0.0, 1.0])
    assert len(registry.model(version).score(random_matrix(1, 5, 2))) == 5
    registry.put_metrics("demo", 1, {"auc": 0.9}, "ada", "measured")
    assert registry.version("demo", 1).metrics["auc"] == 0.9


@pytest.mark.parametrize("reference", ["demo", "demo@", "demo@9", "demo@nobody", "other@1", "de mo@1", "demo@1;drop"])
def test_what_is_not_there_is_said(registry: Registry, reference: str) -> None:
    fill(registry, 1)
    with pytest.raises(InputError, match="model: found"):
        registry.resolve(reference)


def test_words_are_wanted_for_the_audit_trail(registry: Registry) -> None:
    with pytest.raises(InputError, match="why: found 0 characters"):
        registry.add(linear_of([1.0]), signature_of(1), "ada", "")
    assert registry.names() == []


def test_models_without_number_are_all_listed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_registry, "_PAGE", 2)
    for number in range(5):
        registry.add(linear_of([1.0, 1.0]), signature_of(2, f"m{number}"), "ada", "one of many")
    assert registry.names() == [f"m{number}" for number in range(5)]
    assert [entry.name for entry in registry.audit()] == registry.names()
    assert registry.audit("other") == []
    assert registry.aliases("other") == {}


def test_nothing_but_ours_goes_to_standard_output(registry: Registry, capfd: pytest.CaptureFixture[str]) -> None:
    fill(registry, 2)
    registry.promote("demo", 2, "champion", "ada", "to see")
    assert capfd.readouterr().out == ""


def test_an_mlflow_server_that_is_not_there_is_said_soon() -> None:
    with pytest.raises(StorageError, match=r"mlflow:http://127\.0\.0\.1:1: cannot be reached: Connection refused"):
        open_registry("mlflow:http://127.0.0.1:1")


def test_what_mlflow_says_is_said_by_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(InputError, match=r"mlflow:.*maintenance mode"):
        open_registry(f"mlflow:{tmp_path}/mlflow").names()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    registry = open_registry(f"mlflow:{tmp_path}/mlflow")
    fill(registry, 1)
    with pytest.raises(InputError, match="reserved"):
        registry.promote("demo", 1, "latest", "ada", "not a word for an alias")
    assert registry.aliases("demo") == {}


def test_damage_is_found(tmp_path: Path) -> None:
    with FolderRegistry(tmp_path) as registry:
        fill(registry, 1)
        version = registry.resolve("demo@1")
        path = tmp_path / "files" / f"{version.sha256}.onnx"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(CorruptionError, match="not what was added"):
            registry.onnx(version)
        path.unlink()
        with pytest.raises(CorruptionError, match="cannot be read"):
            registry.onnx(version)


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        ("versions", "metrics", "not json", r'demo@1, column metrics: found "not json"'),
        ("versions", "metrics", '{"auc": "high"}', "column metrics: found"),
        ("versions", "created_at", -99_999_999_999_999_999, "demo@1, column created_at: found"),
        ("versions", "created_at", 2**62, "demo@1, column created_at: found"),
        ("versions", "engine", "bogus", 'column engine: found "bogus"; allowed: trees, linear, onnxruntime'),
        ("versions", "sha256", "../../../etc/passwd", r"column sha256: found .*; allowed: a hash of 64 hex digits"),
        ("versions", "sha256", "A" * 64, "column sha256: found"),
        ("audit", "at", -99_999_999_999_999_999, "entry 1, column at: found"),
    ],
)
def test_a_value_that_was_put_there_by_hand_is_found(
    tmp_path: Path, table: str, column: str, value: object, said: str
) -> None:
    with FolderRegistry(tmp_path) as registry:
        fill(registry, 1)
        with sqlite3.connect(tmp_path / "registry.sqlite") as connection:
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        connection.close()
        with pytest.raises(CorruptionError, match=rf"registry\.sqlite: table {table}, .*{said}"):
            registry.audit() if table == "audit" else registry.resolve("demo@1")


def test_promoting_what_has_the_alias_changes_nothing(registry: Registry) -> None:
    fill(registry, 2)
    registry.promote("demo", 1, "champion", "ada", "first")
    before = registry.audit()
    registry.promote("demo", 1, "champion", "bob", "again")
    assert registry.audit() == before
    registry.promote("demo", 2, "champion", "bob", "better")
    assert len(registry.audit()) == len(before) + 1


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no models"):
        FolderRegistry(tmp_path / "none", read_only=True)
    (tmp_path / "registry.sqlite").write_bytes(b"not a database, by any means" * 100)
    with pytest.raises(StorageError):
        FolderRegistry(tmp_path, read_only=True)


def test_a_signature_that_makes_no_sense_is_refused() -> None:
    good = signature_of(2)
    for change, said in (
        ({"inputs": ()}, "1 to 2,000"),
        ({"inputs": (good.inputs[0], good.inputs[0])}, "each once"),
        ({"inputs": (msgspec.structs.replace(good.inputs[0], type="number"),)}, "allowed: bool, int"),
        ({"inputs": (msgspec.structs.replace(good.inputs[0], type="text"),)}, "values for text"),
    ):
        with pytest.raises(InputError, match=said):
            msgspec.structs.replace(good, **change).check()
