"""How long one event alone takes in process, warm: what a call waits for.

Through the compiled ``payments`` detector from columns; through the runtime from a JSON object to the decision with its
reasons, without the journal; and with it, when the answer waits for the disk. What the disk's sync costs by itself is
measured beside it, in the same folder.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.columns import SECOND
from benchmarks.harness import Result, percentile, report
from benchmarks.payments import Bank, cut, fill, payments_detector
from counterfoil.config import RunConfig, StateConfig
from counterfoil.events.generators.payments import PaymentsGenerator
from counterfoil.program import Program
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.special_kernels import compile_now

CUSTOMERS = 100_000
FILL = 500_000
MEASURED = 20_000
WARM_UP = 1_000
DURABLE = 500
"""Each of them waits for the disk."""


def microseconds(action: Callable[[Any], object], arguments: Iterable[Any]) -> list[float]:
    """Return how long each call took, shortest first."""
    taken = []
    for argument in arguments:
        started = time.perf_counter_ns()
        action(argument)
        taken.append((time.perf_counter_ns() - started) / 1000)
    return sorted(taken)


def from_columns() -> list[float]:
    """Process payments one at a time, a few milliseconds of event time apart."""
    detector = payments_detector()
    bank = Bank(detector.schema, CUSTOMERS)
    program = Program(detector)
    compile_now(program)
    now = fill(program, bank, FILL)
    singles = list(cut(bank.transactions(WARM_UP + MEASURED, now, now + 60 * SECOND), 1))
    microseconds(program.process, singles[:WARM_UP])
    return microseconds(program.process, singles[WARM_UP:])


def from_json(folder: Path) -> tuple[list[float], list[float]]:
    """Decide JSON objects one at a time: with the journal, and without it."""
    lines = b"".join(
        bytes(chunk.to_ndjson()) for chunk in PaymentsGenerator(seed=5).chunks(WARM_UP + DURABLE + MEASURED)
    ).splitlines()
    with LocalRuntime(RunConfig(detector="payments", state=StateConfig(folder=str(folder / "state")))) as runtime:
        microseconds(runtime.decide, lines[:WARM_UP])
        durable = microseconds(runtime.decide, lines[WARM_UP : WARM_UP + DURABLE])
        return durable, microseconds(lambda line: runtime.decide(line, journal=False), lines[WARM_UP + DURABLE :])


def disk_sync(folder: Path) -> list[float]:
    """Append 4 KiB and sync, as often as durable events were decided."""
    with (folder / "sync").open("wb", buffering=0) as file:

        def append(_number: int) -> None:
            file.write(bytes(4096))
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())

        return microseconds(append, range(DURABLE))


def main() -> list[Result]:
    """Measure all three ways and the disk."""
    columns = from_columns()
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as name:
        durable, json = from_json(Path(name))
        sync = disk_sync(Path(name))
    warm = f"{CUSTOMERS:,} customers, without the journal"
    return [
        Result("One event, columns to decision, p50", percentile(columns, 0.5), "µs", "≤ 50", warm),
        Result("… p99", percentile(columns, 0.99), "µs", "≤ 300", warm),
        Result("One event, JSON to decision with reasons, p50", percentile(json, 0.5), "µs", "", "without the journal"),
        Result("… p99", percentile(json, 0.99), "µs", "", "without the journal"),
        Result(
            "… durable, p50",
            percentile(durable, 0.5),
            "µs",
            "",
            f"the disk's own sync: {percentile(sync, 0.5):,.0f} µs",
        ),
    ]


if __name__ == "__main__":
    report(main)
