"""How long one event alone takes through the ``payments`` detector in process, warm: what a call waits for."""

from __future__ import annotations

import time

from benchmarks.columns import SECOND
from benchmarks.harness import Result, percentile, report
from benchmarks.payments import Bank, cut, fill, payments_detector
from counterfoil.program import Program

CUSTOMERS = 100_000
FILL = 500_000
MEASURED = 20_000
WARM_UP = 1_000


def main() -> list[Result]:
    """Process payments one at a time, a millisecond of event time apart."""
    detector = payments_detector()
    bank = Bank(detector.schema, CUSTOMERS)
    program = Program(detector)
    now = fill(program, bank, FILL)
    singles = list(cut(bank.transactions(WARM_UP + MEASURED, now, now + 60 * SECOND), 1))
    for single in singles[:WARM_UP]:
        program.process(single)
    microseconds = []
    for single in singles[WARM_UP:]:
        started = time.perf_counter_ns()
        program.process(single)
        microseconds.append((time.perf_counter_ns() - started) / 1000)
    microseconds.sort()
    note = f"columns to decision, without the journal, {CUSTOMERS:,} customers"
    return [
        Result("One event in process, p50", percentile(microseconds, 0.5), "µs", "≤ 50", note),
        Result("One event in process, p99", percentile(microseconds, 0.99), "µs", "≤ 300", note),
    ]


if __name__ == "__main__":
    report(main)
