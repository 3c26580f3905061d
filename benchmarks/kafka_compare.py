"""Per card, at each event: count, sum and mean over the last hour and the last day, from topic to topic of one broker.

counterfoil decides exactly once, in transactions, with its journal; quixstreams and faust run at least once, as is
their default. Each job reads the same topic and writes a message an event; every message must equal an independent
computation in numpy before a rate is printed. A rate is that of the output topic's own clock, from the first fifth of
the messages to the last: neither the start of a process nor the joining of its group is in it.

Each runs in its usual form and, where that is another, in the fastest that it offers to somebody who writes the windows
himself: quixstreams keeps them in its state then. faust's windows hop, so that there is only the second form.

quixstreams and faust live in an environment of their own (``make .venv-streams/.installed``): they ask for older
libraries.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Result, report
from counterfoil.connectors.kafka_producer import TopicProducer
from counterfoil.connectors.kafka_topics import TopicAdmin, WantedTopic
from counterfoil.stack import Stack

EVENTS = 600_000
CARDS = 15_000
DAYS = 20
START_MS = 1_767_571_200_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WINDOWS = {"1h": HOUR_MS, "24h": DAY_MS}
PARTITIONS = 2
SECONDS_MAX = 240.0
"""A job that is not done by then is measured by what it has done."""
WARM_SHARE = 0.2

ROOT = Path(__file__).resolve().parents[1]
STREAMS = ROOT / ".venv-streams" / "bin" / "python"

DETECTOR = """
detector: card-windows
events:
  payment: {id: n, time: event_time, time_unit: ms, decide: true, fields: {card_id: id, amount: money}}
entities: {card: card_id}
features:
  - {name: count, count: payment, by: card, over: [1h, 24h]}
  - {name: sum, sum: amount, by: card, over: [1h, 24h]}
  - {name: mean, mean: amount, by: card, over: [1h, 24h]}
"""

Values = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Payments:
    """The events, in order of time."""

    time: npt.NDArray[np.int64]
    card: npt.NDArray[np.int64]
    cents: npt.NDArray[np.int64]

    @classmethod
    def generate(cls, seed: int = 7) -> Payments:
        """Return payments at random times with random cards."""
        random = np.random.default_rng(seed)
        return cls(
            np.sort(START_MS + random.integers(0, DAYS * DAY_MS, EVENTS)),
            random.integers(0, CARDS, EVENTS),
            np.maximum(1, (random.lognormal(3.5, 1.0, EVENTS) * 100).astype(np.int64)),
        )

    def produce(self, servers: str, topic: str) -> None:
        """Write them to a topic, keyed by card."""
        # Not compressed: what reads lz4 in Python is no part of faust.
        with TopicProducer(servers, topic, {"compression.type": "none"}, threading.Event()) as producer:
            producer.setup()
            rows = zip(self.time.tolist(), self.card.tolist(), self.cents.tolist(), strict=True)
            values, keys = [], []
            for number, (at, card, cents) in enumerate(rows):
                key = f"K{card:07}"
                amount = f"{cents // 100}.{cents % 100:02}"
                values.append(f'{{"n":{number},"card_id":"{key}","event_time":{at},"amount":{amount}}}'.encode())
                keys.append(key)
            producer.send(values, keys)
            if producer.flush() or producer.failures:
                raise RuntimeError(f"events could not be written: {dict(producer.failures)}")


def oracle(payments: Payments) -> Values:
    """Return every value at every event, by sorting and binary search: no state, no streaming."""
    order = np.lexsort((payments.time, payments.card))
    # Cards far apart on one axis: the search for a window's beginning never reaches into a neighbour.
    axis = payments.card[order] * (400 * DAY_MS) + payments.time[order]
    total = np.concatenate([[0], np.cumsum(payments.cents[order])])
    end = np.arange(1, EVENTS + 1)
    found: Values = {}
    for label, length in WINDOWS.items():
        begin = np.searchsorted(axis, axis - length, side="right")
        count, cents = end - begin, total[end] - total[begin]
        for name, value in (("count", count), ("sum", cents / 100), ("mean", cents / 100 / count)):
            column = np.empty(EVENTS)
            column[order] = value
            found[f"{name}_{label}"] = column
    return found


@dataclass(frozen=True)
class Output:
    """What a job has written."""

    times: npt.NDArray[np.int64]
    """When the broker took each message, in milliseconds."""
    values: list[dict[str, Any]]

    @property
    def rate(self) -> float:
        """Messages a second, without the first fifth."""
        times = np.sort(self.times)
        first = int(WARM_SHARE * len(times))
        return float((len(times) - first) / max(1e-3, (times[-1] - times[first]) / 1_000))

    def check(self, expected: Values, name: str) -> None:
        """Compare every message with the oracle; refuse an event that was given twice."""
        numbers = np.array([int(value["n"]) for value in self.values])
        labels = [label for label in expected if label in self.values[0] or len(self.values[0]) < len(expected)]
        seen = 0
        for label in labels:
            has = np.array([label in value for value in self.values])
            mine = numbers[has]
            if len(np.unique(mine)) != len(mine):
                raise AssertionError(f"{name}: events were given twice")
            values = np.array([value[label] for value in self.values if label in value], np.float64)
            np.testing.assert_allclose(values, expected[label][mine], rtol=1e-9, atol=1e-6, err_msg=f"{name} {label}")
            seen += len(mine)
        if not seen:
            raise AssertionError(f"{name}: gave no value")


def read_output(servers: str, topic: str) -> Output:
    """Return all committed messages of a topic."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": uuid4().hex,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    ends = {
        number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
        for number in range(PARTITIONS)
    }
    consumer.assign([TopicPartition(topic, number, 0) for number in ends])
    times: list[int] = []
    values: list[dict[str, Any]] = []
    while any(
        at.offset < ends[at.partition]
        for at in consumer.position([TopicPartition(topic, number) for number, end in ends.items() if end])
    ):
        for message in consumer.consume(10_000, 0.2):
            times.append(message.timestamp()[1])
            content = json.loads(message.value() or b"{}")
            values.append(content if "features" not in content else {"n": content["id"], **content["features"]})
    consumer.close()
    return Output(np.array(times), values)


