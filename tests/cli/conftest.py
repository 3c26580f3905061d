"""A state folder that a run has left behind, for all commands that look at one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from counterfoil.cli import application

Command = Callable[..., Result]


@pytest.fixture(scope="session")
def command() -> Command:
    """Give what runs a command and returns its result."""
    runner = CliRunner()

    def invoke(*arguments: object, **given: Any) -> Result:
        result = runner.invoke(application, [str(each) for each in arguments], **given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@dataclass(frozen=True)
class Kept:
    """A run that is over."""

    folder: Path
    source: Path
    output: Path
    summary: dict[str, Any]

    def decisions(self) -> list[dict[str, Any]]:
        """Return what it decided."""
        return [json.loads(line) for line in self.output.read_text().splitlines()]


@pytest.fixture(scope="session")
def payments(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """Give a file of generated payments, with two records that cannot be read behind them."""
    path = tmp_path_factory.mktemp("payments") / "payments.ndjson"
    assert (
        command("generate", "payments", "--count", 12_000, "--customers", 200, "--seed", 5, "--output", path).exit_code
        == 0
    )
    with path.open("a") as file:
        file.write('{"kind":"transaction","broken\n')
        file.write('{"kind":"transaction","transaction_id":"x1","event_time":"not [a] time","amount":1}\n')
    return path


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory, command: Command, payments: Path) -> Kept:
    """Give a finished run over them."""
    folder = tmp_path_factory.mktemp("kept")
    output, summary = folder / "decisions.ndjson", folder / "summary.json"
    result = command(
        "run", "--detector", "payments", "--input", payments, "--output", output, "--state", folder / "state",
        "--summary-json", summary,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return Kept(folder / "state", payments, output, json.loads(summary.read_text()))
