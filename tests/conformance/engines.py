"""The engines' environments, and runs of cases in them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from counterfoil.config import parse_config
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.conformance.cases import CLOCK, Case, run_content

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 900


def python_of(engine: str) -> Path:
    """Return the Python of an engine's environment, whether or not it is there."""
    return ROOT / f".venv-{engine}" / "bin" / "python"


@dataclass(frozen=True)
class Run:
    """A case as an engine is to carry it out."""

    case: Case
    shards: int
    expected: Path
    """What the local runtime wrote."""
    found: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return f"{self.case.name}, {self.shards} shards"

    def equal(self) -> bool:
        """Whether the engine wrote what the local runtime wrote: lines to the byte, tables row by row."""
        if not self.found.exists() or self.found.read_bytes() != self.expected.read_bytes():
            return False
        expected, found = (Path(f"{path}.parquet") for path in (self.expected, self.found))
        if not expected.exists():
            return True
        return found.exists() and pl.read_parquet(found).equals(pl.read_parquet(expected))


def prepare(cases: Sequence[tuple[Case, int]], folder: Path, engine: str) -> list[Run]:
    """Carry cases out locally, and return what an engine is to do."""
    found = []
    os.environ["COUNTERFOIL_FIXED_CLOCK"] = str(CLOCK)
    try:
        for number, (case, shards) in enumerate(cases):
            own = folder / f"{number}"
            own.mkdir(parents=True)
            expected, output = own / "local.ndjson", own / f"{engine}.ndjson"
            with LocalRuntime(parse_config(run_content(case, own, expected, batch=777))) as runtime:
                summary = runtime.run()
            assert summary.decided > 100, case.name
            found.append(Run(case, shards, expected, output, run_content(case, own, output, shards)))
    finally:
        del os.environ["COUNTERFOIL_FIXED_CLOCK"]
    return found


def carry_out(runs: Sequence[Run], folder: Path, engine: str) -> str:
    """Let an engine carry runs out; return what it said, where that failed."""
    path = folder / f"{engine}.json"
    path.write_text(json.dumps([run.content for run in runs]))
    words = [str(python_of(engine)), "-m", f"tests.conformance.on_{engine}", str(path)]
    environment = {**os.environ, "COUNTERFOIL_FIXED_CLOCK": str(CLOCK)}
    with (folder / f"{engine}.log").open("wb") as log:
        done = subprocess.run(
            words, cwd=ROOT, env=environment, stdout=log, stderr=log, timeout=SECONDS_MAX, check=False
        )
    return "" if done.returncode == 0 else (folder / f"{engine}.log").read_text(errors="replace")[-4000:]
