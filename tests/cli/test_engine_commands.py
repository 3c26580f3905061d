"""What can be said of engines without one: plans, the commands for clusters, and what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from counterfoil.detector_file import load_detector
from tests.cli.conftest import Command
from tests.runtimes.sample import DEFINITION

_TOPICS = """
detector: payments
runtime: {engine}
source: {{type: kafka, servers: "broker:9092", topics: [{{name: payments}}]}}
sinks:
  - {{type: kafka, topic: decisions}}
  - {{type: kafka, topic: alerts, content: alerts}}
state: {{folder: "s3://bucket/state/"}}
limits: {{shards: 4}}
{more}
"""


def _settings(folder: Path, engine: str, more: str = "") -> Path:
    path = folder / "run.yaml"
    path.write_text(_TOPICS.format(engine=engine, more=more))
    return path


def _steps(command: Command, *words: object) -> dict[str, dict[str, str]]:
    result = command("plan", *words, "--json")
    assert result.exit_code == 0, result.stderr
    return {step["name"]: step for step in json.loads(result.stdout)["steps"]}


def test_a_plan_of_a_built_in_detector(command: Command) -> None:
    result = command("plan", "payments")
    lines = result.stdout.splitlines()
    assert lines[0] == f"{load_detector('payments').version} on local, state in 1 part"
    assert [line[:9] for line in lines if not line.startswith(" ")][1:] == ["1. decode", "2. decide", "3. write:"]
    steps = _steps(command, "payments", "--shards", 3)
    assert steps["decide"]["parts"] == "1, in 3 shards"
    assert "ids of " in steps["decide"]["state"]
    assert "open episodes" in steps["decide"]["state"]


def test_a_plan_says_how_an_engine_divides_the_work(command: Command, tmp_path: Path) -> None:
    assert list(_steps(command, "payments", "--on", "spark")) == ["decode", "whole", "write"]
    path = _settings(tmp_path, "flink")
    steps = _steps(command, path)
    assert list(steps) == ["pack", "duplicates", "stages", "join", "episodes", "write"]
    assert steps["stages"]["parts"] == "4"
    assert "customer (customer_id)" in steps["stages"]["key"]
    assert "topics in transactions" in steps["write"]["what"]
    # What is said at the command line wins.
    steps = _steps(command, path, "--on", "spark", "--shards", 9)
    assert steps["stages"]["parts"] == "9"
    assert "micro-batch" in steps["write"]["what"]
    path.write_text(path.read_text().replace("  - {type: kafka, topic: alerts, content: alerts}\n", ""))
    assert "episodes" not in _steps(command, path)


def test_a_plan_names_what_is_judged(command: Command, tmp_path: Path) -> None:
    assert "outlier" not in _steps(command, "laundering")["decide"]["what"]
    definition = tmp_path / "own.yaml"
    definition.write_text(DEFINITION + "outliers: {odd: [count_1h]}\ndedupe: 0s\n")
    steps = _steps(command, definition)
    assert steps["decide"]["what"] == "stages, derived features, outlier scores, 3 rules, policy, episodes"
    assert steps["decide"]["state"].endswith("open episodes; outlier scores: odd")
    # Nobody asks for duplicates: no step finds them.
    definition.write_text(DEFINITION + "dedupe: 0s\n")
    assert "duplicates" not in _steps(command, definition, "--on", "flink", "--shards", 2)


def test_what_a_plan_cannot_be_made_of(command: Command, tmp_path: Path) -> None:
    for words in (("nothing-of-this-name",), ("payments", "--set", "unknown=1"), ("payments", "--shards", 0)):
        result = command("plan", *words)
        assert result.exit_code == 2, words
        assert result.stderr, words


def _program(folder: Path, name: str) -> Path:
    """Put a program in the place of a cluster's client: it writes down its words, and fails."""
    said = folder / "said.json"
    path = folder / name
    lines = ("import json, sys", f"json.dump(sys.argv[1:], open({str(said)!r}, 'w'))", "sys.exit(7)")
    path.write_text("\n".join((f"#!{sys.executable}", *lines, "")))
    path.chmod(0o755)
    return said


@pytest.mark.parametrize(("engine", "name"), [("spark", "spark-submit"), ("flink", "flink")])
def test_a_run_is_handed_to_a_cluster_by_its_own_client(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, name: str
) -> None:
    monkeypatch.setattr("counterfoil.cli.engines.jars_of", lambda *given, **named: [Path("/jars/kafka.jar")])
    path = _settings(tmp_path, engine)
    shown = command("submit", engine, path, "--print")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith(name)
    assert "/jars/kafka.jar" in shown.stdout
    monkeypatch.setenv("PATH", str(tmp_path))
    result = command("submit", engine, path)
    assert result.exit_code == 2
    assert f"{name}: is not on the path; install" in result.stderr
    said = _program(tmp_path, name)
    result = command("submit", engine, path, "--", "--verbose", "two words")
    assert result.exit_code == 7
    words = json.loads(said.read_text())
    assert words[-1] == str(path)
    assert words[words.index("--verbose") + 1] == "two words"
    assert "two words" not in shown.stdout
    assert "'two words'" in command("submit", engine, path, "--print", "--", "two words").stdout


def test_what_a_user_passes_through_is_not_in_the_command(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil.cli.engines.jars_of", lambda *given, **named: [])
    secret = "flink: {address: 'host:8081', properties: {s3.secret-key: hidden, 'python.execution-mode': thread}}"
    path = _settings(tmp_path, "flink", secret)
    shown = command("submit", "flink", path, "--print", "--target", "remote").stdout
    assert "--jobmanager host:8081" in shown
    assert "hidden" not in shown
    assert "python.execution-mode" not in shown
    assert "-Dexecution.checkpointing.savepoint-dir=s3://bucket/state/savepoints" in shown
    assert "--jobmanager" not in command("submit", "flink", path, "--print", "--target", "yarn-application").stdout


def test_what_cannot_be_submitted(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("detector: payments\nsource: {type: stdin}\nsinks: [{type: stdout}]\n")
    for engine in ("spark", "flink"):
        result = command("submit", engine, path, "--print")
        assert result.exit_code == 2
        assert 'source.type: found "stdin"' in result.stderr
    result = command("submit", "flink", path, "--target", "moon")
    assert result.exit_code == 2
    assert '--target: found "moon"; allowed: remote, kubernetes-application, yarn-application' in result.stderr


@pytest.mark.parametrize(("engine", "library"), [("spark", "pyspark"), ("flink", "pyflink")])
def test_an_engine_that_is_not_installed_is_named(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / "in.ndjson").write_text("{}\n")
    out = tmp_path / "out.ndjson"
    result = command(
        "run", "--on", engine, "--detector", "payments", "--input", tmp_path / "in.ndjson", "--output", out
    )
    assert result.exit_code == 2
    assert f"pip install 'counterfoil[{engine}]'" in result.stderr
    assert not out.exists()
