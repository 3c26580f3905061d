"""Hot swaps of a model under load: what they add to the latency, whether anything is lost, whether alerts stay as many.

Payments come through a pipe at a steady rate to one run with a model that acts; beside it another version is promoted
every second, back and forth between a model of 100 trees and one of 40. The same run without a swap stands beside it.
Latency is the run's own: from the arrival of a record to its durable decision. Swaps fill much more than a hundredth of
the time, so the p99 of the whole run is theirs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.file_to_decisions import WARM_UP, decide, outputs, run
from benchmarks.harness import Result, report
from benchmarks.models_end_to_end import prepared
from counterfoil.models.registry import FolderRegistry

RATE, SECONDS, SWAP_SECONDS = 20_000, 20, 1.0
TREES = (100, 40)


@dataclass(frozen=True)
class Measured:
    """One run."""

    p99: float
    decided: int
    read: int
    ids: int
    swaps: int
    rates: tuple[float, ...]
    """The share of payments on which the model's rule hits, by version."""


def swapping(folder: Path, stopped: threading.Event) -> int:
    """Promote the other version every second until it is told to stop; return how often."""
    count = 0
    with FolderRegistry(folder / "registry") as registry:
        while not stopped.wait(SWAP_SECONDS):
            count += 1
            registry.promote("payments", 1 + count % 2, "champion", "benchmark", "a swap")
        registry.promote("payments", 1, "champion", "benchmark", "as before")
    return count


def measure(folder: Path, name: str, options: list[str], rate: int, swap: bool) -> Measured:
    """Decide for some seconds."""
    program = str(Path(sys.executable).parent / "counterfoil")
    summary = folder / f"{name}.json"
    command = [program, "generate", "payments", "--rate", str(rate), "--seconds", str(SECONDS), "--quiet"]
    stopped, swaps = threading.Event(), []
    swapper = threading.Thread(target=lambda: swaps.append(swapping(folder, stopped)))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as generator:
        if swap:
            swapper.start()
        try:
            run(["--input", "-", *outputs(folder, name), "--summary-json", str(summary), *options], generator.stdout)
        finally:
            stopped.set()
            if swap:
                swapper.join()
    content = json.loads(summary.read_text())
    rows, hits, ids = Counter[str](), Counter[str](), set()
    with (folder / f"{name}.decisions").open("rb") as lines:
        for line in lines:
            decision = json.loads(line)
            version = decision["models"]["fraud"]["model"]
            ids.add(decision["id"])
            rows[version] += 1
            hits[version] += any(rule["name"] == "model" for rule in decision["rules"])
    rates = tuple(hits[version] / rows[version] for version in sorted(rows))
    return Measured(content["latency_ms"]["p99"], sum(rows.values()), content["decided"], len(ids), sum(swaps), rates)


def main() -> list[Result]:
    """Decide with swaps and without."""
    parser = argparse.ArgumentParser(description="What swaps of a model do to latency, decisions and alerts.")
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--json", action="store_true")
    rate: int = parser.parse_args().rate
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as name:
        folder = Path(name)
        options = prepared(folder, TREES)
        decide(folder, "warm_up", WARM_UP, options[1], options[2:])
        quiet = [measure(folder, f"quiet{number}", options, rate, swap=False) for number in range(2)]
        busy = [measure(folder, f"busy{number}", options, rate, swap=True) for number in range(2)]
    added = min(each.p99 for each in busy) - min(each.p99 for each in quiet)
    lost = sum(abs(each.read - each.decided) + abs(each.decided - each.ids) for each in busy)
    apart = max(abs(each.rates[1] / each.rates[0] - 1) for each in busy)
    note = (
        f"{rate:,} events/s through a pipe, {busy[0].swaps} and {busy[1].swaps} swaps in {SECONDS} s each; p99"
        f" {min(each.p99 for each in quiet):.0f} ms without"
    )
    return [
        Result("Hot swaps of a model: added to the p99 of latency", added, "ms", "≤ 50", note),
        Result(
            "Hot swaps of a model: decisions lost or double", float(lost), "", "≤ 0", f"of {busy[0].decided:,} a run"
        ),
        Result(
            "Hot swaps of a model: share of alerts, one version against the other",
            100 * apart,
            "% apart",
            "≤ 10",
            ", ".join(f"{rate:.2%}" for rate in busy[0].rates),
        ),
    ]


if __name__ == "__main__":
    report(main)
