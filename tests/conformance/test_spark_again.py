"""A checkpoint of Spark's that is taken up again: by the same job, by a changed detector, by one that may not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from counterfoil.config import parse_config
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.conformance.cases import CLOCK
from tests.conformance.engines import ROOT, python_of
from tests.conftest import absent
from tests.runtimes.sample import DEFINITION, sample_lines

RULE = '  - {name: more, when: "amount > 150", then: review, score: 0.7, reason: "More.", episode: shop}\n'
CHANGED = DEFINITION.replace("score: 0.3", "score: 0.4").replace("after a change.\n", f"after a change.\n{RULE}")

ANEW = CHANGED.replace("over: 24h", "over: 25h").replace("spend_24h", "spend_25h").replace("usual_24h", "usual_25h")


@pytest.fixture(autouse=True)
def _environment() -> None:
    if not python_of("spark").exists():
        absent("the environment of spark (make .venv-spark)")


def content(folder: Path, definition: str, name: str, shards: int) -> dict[str, Any]:
    detector = folder / "detector.yaml"
    detector.write_text(definition)
    return {
        "detector": str(detector),
        "source": {"path": str(folder / "in.ndjson")},
        "sinks": [{"path": str(folder / f"{name}.ndjson")}],
        "state": {"folder": str(folder / f"{name}-state"), "accept_detector": name == "local"},
        "limits": {"shards": shards, "threads": 2, "batch_events": 100},
        "spark": {"micro_batch_events": 300, "partitions": 2},
    }


def on_spark(folder: Path, settings: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    path = folder / "run.yaml"
    path.write_text(json.dumps(settings))
    words = [str(python_of("spark")), "-m", "counterfoil", "run", str(path), "--on", "spark", "--quiet"]
    environment = {**os.environ, "COUNTERFOIL_FIXED_CLOCK": str(CLOCK)}
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("shards", [2])
def test_a_checkpoint_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: int) -> None:
    monkeypatch.setenv("COUNTERFOIL_FIXED_CLOCK", str(CLOCK))
    lines = sample_lines(2_000)
    # First some, then more under the same detector, then the rest under a changed one that may take the state over.
    for end, definition in ((500, DEFINITION), (1_000, DEFINITION), (1_500, CHANGED)):
        (tmp_path / "in.ndjson").write_bytes(b"".join(line + b"\n" for line in lines[:end]))
        with LocalRuntime(parse_config(content(tmp_path, definition, "local", 1))) as runtime:
            runtime.run()
        done = on_spark(tmp_path, content(tmp_path, definition, "spark", shards))
        assert done.returncode == 0, done.stderr[-3_000:]
        assert (tmp_path / "spark.ndjson").read_bytes() == (tmp_path / "local.ndjson").read_bytes()
    # What may not is refused before anything is touched.
    written = (tmp_path / "spark.ndjson").read_bytes()
    refused = on_spark(tmp_path, content(tmp_path, ANEW, "spark", shards))
    assert refused.returncode == 1
    assert "cannot take its state over" in refused.stderr.replace("\n", " ")
    # … unless it may begin anew: then it has the history that the source still has, and what was decided stands.
    (tmp_path / "in.ndjson").write_bytes(b"".join(line + b"\n" for line in lines))
    with LocalRuntime(parse_config(content(tmp_path, ANEW, "local", 1))) as runtime:
        runtime.run()
    accepted = content(tmp_path, ANEW, "spark", shards)
    accepted["state"]["accept_detector"] = True
    done = on_spark(tmp_path, accepted)
    assert done.returncode == 0, done.stderr[-3_000:]
    assert (tmp_path / "spark.ndjson").read_bytes() == (tmp_path / "local.ndjson").read_bytes()
    written = (tmp_path / "spark.ndjson").read_bytes()
    again = content(tmp_path, ANEW, "spark", shards)
    again["spark"]["partitions"] = 3
    refused = on_spark(tmp_path, again)
    assert refused.returncode == 1
    assert "spark.partitions is 2 there, not 3" in refused.stderr.replace("\n", " ")
    assert (tmp_path / "spark.ndjson").read_bytes() == written
