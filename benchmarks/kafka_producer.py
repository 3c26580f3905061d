"""Whether a rate is held: generated payments to a topic, keyed by customer, the broker on the same machine.

The whole command is measured, as a user runs it; what counts is what the broker has acknowledged.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, report
from counterfoil.connectors.kafka_topics import TopicAdmin, WantedTopic
from counterfoil.stack import Stack

RATES = (10_000, 100_000)
SECONDS = 20
FLAT_OUT = 2_000_000
CUSTOMERS = 100_000


def generate(servers: str, summary: Path, *words: str) -> tuple[dict[str, Any], float]:
    """Return what the command tells, and the processor time that it took, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        sys.executable, "-m", "counterfoil", "generate", "payments", "--customers", str(CUSTOMERS),
        "--key", "customer_id", "--output", f"kafka://{servers}/payments", "--summary-json", str(summary), *words,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(summary.read_text()), spent


def main() -> list[Result]:
    """Hold each rate for a while, then go flat out."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        summary = folder / "summary.json"
        stack = Stack(folder / "stack")
        try:
            servers = stack.up(["kafka"], ports={"kafka": 0})[0].addresses["kafka"]
            admin = TopicAdmin(servers, {})
            admin.apply(admin.plan([WantedTopic("payments", 4, 1)]))
            # A new broker takes a second for its first answer to a producer.
            _, start = generate(servers, summary, "--count", "1000")
            for rate in RATES:
                told, spent = generate(servers, summary, "--rate", str(rate), "--seconds", str(SECONDS))
                each = (spent - start) / told["events"] * 1e6
                note = f"{SECONDS} s; {told['behind_seconds']:.1f} s of it late; {each:.1f} µs of processor an event"
                label = f"Payments to a topic at {rate:,} a second"
                results.append(Result(label, told["events_per_second"], "events/s", f"≥ {0.98 * rate:,.0f}", note))
            told, _ = generate(servers, summary, "--count", str(FLAT_OUT))
            results.append(Result("… as fast as the broker takes them", told["events_per_second"], "events/s"))
        finally:
            stack.down()
    return results


if __name__ == "__main__":
    report(main)
