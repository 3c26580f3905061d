"""`make bench` runs every benchmark there is, and bounds each."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.harness import Result

FOLDER = Path(run.__file__).parent


def test_every_benchmark_is_in_the_list() -> None:
    def has_main(path: Path) -> bool:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        return any(isinstance(each, ast.FunctionDef) and each.name == "main" for each in tree.body)

    # Beside them: what runs them, and what some of them run in a process of an engine's own.
    others = {"run", "window_kernel_spike", "flink_job", "spark_job"}
    found = {path.stem for path in FOLDER.glob("*.py") if has_main(path)} - others
    assert found == set(run.BENCHMARKS)


def test_a_failed_benchmark_is_named_and_the_others_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = {"good": ([Result("speed", 2.0, "×")], ""), "bad": ([], "exit code 1: broken")}
    monkeypatch.setattr(run, "run_one", outcomes.__getitem__)
    assert run.main(["good", "bad"]) == 1
    output = capsys.readouterr()
    assert "| speed | 2 × |" in output.out
    assert "bad: exit code 1: broken" in output.err
