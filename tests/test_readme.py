"""The README's five minutes work as they stand, and so does its detector."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from counterfoil.cli.application import application
from counterfoil.detector_file import read_detector

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ counterfoil ")
    for block in re.findall(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("$ counterfoil ")
]


def blocked_payment() -> str:
    """Return the id of a payment that was blocked."""
    lines = Path("decisions.ndjson").read_text(encoding="utf-8").splitlines()
    return next(str(decision["id"]) for decision in map(json.loads, lines) if decision["outcome"] == "block")


def test_the_commands_of_the_readme_work_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        words = shlex.split(command)
        target = words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if ">" in words else words
        result = CliRunner().invoke(application, [blocked_payment() if word == "ID" else word for word in words])
        assert result.exit_code == 0, f"{command}\n{result.output}"
        if target:
            Path(target).write_text(result.stdout, encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} >= {"payments.ndjson", "decisions.ndjson", "state", "report.html"}


def test_the_detector_of_the_readme_is_one() -> None:
    text = re.search(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert text is not None
    detector = read_detector(text[1], "README.md")
    assert detector.feature_names == ("pair_total_10m", "pair_total_24h")
