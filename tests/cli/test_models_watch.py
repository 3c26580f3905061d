"""``counterfoil models drift`` and ``counterfoil models compare`` as people and scripts call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from counterfoil.models.registry import open_registry
from tests.cli.conftest import Command
from tests.training.demo_model import DAY, decisions, frame, model, write


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a registry, the table that a model was trained on, and two that came later."""
    random = np.random.default_rng(1)
    onnx, signature = model(write(frame(random, 20_000), tmp_path / "then.parquet"))
    registry = open_registry(tmp_path / "models")
    version = registry.add(onnx, signature, "tester", "first")
    registry.promote("demo", version.number, "champion", "tester", "first")
    registry.close()
    write(frame(random, 12_000, 30), tmp_path / "calm.parquet")
    write(frame(random, 12_000, 40, shift=6.0), tmp_path / "moved.parquet")
    return tmp_path


def test_drift_says_what_moved_and_its_exit_code_asks_for_a_look(place: Path, command: Command) -> None:
    calm = command("models", "drift", "demo@champion", place / "calm.parquet", "--registry", place / "models")
    assert calm.exit_code == 0
    assert "stable" in calm.stdout
    report = place / "drift.html"
    options = ("--registry", place / "models", "--report", report)
    moved = command("models", "drift", "demo@champion", place / "moved.parquet", *options, "--json")
    assert moved.exit_code == 1
    content = json.loads(moved.stdout)
    assert content["model"] == "demo@1"
    assert [each["name"] for each in content["features"] if each["verdict"] == "moved"] == ["amount"]
    assert "<svg" in report.read_text("utf-8")


def test_drift_against_another_table_and_a_period(place: Path, command: Command) -> None:
    options = ("--registry", place / "models", "--against", place / "moved.parquet", "--since", "1970-02-11", "--json")
    found = command("models", "drift", "demo@1", place / "moved.parquet", *options)
    content = json.loads(found.stdout)
    assert found.exit_code == 0
    assert [each["day"] for each in content["days"]] == ["1970-02-11", "1970-02-12", "1970-02-13"]
    report = ("--report", place / "calm.parquet")
    refused = command("models", "drift", "demo@1", place / "calm.parquet", "--registry", place / "models", *report)
    assert refused.exit_code == 2


def test_compare_shows_intervals_and_what_is_not_known_yet(tmp_path: Path, command: Command) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 6_000)
    write(content, tmp_path / "labelled.parquet", as_of=5 * DAY)
    log = tmp_path / "decisions.ndjson"
    log.write_bytes(b"".join(decisions(content, random)))
    options = ("--by", "customer_id", "--value", "amount", "--replicates", 100)
    shown = command("models", "compare", log, tmp_path / "labelled.parquet", *options)
    assert shown.exit_code == 0
    assert "too young" in shown.stdout
    found = json.loads(command("models", "compare", log, tmp_path / "labelled.parquet", *options, "--json").stdout)
    assert [each["name"] for each in found[0]["arms"]] == ["fraud", "challenger"]
    assert found[0]["metrics"]["average precision"]["better"] == "challenger"
    assert found[0]["arms"][0]["immature"] > 0


def test_compare_with_a_shadow_and_wrong_words(tmp_path: Path, command: Command) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 3_000)
    write(content, tmp_path / "labelled.parquet", as_of=9 * DAY)
    log = tmp_path / "decisions.ndjson"
    log.write_bytes(b"".join(decisions(content, random, shadow=True)))
    call = ("models", "compare", log, tmp_path / "labelled.parquet", "--replicates", 100)
    found = json.loads(command(*call, "--shadow", "next", "--alert-rate", 0.05, "--json").stdout)
    assert found[0]["metrics"]["recall"]["better"] == "next"
    assert command(*call, "--label-delay", "soon").exit_code == 2
    alone = command(*call)
    assert alone.exit_code == 1
    assert "needs two arms" in alone.stderr
