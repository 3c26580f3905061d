"""How fast events are generated: never the limit of a test.

To a file, both cores are used: one writes a chunk's lines while the other generates the next chunk.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.harness import Result, report
from counterfoil.detector_file import load_detector
from counterfoil.events.generators import PaymentsGenerator, TimeFormat, TransfersGenerator
from counterfoil.events.identity import IdentityKey

EVENTS = 2_000_000


def payments_to_file(customers: int, path: Path) -> float:
    """Return events a second from the first chunk on; building the bank comes before and is stated by itself."""
    chunks = PaymentsGenerator(customers=customers).ndjson(EVENTS)
    first = bytes(next(chunks)).count(b"\n")
    started = time.perf_counter()
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
    return (EVENTS - first) / (time.perf_counter() - started)


def payments_in_memory(customers: int, *, batches: bool) -> float:
    """Return events a second as columns, or as batches of the ``payments`` detector."""
    schema, key = load_detector("payments").schema, IdentityKey()
    started = time.perf_counter()
    counted = 0
    for number, chunk in enumerate(PaymentsGenerator(customers=customers).chunks(EVENTS)):
        if batches:
            chunk.to_batch(schema, key)
        if number == 0:
            started = time.perf_counter()
        else:
            counted += len(chunk)
    return counted / (time.perf_counter() - started)


def transfers_to_file(time_format: TimeFormat, path: Path) -> float:
    """Return lines a second."""
    generator = TransfersGenerator(time_format=time_format)
    next(generator.chunks(1)).to_lines()
    started = time.perf_counter()
    with path.open("wb") as file:
        for chunk in generator.chunks(EVENTS):
            file.write(chunk.to_lines())
    return EVENTS / (time.perf_counter() - started)


def main() -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events"
        for customers in (10_000, 1_000_000):
            note = f"two threads, {customers:,} customers"
            speed = payments_to_file(customers, path)
            results.append(Result("generate payments to an NDJSON file", speed, "events/s", "≥ 200,000", note))
        for time_format in TimeFormat:
            speed = transfers_to_file(time_format, path)
            results.append(
                Result("generate transfer lines to a file", speed, "lines/s", "≥ 200,000", time_format.value)
            )
    for batches, name in ((False, "generate payments as columns"), (True, "generate payments as batches")):
        speed = payments_in_memory(10_000, batches=batches)
        results.append(Result(name, speed, "events/s", note="one thread, 10,000 customers"))
    return results


if __name__ == "__main__":
    report(main)
