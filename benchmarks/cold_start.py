"""How long the program takes to decide its first event: with kernels in the cache, and on its first ever start."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.file_to_decisions import write_payments
from benchmarks.harness import Result, report

EVENTS = 20
ROUNDS = 3


def seconds_to_decide(folder: Path, cache: Path | None = None) -> tuple[float, str]:
    """Return how long the command takes for a few events, and what it said on standard error."""
    source = folder / "payments.ndjson"
    write_payments(source, EVENTS, 10)
    command = [str(Path(sys.executable).parent / "counterfoil"), "run", "--detector", "payments", "--format", "json"]
    command += ["--input", str(source), "--output", str(folder / "decisions.ndjson")]
    environment = os.environ | ({"NUMBA_CACHE_DIR": str(cache)} if cache else {})
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    return seconds, done.stderr


def main() -> list[Result]:
    """Start warm, and once with an empty cache."""
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as name:
        folder = Path(name)
        seconds_to_decide(folder)
        warm = min(seconds_to_decide(folder)[0] for _ in range(ROUNDS))
        first, said = seconds_to_decide(folder, folder / "cache")
    spoke = "it says what it is doing" if said.strip() else "it says nothing"
    return [
        Result("Start to first decision, kernels cached", warm, "s", "≤ 2", "`counterfoil run`, whole command"),
        Result("The first ever start, kernels compiled", first, "s", "", spoke),
    ]


if __name__ == "__main__":
    report(main)