def count(servers: str, topic: str) -> int:
    """Return how many positions of a topic are taken: messages and marks of transactions."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": uuid4().hex})
    found = sum(
        consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] for number in range(PARTITIONS)
    )
    consumer.close()
    return int(found)


def run(command: Sequence[str | Path], folder: Path, servers: str, topic: str, wanted: int) -> None:
    """Run a job until it ends, or has written so many messages, or time is over."""
    log = folder / f"{topic}.log"
    with log.open("w") as file:
        process = subprocess.Popen([str(each) for each in command], stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            deadline = time.monotonic() + SECONDS_MAX
            while process.poll() is None and count(servers, topic) < wanted and time.monotonic() < deadline:
                time.sleep(0.5)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if not count(servers, topic):
        raise RuntimeError(f"{command[0]}: wrote nothing:\n{log.read_text()[-2_000:]}")


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """Run a broker of our own; yield its address."""
    stack = Stack(folder)
    try:
        yield stack.up(["kafka"], ports={"kafka": 0})[0].addresses["kafka"]
    finally:
        stack.down()


Job = Callable[[Path, str, str], list[str | Path]]
"""The command of a job, from a folder, the servers and the output topic; it reads the topic ``cards``."""


def ours(folder: Path, servers: str, topic: str) -> list[str | Path]:
    """Return our own job: exactly once, with its state in a folder."""
    path = folder / "card-windows.yaml"
    path.write_text(DETECTOR)
    return [
        sys.executable, "-m", "counterfoil", "run", "--detector", path, "--kind", "payment",
        "--input", f"kafka://{servers}/cards", "--output", f"kafka://{servers}/{topic}", "--features",
        "--state", folder / f"state-{topic}", "--until-end",
    ]  # fmt: skip


def theirs(script: str, *words: str) -> Job:
    """Return the job of another library."""

    def command(folder: Path, servers: str, topic: str) -> list[str | Path]:
        return [
            STREAMS,
            "-W",
            "ignore",
            "-m",
            f"benchmarks.streams.{script}",
            *words,
            servers,
            f"group-{topic}",
            "cards",
            topic,
            folder / topic,
        ]

    return command


CONTENDERS: tuple[tuple[str, str, Job, int, int, str], ...] = (
    ("quixstreams, written by hand over its state", "quix-state", theirs("quix", "state"), EVENTS, 1, ""),
    ("quixstreams, its own sliding windows", "quix-windows", theirs("quix", "windows"), 100_000, 2, "≥ 10"),
    ("faust, written by hand over its table", "faust", theirs("faust_job"), 40_000, 1, "≥ 10"),
)
"""Name, topic, job, how many messages it must write, how many of them an event takes, and the target.

Enough messages for some of quixstreams' checkpoints, one every five seconds, to lie between them.
"""


def main() -> list[Result]:
    """Let all do the same job through the same broker, one after the other."""
    payments = Payments.generate()
    expected = oracle(payments)
    with tempfile.TemporaryDirectory() as name, broker(Path(name) / "stack") as servers:
        folder = Path(name)
        admin = TopicAdmin(servers, {})
        forever = {"retention.ms": "-1"}
        # The broker's clock and not the writer's: events of quixstreams keep the time of their input.
        clocked = {**forever, "message.timestamp.type": "LogAppendTime"}
        outputs = [WantedTopic(each, PARTITIONS, 1, clocked) for each in ("ours", *(each[1] for each in CONTENDERS))]
        admin.apply(admin.plan([WantedTopic("cards", PARTITIONS, 1, forever), *outputs]))
        payments.produce(servers, "cards")

        def measured(job: Job, topic: str, wanted: int) -> float:
            run(job(folder, servers, topic), folder, servers, topic, wanted)
            output = read_output(servers, topic)
            output.check(expected, topic)
            return output.rate

        mine = measured(ours, "ours", 10 * EVENTS)
        note = "count, sum, mean over 1 h and 24 h a card, topic to topic, exactly once; equal to the oracle"
        results = [Result("Windows a card through Kafka", mine, "events/s", note=note)]
        if not STREAMS.exists():
            print("quixstreams and faust are not installed: make .venv-streams/.installed", file=sys.stderr)
            return results
        for label, topic, job, wanted, messages, target in CONTENDERS:
            rate = measured(job, topic, wanted) / messages
            results.append(Result(f"… against {label}", mine / rate, "×", target, f"there {rate:,.0f} events/s"))
    return results


if __name__ == "__main__":
    report(main)
