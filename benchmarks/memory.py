"""Bytes of state an active entity of the ``payments`` detector, without and with its own events."""

from __future__ import annotations

from benchmarks.harness import Result, report
from benchmarks.payments import Bank, fill, payments_detector
from counterfoil.program import Program

CUSTOMERS = 200_000
ROUNDS = (400_000, 2_400_000)
"""Events of two fillings of the same bank: the difference tells what an event costs, the rest is the entities'."""


def state(events: int) -> tuple[int, int]:
    """Return how many entities of all kinds there are after some events, and the bytes of their state."""
    detector = payments_detector()
    program = Program(detector)
    fill(program, Bank(detector.schema, CUSTOMERS), events)
    return sum(program.entities().values()), program.state_bytes()


def main() -> list[Result]:
    """Solve two equations: bytes = entities x bytes an entity + events x bytes an event."""
    (few, few_bytes), (many, many_bytes) = state(ROUNDS[0]), state(ROUNDS[1])
    determinant = few * ROUNDS[1] - many * ROUNDS[0]
    entity = (few_bytes * ROUNDS[1] - many_bytes * ROUNDS[0]) / determinant
    event = (few * many_bytes - many * few_bytes) / determinant
    detector = payments_detector()
    note = f"{len(detector.entities)} kinds of entities, {many:,} entities, all features of `payments`"
    return [
        Result("State an active entity", entity, "bytes", "≤ 512", note),
        Result(
            "… and an event, in all its entities together", event, "bytes", "", f"{many_bytes / 1e6:,.0f} MB in all"
        ),
    ]


if __name__ == "__main__":
    report(main)
