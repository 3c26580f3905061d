"""The walk through docs/training.md, command by command, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_the_walk_needs_nothing_but_itself(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    pytest.importorskip("onnx")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    commands = "\n".join(line.removeprefix("$ ") for line in blocks("console")[0].splitlines())
    dataset, notebook = (f"{sys.executable} - <<'END'\n{block}END\n" for block in blocks("python"))
    for script in (commands, dataset, notebook):
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    last = json.loads((tmp_path / "decisions.ndjson").read_text().splitlines()[-1])
    assert last["models"]["fraud"]["model"] == "payments@1"
    assert {"report.html", "forest.onnx"} <= {path.name for path in tmp_path.iterdir()}
