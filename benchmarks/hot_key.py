"""What a hot key and a long window cost: half of all events on one merchant, and 30 days against one hour."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.columns import DAY, HOUR, START, batch_of, identities, slices
from benchmarks.harness import Result, report
from benchmarks.payments import Bank, cut, fill, payments_detector
from counterfoil.detector import Detector
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.definition import AggregateFeature, Entity, Window
from counterfoil.program import Program

CUSTOMERS = 100_000
FILL = 1_000_000
MEASURED = 200_000
WINDOW_EVENTS = 1_000_000
ROUNDS = 3


def payments_seconds(hot_merchant: float) -> float:
    """Return the time an event takes through ``payments`` with some share of all payments on one merchant."""
    detector = payments_detector()
    bank = Bank(detector.schema, CUSTOMERS, hot_merchant=hot_merchant)
    program = Program(detector)
    now = fill(program, bank, FILL)
    best = float("inf")
    for _ in range(ROUNDS):
        pieces = list(cut(bank.transactions(MEASURED, now, now + DAY // 4)))
        now += DAY // 4
        started = time.perf_counter()
        for piece in pieces:
            program.process(piece)
        best = min(best, time.perf_counter() - started)
    return best / MEASURED


def window_seconds(window: Window) -> float:
    """Return the time an event takes where the only features are count and sum over one window."""
    kind = EventKind(
        "payment", (Field("customer_id", FieldType.ID), Field("amount", FieldType.MONEY)), None, "time", decide=True
    )
    detector = Detector(
        "one_window",
        Schema((kind,)),
        (Entity("customer", ("customer_id",)),),
        (
            AggregateFeature("count", "count", "payment", (), "customer", (window,)),
            AggregateFeature("sum", "sum", "payment", ("amount",), "customer", (window,)),
        ),
        max_lateness=0,
    )
    random = np.random.default_rng(3)
    whole = batch_of(
        detector.schema,
        "payment",
        np.sort(START + random.integers(0, 60 * DAY, WINDOW_EVENTS)),
        {
            "customer_id": identities(random.integers(0, WINDOW_EVENTS // 200, WINDOW_EVENTS), 1),
            "amount": random.integers(1, 100_000, WINDOW_EVENTS),
        },
    )
    pieces = slices(whole, 4096)
    best = float("inf")
    for _ in range(ROUNDS):
        program = Program(detector)
        started = time.perf_counter()
        for piece in pieces:
            program.process(piece)
        best = min(best, time.perf_counter() - started)
    return best / WINDOW_EVENTS


def main() -> list[Result]:
    """Compare in one run."""
    even, hot = payments_seconds(0.0), payments_seconds(0.5)
    hour, month = window_seconds(Window("1h", HOUR)), window_seconds(Window("30d", 30 * DAY))
    return [
        Result(
            "Half of all payments on one merchant, against even", hot / even, "×", "≤ 1.5", "time an event, `payments`"
        ),
        Result(
            "A 30-day window against a 1-hour window", month / hour, "×", "≤ 1.3", "time an event, three events a day"
        ),
    ]


if __name__ == "__main__":
    report(main)
