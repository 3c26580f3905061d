"""From ``kill -9`` to ready with a million entities.

A child decides a file and kills itself with SIGKILL right after a commit near the file's end, its last snapshot some
way behind. What is measured is a new process on the same folder, from its start until it could take the next event:
Python, kernels from the cache, the log verified, the newest snapshot read, what came after it performed again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.file_to_decisions import write_payments
from benchmarks.harness import Result, report
from counterfoil.config import RunConfig, SinkConfig, SourceConfig, StateConfig
from counterfoil.runtimes.local.runtime import LocalRuntime

EVENTS = 800_000
CUSTOMERS = 80_000
"""With their cards, devices, accounts and pairs more than a million entities after that many events."""
KILLED_AFTER = 750_000
READY = "ready:"


def _config(folder: Path) -> RunConfig:
    return RunConfig(
        detector="payments",
        source=SourceConfig(path=str(folder / "payments.ndjson")),
        sinks=(SinkConfig(path=str(folder / "decisions.ndjson")),),
        state=StateConfig(folder=str(folder / "state")),
    )


def run_until_killed(folder: Path) -> None:
    """Decide the file, and die by SIGKILL once enough is committed."""

    def after_group(_report: object) -> None:
        if runtime.store.totals.received >= KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    with LocalRuntime(_config(folder), on_group=after_group) as runtime:
        runtime.run()


def get_ready(folder: Path) -> None:
    """Open the folder again, and say how many entities are known."""
    with LocalRuntime(_config(folder)) as runtime:
        print(READY, sum(runtime.program.entities().values()), runtime.store.totals.received, flush=True)


def seconds_to_ready(folder: Path) -> tuple[float, int, int]:
    """Return the seconds from the start of a process until it is ready, its entities and the events behind them."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.recovery", "ready", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        # Log lines may come before it.
        line = next((line for line in child.stdout if line.startswith(READY)), "")
        seconds = time.perf_counter() - started
        child.stdout.read()
    if not line:
        raise SystemExit("the second process did not get ready")
    _, entities, events = line.split()
    return seconds, int(entities), int(events)


def main() -> list[Result]:
    """Kill one process and start another."""
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as name:
        folder = Path(name)
        write_payments(folder / "payments.ndjson", EVENTS, CUSTOMERS)
        killed = subprocess.run([sys.executable, "-m", "benchmarks.recovery", "killed", name], check=False)
        if killed.returncode != -signal.SIGKILL:
            raise SystemExit(f"the first process was to die by SIGKILL, not with {killed.returncode}")
        seconds, entities, events = seconds_to_ready(folder)
    note = f"`payments`, {entities:,} entities, {events:,} events in the journal; the new process from its very start"
    return [Result("`kill -9` to ready", seconds, "s", "≤ 5", note)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["killed"]:
        run_until_killed(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["ready"]:
        get_ready(Path(sys.argv[2]))
    else:
        report(main)
