"""How many events a second the ``payments`` detector carries from columns, with a month of a large bank in its state.

Two numbers: through the stages alone, which is what features over windows cost, and all the way to decisions, with
duplicates, derived features, rules, policy and episodes. The state holds 30 days and a million customers; the measured
events are payments alone, the kind that costs most. In the same run the hand-written kernel of ``window_kernel_spike``
says what the machine allows.

State still grows while it is measured, by some 700 bytes an event. A guest whose host gives memory page by page, when
it is first written, gets it ten to twenty-five times as slowly as memory that it has had before: then the host is
measured. So memory for each round is taken and given back right before it, and one row says what comes of it without.

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
from counterfoil.features.stage import StageBatch
from counterfoil.memory import Frontier, reserve
from counterfoil.program import Program
from counterfoil.runtimes.local.allocation import keep_freed_memory
from counterfoil.runtimes.special_kernels import compile_now

MEASURED = 200_000
ROUNDS = 5
_GROWTH = 320 << 20
"""Bytes that the state may grow by in a round, and some more."""


def events_per_second(
    customers: int, shards: int, threads: int, *, own_kernels: bool = True, memory_at_hand: bool = True
) -> tuple[float, float]:
    """Return the best of some rounds, each with new events: through the stages, and to decisions."""
    keep_freed_memory()
    detector = payments_detector()
    bank = Bank(detector.schema, customers)
    program = Program(detector, shards=shards, threads=threads)
    if own_kernels:
        compile_now(program)
    now = fill(program, bank, customers * EVENTS_PER_CUSTOMER)
    step = FILL_DAYS * DAY // (customers * EVENTS_PER_CUSTOMER)
    stages = _Stopwatch(program)
    best = best_stages = 0.0
    for _ in range(ROUNDS):
        pieces = list(cut(bank.transactions(MEASURED, now, now + MEASURED * step), BATCH * threads))
        now += MEASURED * step
        if memory_at_hand:
            take_and_give_back(_GROWTH)
        stages.seconds = 0.0
        started = time.perf_counter()
        for piece in pieces:
            program.process(piece)
        best = max(best, MEASURED / (time.perf_counter() - started))
        best_stages = max(best_stages, MEASURED / stages.seconds)
    return best_stages, best


def take_and_give_back(size: int) -> float:
    """Have the host give so many bytes to this machine, if it has not yet; return how many MB a second that were."""
    block = reserve(size // 8, dense=True)
    started = time.perf_counter()
    Frontier(block).touch(0, len(block))
    return size / 1e6 / (time.perf_counter() - started)


class _Stopwatch:
    """Adds up the time that a program's batches spend in its stages."""

    def __init__(self, program: Program) -> None:
        self.seconds = 0.0
        self._update = program.stages.update
        program.stages.update = self._timed  # type: ignore[method-assign]

    def _timed(self, batch: StageBatch) -> None:
        started = time.perf_counter()
        self._update(batch)
        self.seconds += time.perf_counter() - started


def main() -> list[Result]:
    """Measure one core, two cores, and the hand-written kernel."""
    parser = argparse.ArgumentParser(description="Events a second through the payments detector, from columns.")
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--json", action="store_true")
    customers: int = parser.parse_args().customers
    spike = 1e9 / nanoseconds_per_event()
    general, _ = events_per_second(customers, 1, 1, own_kernels=False)
    stages, one = events_per_second(customers, 1, 1)
    two_stages, two = events_per_second(customers, 2, 2)
    fresh = take_and_give_back(4 << 30)
    known = take_and_give_back(_GROWTH)
    fresh_stages, _ = events_per_second(customers, 2, 2, memory_at_hand=False)
    features = len(payments_detector().feature_names)
    filled = f"{features} features, {customers:,} customers, {customers * EVENTS_PER_CUSTOMER:,} events kept"
    return [
        Result("`payments`, columns through the stages, one core", stages, "events/s", "≥ 400,000", filled),
        Result("… with the general kernel, before those of the detector are compiled", general, "events/s", "", ""),
        Result("… columns to decisions, one core", one, "events/s", "", "with rules, policy and episodes"),
        Result(
            "… stages against the hand-written kernel of 70 window features",
            stages / spike,
            "×",
            "",
            f"there {spike:,.0f} events/s",
        ),
        Result("… two cores", two_stages, "events/s", "", f"to decisions {two:,.0f}"),
        Result("… two cores against one, through the stages", two_stages / stages, "×", "≥ 1.7"),
        Result("… two cores against one, to decisions", two / one, "×"),
        Result(
            "… two cores, memory fresh from the host",
            fresh_stages,
            "events/s",
            "",
            f"which gives {fresh:,.0f} MB/s; what the guest has had before, {known:,.0f}",
        ),
    ]


if __name__ == "__main__":
    report(main)
