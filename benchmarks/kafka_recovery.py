"""From ``kill -9`` to the first new decision on a topic, with a million entities in state.

What is measured is the whole command: Python, the log verified, the state restored, the former producer fenced, the
group joined, the first event read, decided, committed and visible to a reader of committed messages.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Consumer, TopicPartition

from benchmarks.harness import Result, report
from benchmarks.kafka_bench import PARTITIONS, broker, fill, make_topics, reader, run_command, until

EVENTS = 800_000
CUSTOMERS = 80_000
"""With their cards, devices, accounts and pairs more than a million entities after that many events."""
KILLED_AFTER = 700_000
SECONDS_MAX = 300.0


def main() -> list[Result]:
    """Kill a run on its way, start it again, and wait for a decision."""
    parser = argparse.ArgumentParser(description="Seconds from kill -9 to the first new decision.")
    parser.add_argument("--json", action="store_true")
    parser.parse_args()
    name = uuid4().hex[:6]
    source, target, group = f"bench-{name}-in", f"bench-{name}-out", f"bench-{name}"
    with broker() as address, tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as folder:
        make_topics(address, source, target)
        fill(address, source, EVENTS, CUSTOMERS)
        state = Path(folder) / "state"
        command = run_command(
            f"kafka://{address}/{source}", f"kafka://{address}/{target}", state, "--group", group, "--quiet"
        )
        with subprocess.Popen(command) as process:
            watched = Consumer({"bootstrap.servers": address, "group.id": group})
            places = [TopicPartition(source, partition) for partition in range(PARTITIONS)]

            def delivered() -> bool:
                time.sleep(0.1)
                return sum(max(0, each.offset) for each in watched.committed(places, timeout=30)) >= KILLED_AFTER

            until(delivered, SECONDS_MAX)
            process.send_signal(signal.SIGKILL)
        watched.close()
        client = reader(address, target, at_end=True)
        # Where nothing is left to read, there would be no new decision.
        fill(address, source, 20_000, CUSTOMERS)
        started = time.perf_counter()
        with subprocess.Popen(command) as process:
            until(lambda: any(each.error() is None for each in client.consume(1, 0.05)), SECONDS_MAX)
            seconds = time.perf_counter() - started
            process.send_signal(signal.SIGTERM)
        client.close()
        entities = _entities(state)
    return [
        Result(
            "Between topics, kill -9 to the first new decision", seconds, "s", "≤ 10", f"{entities:,} entities in state"
        )
    ]


def _entities(state: Path) -> int:
    """Return how many entities the state holds."""
    from counterfoil.config import RunConfig, SourceConfig, StateConfig
    from counterfoil.runtimes.local.runtime import LocalRuntime

    config = RunConfig(detector="payments", source=SourceConfig(path="none"), state=StateConfig(folder=str(state)))
    with LocalRuntime(config) as runtime:
        return sum(runtime.program.entities().values())


if __name__ == "__main__":
    report(main)
