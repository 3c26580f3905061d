"""From an event on a topic to its decision on a topic, as a reader of committed messages sees it, at 20,000 a second.

The same process writes the events and reads the decisions, so both ends are of one clock. What is written counts from
the moment the client has it. Snapshots hold decisions up while state is copied, so they get one in two hundred of the
time here, where the default is one in five: a run that wants short tails says so, and restarts a little later.

Writer, broker, run and reader share the machine, and what waits on it waits for a core: a batch, a commit and a
transaction cost the same for ten events as for a thousand. So batches gather for some milliseconds, the writer writes
every ten, and the reader lets the broker answer once there is something.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

from benchmarks.harness import Result, percentile, report
from benchmarks.kafka_bench import broker, make_topics, payments, reader, run_command
from counterfoil.connectors.kafka_producer import TopicProducer

RATE = 20_000
SECONDS = 20
WARM_SECONDS = 15
TICK = 0.01
CUSTOMERS = 20_000
GOALS = {"exactly-once": "≤ 400", "at-least-once": "≤ 100"}
LINGER_MS = {"exactly-once": 20, "at-least-once": 10}


def latencies(address: str, delivery: str, folder: Path) -> list[float]:
    """Return the milliseconds that each decision took, sorted; those of the first seconds are left out."""
    name = uuid4().hex[:8]
    source, target = f"bench-{name}-in", f"bench-{name}-out"
    make_topics(address, source, target)
    config = folder / f"{name}.yaml"
    config.write_text(
        f"source: {{linger_ms: {LINGER_MS[delivery]}, session_ms: 10000}}\nlimits: {{commit_ms: 0}}\n"
        "state: {snapshot_share: 0.005}\ndetector: payments\n"
    )
    command = run_command(
        f"kafka://{address}/{source}", f"kafka://{address}/{target}", folder / name, "--delivery", delivery, "--quiet"
    )
    command.insert(2, str(config))
    sent: dict[bytes, float] = {}
    found: list[float] = []
    stopped = threading.Event()
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            listening = threading.Thread(target=_listen, args=(address, target, sent, found, stopped))
            listening.start()
            _send(address, source, sent)
            time.sleep(2.0)
            stopped.set()
            listening.join()
        finally:
            stopped.set()
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=120)
    if process.returncode:
        raise SystemExit(told.decode()[-2_000:])
    return sorted(found)


def _send(address: str, topic: str, sent: dict[bytes, float]) -> None:
    """Write events at the rate, some each hundredth of a second."""
    lines: list[bytes] = []
    keys: list[bytes | str | None] = []
    for more, names in payments(RATE * (SECONDS + WARM_SECONDS), CUSTOMERS):
        lines += more
        keys += names
    identifiers = [_identifier(line) for line in lines]
    with TopicProducer(address, topic, {"linger.ms": "1"}, threading.Event()) as producer:
        producer.setup()
        started, at = time.perf_counter(), 0
        while at < len(lines):
            due = min(len(lines), int(RATE * (time.perf_counter() - started)))
            if due > at:
                now = time.perf_counter()
                # The process starts meanwhile and catches up; the first seconds do not count.
                if now - started > WARM_SECONDS:
                    sent.update(dict.fromkeys(identifiers[at:due], now))
                producer.send(lines[at:due], keys[at:due])
                at = due
            time.sleep(TICK)
        producer.flush()


def _identifier(line: bytes) -> bytes:
    start = line.find(b'"transaction_id":"') + 18
    return line[start : line.find(b'"', start)]


def _listen(address: str, topic: str, sent: dict[bytes, float], found: list[float], stopped: threading.Event) -> None:
    client = reader(address, topic)
    while not stopped.is_set():
        messages = client.consume(1, 0.1)
        if messages:
            messages += client.consume(5_000, 0)
        now = time.perf_counter()
        for message in messages:
            at = sent.get(message.key() or b"") if message.error() is None else None
            if at is not None:
                found.append(1_000 * (now - at))
    client.close()


def main() -> list[Result]:
    """Measure both ways of delivering."""
    results = []
    with broker() as address, tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as folder:
        for delivery, target in GOALS.items():
            found = latencies(address, delivery, Path(folder))
            note = f"{RATE:,} events/s for {SECONDS} s, {len(found):,} decisions, p50 {percentile(found, 0.5):.0f} ms"
            results.append(
                Result(f"Event in to decision visible, {delivery}, p99", percentile(found, 0.99), "ms", target, note)
            )
    return results


if __name__ == "__main__":
    report(main)
