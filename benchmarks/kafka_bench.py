"""What the benchmarks between topics share: a real broker, payments on a topic, and runs in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from counterfoil.connectors.kafka_producer import TopicProducer
from counterfoil.connectors.kafka_topics import TopicAdmin, WantedTopic
from counterfoil.errors import ConfigurationError, InputError
from counterfoil.events.generators.payments import PaymentsGenerator
from counterfoil.stack import Stack

PARTITIONS = 4
COUNTERFOIL = Path(sys.executable).parent / "counterfoil"
_ABSENT = re.compile(
    rb',"(?:fraud|story|counterparty_id|device_id|latitude|longitude|customer_id|merchant_category)":null'
)
_LABELS = re.compile(rb',"(?:fraud":(?:true|false)|story":"[^"]*"|card_country":"[^"]*"|currency":"[^"]*")')
_KEY = re.compile(rb'"customer_id":"([^"]*)"')


@contextmanager
def broker() -> Iterator[str]:
    """Give the address of a broker that is started for this, or that ``COUNTERFOIL_TEST_KAFKA`` names."""
    if given := os.environ.get("COUNTERFOIL_TEST_KAFKA"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as name:
        stack = Stack(Path(name))
        try:
            [started] = stack.up(["kafka"], ports={"kafka": 0})
        except (ConfigurationError, InputError) as error:
            if os.environ.get("CI") == "true":
                raise
            print(f"skipped: no broker can be had: {error}", file=sys.stderr)
            raise SystemExit(0) from error
        try:
            yield started.addresses["kafka"]
        finally:
            stack.down(["kafka"])


def make_topics(address: str, *names: str) -> None:
    """Make topics."""
    admin = TopicAdmin(address, {})
    admin.apply(admin.plan([WantedTopic(name, PARTITIONS, 1) for name in names]))


def payments(count: int, customers: int, seed: int = 3) -> Iterator[tuple[list[bytes], list[bytes | str | None]]]:
    """Yield payments as a bank's gateway would write them, about 250 bytes each, and the customer as key."""
    for chunk in PaymentsGenerator(seed=seed, customers=customers).chunks(count, 20_000):
        data = _LABELS.sub(b"", _ABSENT.sub(b"", bytes(chunk.to_ndjson())))
        lines = data.splitlines()
        yield lines, [found.group(1) if (found := _KEY.search(line)) else None for line in lines]


def fill(address: str, topic: str, count: int, customers: int) -> float:
    """Write payments to a topic; return their mean size in bytes."""
    size = 0
    with TopicProducer(address, topic, {}, threading.Event()) as producer:
        producer.setup()
        for lines, keys in payments(count, customers):
            size += sum(map(len, lines))
            producer.send(lines, keys)
        if producer.flush() or producer.failures:
            raise SystemExit(f"payments could not be written: {dict(producer.failures)}")
    return size / count


def run_command(source: str, output: str, state: Path, *more: str) -> list[str]:
    """Return the command that decides payments between topics."""
    words = [str(COUNTERFOIL), "run", "--detector", "payments", "--input", source, "--output", output]
    return [*words, "--state", str(state), *more]


def checked(command: list[str]) -> None:
    """Run a command; stop with what it says where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2_000:])


def reader(address: str, topic: str, *, at_end: bool = False) -> Consumer:
    """Return a client that reads what is committed, from the beginning of a topic or from its present end on."""
    client = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "benchmark",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # The broker answers as soon as something is committed; asking it two hundred times a second would take a
            # tenth of a core from what is measured.
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 5,
        }
    )
    places = [TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
    if at_end:
        for place in places:
            place.offset = client.get_watermark_offsets(place, timeout=30)[1]
    client.assign(places)
    return client


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for something, within a limit."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise SystemExit("it did not come within its time")
        time.sleep(0.005)
