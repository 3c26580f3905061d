"""How many events a second the ``payments`` detector decides from columns, with a month of a large bank in its state.

Everything between decoder and sinks takes part: duplicates, all stages, derived features, rules, policy, episodes. The
state holds 30 days and a million customers; the measured events are payments alone, the kind that costs most. In the
same run the hand-written kernel of ``window_kernel_spike`` says what the machine allows.

    python -m benchmarks.payments_stages                 # five million events to fill the state
    python -m benchmarks.payments_stages --customers 50000
"""

from __future__ import annotations

import argparse
import time

from benchmarks.columns import DAY
from benchmarks.harness import Result, report
from benchmarks.payments import BATCH, CUSTOMERS, EVENTS_PER_CUSTOMER, FILL_DAYS, Bank, cut, fill, payments_detector
from benchmarks.window_kernel_spike import nanoseconds_per_event
from counterfoil.program import Program

MEASURED = 200_000
ROUNDS = 3


def events_per_second(customers: int, shards: int, threads: int) -> float:
    """Return the best of some rounds, each with new events."""
    detector = payments_detector()
    bank = Bank(detector.schema, customers)
    program = Program(detector, shards=shards, threads=threads)
    now = fill(program, bank, customers * EVENTS_PER_CUSTOMER)
    step = FILL_DAYS * DAY // (customers * EVENTS_PER_CUSTOMER)
    best = 0.0
    for _ in range(ROUNDS):
        pieces = list(cut(bank.transactions(MEASURED, now, now + MEASURED * step), BATCH * threads))
        now += MEASURED * step
        started = time.perf_counter()
        for piece in pieces:
            program.process(piece)
        best = max(best, MEASURED / (time.perf_counter() - started))
    return best


def main() -> list[Result]:
    """Measure one core, two cores, and the hand-written kernel."""
    parser = argparse.ArgumentParser(description="Events a second through the payments detector, from columns.")
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--json", action="store_true")
    customers: int = parser.parse_args().customers
    spike = 1e9 / nanoseconds_per_event()
    one = events_per_second(customers, 1, 1)
    two = events_per_second(customers, 2, 2)
    features = len(payments_detector().feature_names)
    filled = f"{features} features, {customers:,} customers, {customers * EVENTS_PER_CUSTOMER:,} events kept"
    return [
        Result("`payments`, columns to decisions, one core", one, "events/s", "≥ 400,000", filled),
        Result(
            "… against the hand-written kernel of 70 window features",
            one / spike,
            "×",
            "",
            f"there {spike:,.0f} events/s",
        ),
        Result("… two cores against one", two / one, "×", "≥ 1.7", f"{two:,.0f} events/s"),
    ]


if __name__ == "__main__":
    report(main)
