"""Run every benchmark, each in a process of its own and within bounded time, and print the table that README carries.

make bench                            # all
python -m benchmarks.run one_event    # some
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Result, read_results, table

BENCHMARKS = (
    "payments_stages",
    "compare_windows",
    "one_event",
    "model_scoring",
    "model_reasons",
    "models_end_to_end",
    "model_swap",
    "hot_key",
    "memory",
    "file_to_decisions",
    "recovery",
    "kafka_payments",
    "kafka_latency",
    "kafka_recovery",
    "cold_start",
    "generator",
    "decoders",
    "formats",
    "expressions",
    "kafka_producer",
    "kafka_compare",
    "spark_payments",
    "flink_payments",
    "engine_restart",
)
"""In the order of the table."""

SECONDS_MAX = 900
"""A benchmark that takes longer hangs: none is meant to take more than a quarter of this."""


def machine() -> str:
    """Return one line that says what the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = f"{len(names)} × {names[0]}" if names else model
    return f"{model}, {platform.system()}, Python {platform.python_version()}"


def run_one(name: str) -> tuple[list[Result], str]:
    """Run one benchmark; return its results and, where it failed, why."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return [], f"not done within {SECONDS_MAX} s"
    last = done.stderr.strip().splitlines()[-1:] or ["no word on stderr"]
    return read_results(done.stdout), f"exit code {done.returncode}: {last[0]}" if done.returncode else ""


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return the exit code."""
    chosen = names or [name for name in BENCHMARKS if importlib.util.find_spec(f"benchmarks.{name}")]
    results: list[Result] = []
    failures: list[str] = []
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        found, failure = run_one(name)
        results += found
        if failure:
            failures.append(f"{name}: {failure}")
    print(f"Measured on {machine()}.\n")
    print(table(results))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
