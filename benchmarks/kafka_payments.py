"""Payments from a topic, decisions to a topic, exactly once, the broker on the same two cores.

Beside it the same client reads the same topic and writes as many messages of the same size, with the same headers, in
transactions, and does nothing in between: what is left of that is what deciding and keeping a log costs.

Both are timed in the same way, over the same number of events: from the first message that was taken until the last
transaction was committed. So joining the group, connecting and starting count for neither; they are a second or two of
a run, however long it is. The bare client runs before and after the decisions, and its mean counts: the machine drifts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Consumer, Producer

from benchmarks.harness import Result, report
from benchmarks.kafka_bench import broker, checked, fill, make_topics, reader, run_command
from counterfoil.connectors.kafka_sink import DEFAULTS as PRODUCER
from counterfoil.connectors.kafka_source import DEFAULTS as CONSUMER

EVENTS = 3_000_000
CUSTOMERS = 50_000
WARM_UP = 20_000
BATCH = 20_000


def raw(address: str, source: str, target: str, events: int, value: bytes, share: float) -> float:
    """Return the events a second of a loop that reads messages and writes ``share`` as many, in transactions.

    Parameters
    ----------
    address
        The broker.
    source, target
        The topics.
    events
        How many are read.
    value
        What is written.
    share
        How many are written for one that is read.
    """
    client = Consumer(
        {
            **CONSUMER,
            "bootstrap.servers": address,
            "group.id": f"raw-{uuid4().hex}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    client.subscribe([source])
    producer = Producer({**PRODUCER, "bootstrap.servers": address, "transactional.id": f"raw-{uuid4().hex}"})
    producer.init_transactions(30)
    done = 0
    while not (messages := client.consume(1, 0.1)):
        pass
    started = time.perf_counter()
    while done < events:
        messages += client.consume(BATCH, 0.05)
        producer.begin_transaction()
        for message in messages[: int(share * len(messages))]:
            key = message.key() or b""
            while True:
                try:
                    producer.produce(target, value, key, headers=[("id", key), ("source", b"payments/0/12345678")])
                except BufferError:
                    producer.poll(0.01)
                    continue
                break
        producer.send_offsets_to_transaction(client.position(client.assignment()), client.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        done += len(messages)
        messages = []
    seconds = time.perf_counter() - started
    client.close()
    producer.close()
    return done / seconds


def decided(address: str, source: str, target: str, folder: Path, form: str) -> tuple[float, int]:
    """Return the events a second of a run over a whole topic, and its decisions."""
    name = uuid4().hex
    summary = folder / f"{name}.json"
    words = ["--group", name, "--until-end", "--output-format", form, "--summary-json", str(summary), "--quiet"]
    command = run_command(f"kafka://{address}/{source}", f"kafka://{address}/{target}", folder / name, *words)
    checked(command)
    told = json.loads(summary.read_text())
    return told["events"] / told["carried_seconds"], told["decided"]


def first_value(address: str, topic: str) -> tuple[bytes, int]:
    """Return a message of a topic, and how many there are."""
    client = reader(address, topic)
    value, count, quiet = b"", 0, 0
    while quiet < 3:
        messages = [each for each in client.consume(20_000, 0.5) if each.error() is None]
        quiet = 0 if messages else quiet + 1
        count += len(messages)
        value = value or (messages[0].value() or b"" if messages else b"")
    client.close()
    return value, count


def main() -> list[Result]:
    """Decide a topic, and carry it raw."""
    parser = argparse.ArgumentParser(description="Events a second from topic to topic, exactly once.")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--json", action="store_true")
    events: int = parser.parse_args().events
    name = uuid4().hex[:6]
    names = ("in", "warm", "packed", "sample", "out", "raw")
    source, warm, packed, sample, target, copied = (f"bench-{name}-{each}" for each in names)
    with broker() as address, tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as folder:
        make_topics(address, source, warm, packed, sample, target, copied)
        fill(address, warm, WARM_UP, 1_000)
        size = fill(address, source, events, CUSTOMERS)
        decided(address, warm, packed, Path(folder), "packed")
        _, decisions = decided(address, warm, sample, Path(folder), "json")
        value, _ = first_value(address, sample)
        before = raw(address, source, copied, events, value, decisions / WARM_UP)
        single, decisions = decided(address, source, target, Path(folder), "json")
        after = raw(address, source, copied, events, value, decisions / events)
        many, _ = decided(address, source, packed, Path(folder), "packed")
        _, found = first_value(address, target)
        if found != decisions:
            raise SystemExit(f"{decisions} were decided, {found} can be read")
        bare = 2 / (1 / before + 1 / after)
    note = f"{events:,} events of {size:.0f} bytes, {CUSTOMERS:,} customers"
    return [
        Result("Topic to topic, exactly once, a message a decision", single, "events/s", "≥ 100,000", note),
        Result("… packed, thousands of decisions in a message", many, "events/s", "", note),
        Result(
            "… the same client, reading and writing only",
            bare,
            "events/s",
            "",
            f"{len(value)} bytes a message; {before:,.0f} before and {after:,.0f} after",
        ),
        Result("… of which deciding leaves", single / bare, "×", "≥ 0.5", ""),
    ]


if __name__ == "__main__":
    report(main)
