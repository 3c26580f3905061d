"""An NDJSON file to durable decisions, on two cores: read, decode, journal, decide, commit, write the output file.

The time is that of the whole command, from its start to its end, so the start of Python and the loading of kernels are
in it. Before it a short file is decided once, so that the kernels are compiled and cached as they are on any machine
that has run counterfoil before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from benchmarks.harness import Result, report
from counterfoil.events.generators.payments import PaymentsGenerator

EVENTS = 1_000_000
CUSTOMERS = 50_000
WARM_UP = 5_000


def write_payments(path: Path, events: int, customers: int = CUSTOMERS) -> None:
    """Write generated payments, as ``counterfoil generate payments`` does."""
    with path.open("wb") as file:
        for chunk in PaymentsGenerator(seed=3, customers=customers).chunks(events):
            file.write(chunk.to_ndjson())


def decide(
    folder: Path,
    name: str,
    events: int,
    detector: str = "payments",
    more: Sequence[str] = (),
    customers: int = CUSTOMERS,
) -> float:
    """Return the seconds that ``counterfoil run`` takes for a file of some events."""
    source = folder / f"{name}.ndjson"
    write_payments(source, events, customers)
    started = time.perf_counter()
    run(["--input", str(source), *outputs(folder, name), "--detector", detector, "--format", "json", *more])
    return time.perf_counter() - started


def outputs(folder: Path, name: str) -> list[str]:
    """Return where a run of that name writes."""
    return ["--output", str(folder / f"{name}.decisions"), "--state", str(folder / f"{name}.state")]


def run(options: Sequence[str], stdin: IO[bytes] | None = None) -> None:
    """Perform ``counterfoil run``, and end with what it says where it fails."""
    command = [str(Path(sys.executable).parent / "counterfoil"), "run", *options]
    done = subprocess.run(command, check=False, stdin=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def main() -> list[Result]:
    """Decide a file in a process of its own."""
    parser = argparse.ArgumentParser(description="Events a second from an NDJSON file to durable decisions.")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--json", action="store_true")
    events: int = parser.parse_args().events
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as name:
        folder = Path(name)
        decide(folder, "warm_up", WARM_UP)
        seconds = decide(folder, "measured", events)
    return [
        Result(
            "NDJSON file to durable decisions, two cores",
            events / seconds,
            "events/s",
            "≥ 150,000",
            f"`payments`, {events:,} events, whole command",
        )
    ]


if __name__ == "__main__":
    report(main)
