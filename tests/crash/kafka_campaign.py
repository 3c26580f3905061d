"""Kill runs between topics, let them recover, and read what a reader of committed messages sees in the end.

``python -m tests.crash.kafka_campaign --rounds 500`` (``make crash-kafka ROUNDS=500``) is the long form of what ``make
test`` does with ten rounds. A round is 300,000 numbered payments through one state folder, killed several times.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from counterfoil.runtimes.local.failpoints import KAFKA_FAIL_POINTS
from tests.crash.campaign import CrashServer
from tests.crash.kafka_sample import FEATURES, PARTITIONS, Numbered, Numbers

EVENTS = 300_000
CRASHES = (2, 3, 3, 4)
"""How many times a run is killed before it may end."""
COMMIT_FAIL_POINTS = ("commit.before", "commit.blocks", "commit.counters", "commit.after", "snapshot.record.before")
NO_FAILURE = tuple(name for name in KAFKA_FAIL_POINTS if "reopen" not in name)
"""Fail-points that a run comes to without any trouble of the cluster."""


class _Decision(msgspec.Struct):
    id: str
    features: dict[str, float]


@dataclass(slots=True)
class Outcome:
    """What readers of a round's output saw."""

    lost: int
    doubled: int
    wrong: int
    """Decisions whose windows differ from the oracle."""


@dataclass
class KafkaCampaign:
    """Many crashes over one topic.

    Parameters
    ----------
    folder
        For the state folders.
    address
        The broker.
    seed
        Of the instants and the order of things.
    events
        How many payments.
    """

    folder: Path
    address: str
    seed: int = 1
    events: int = EVENTS
    rounds: int = 0
    kills: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    reached: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._name = f"crash-{uuid4().hex[:8]}"
        self._admin = AdminClient({"bootstrap.servers": self.address})
        self._server = CrashServer("tests.crash.kafka_server")
        self._numbered = Numbered.draw(self.events, self.seed)
        self._expected = self._numbered.oracle()
        self._seconds = 0.0

    def __enter__(self) -> KafkaCampaign:
        self._server.__enter__()
        self._source = self._topic("in", retention_ms=-1)
        self._fill(self._source)
        # Twice: the first run may have to wait for numba.
        self._seconds = 60.0
        for _ in range(2):
            self._seconds = self.round(crashes=0)
        self.rounds = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)
        self._admin.delete_topics([self._source])

    def round(self, crashes: int | None = None) -> float:
        """Kill a run some times, let it end, and look at what it wrote; return the seconds of its last start."""
        draw = self._draw
        number = f"{self.rounds}-{uuid4().hex[:6]}"
        where = Path(tempfile.mkdtemp(dir=self.folder))
        decisions, alerts = self._topic(f"decisions-{number}"), self._topic(f"alerts-{number}")
        command: dict[str, Any] = {
            "folder": str(where),
            "address": self.address,
            "topics": [self._source, decisions, alerts],
            "group": f"{self._name}-{number}",
            "limits": {"batch_events": draw.choice((2_000, 8_000, 32_768))},
        }
        planned = draw.choice(CRASHES) if crashes is None else crashes
        for _ in range(planned):
            # Each run gets its share of the way, so that most are killed on it and not spared at its end.
            self._kill(command, self._seconds / planned)
        result = self._server.run(**command)
        assert result["ended"] == "done", result
        found = self._read(decisions)
        self.rounds += 1
        self.lost += found.lost
        self.doubled += found.doubled
        self.wrong += found.wrong
        self._admin.delete_topics([decisions, alerts])
        shutil.rmtree(where)
        return float(result["seconds"])

    def _kill(self, command: dict[str, Any], seconds: float) -> None:
        draw = self._draw
        if draw.random() < 0.6:
            result = self._server.run(**command, kill_after=draw.uniform(0.0, seconds))
        else:
            name = draw.choice((*NO_FAILURE, *COMMIT_FAIL_POINTS))
            result = self._server.run(**command, fail_at=f"{name}:{draw.choice((1, 1, 2, 3, 5))}")
            if result["ended"] == "killed":
                self.reached.add(name)
        self.kills += result["ended"] == "killed"

    def _read(self, topic: str) -> Outcome:
        """Read a topic to its end as its users do, and hold it against what must be there."""
        times, features = self._decisions(topic)
        once = times == 1
        return Outcome(
            int(np.count_nonzero(times == 0)),
            int(times[times > 1].sum() - np.count_nonzero(times > 1)),
            int(np.count_nonzero((features != self._expected).any(axis=0) & once)),
        )

    def _decisions(self, topic: str) -> tuple[Numbers, Numbers]:
        """Return how often each payment was decided, and its features, money in cents."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": "unused",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        times = np.zeros(self.events, np.int64)
        features = np.zeros((len(FEATURES), self.events), np.int64)
        decode = msgspec.json.Decoder(_Decision).decode
        left, deadline = PARTITIONS, time.monotonic() + 120
        while left and time.monotonic() < deadline:
            for message in consumer.consume(20_000, 0.5):
                if message.error() is not None:
                    left -= 1
                    continue
                decision = decode(message.value() or b"")
                number = int(decision.id[1:])
                times[number] += 1
                found = decision.features
                features[:, number] = (
                    found["count_1h"],
                    found["count_24h"],
                    round(100 * found["spend_1h"]),
                    round(100 * found["spend_24h"]),
                )
        consumer.close()
        assert not left, f"{topic}: was not read to its end"
        return times, features

    def _topic(self, suffix: str, **config: str | int) -> str:
        name = f"{self._name}-{suffix}"
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        made = self._admin.create_topics([NewTopic(name, PARTITIONS, 1, config=settings)])
        made[name].result(30)
        return name

    def _fill(self, topic: str) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self.address,
                "linger.ms": 20,
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        for partition, key, value in self._numbered.messages():
            producer.produce(topic, value, key, partition=partition)
        assert producer.flush(60) == 0

    def told(self) -> str:
        """Return the numbers in words."""
        return (
            f"{self.rounds} rounds of {self.events:,} events, {self.kills} kills: {self.lost} lost, {self.doubled}"
            f" doubled, {self.wrong} windows that differ from the oracle"
        )


def main() -> None:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500, help="how many rounds")
    parser.add_argument("--events", type=int, default=EVENTS, help="payments of a round")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the instants; printed")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as address:
        print(f"seed {arguments.seed}", flush=True)  # noqa: T201
        with KafkaCampaign(Path(name), address, arguments.seed, arguments.events) as campaign:
            while campaign.rounds < arguments.rounds:
                campaign.round()
                if campaign.rounds % 10 == 0:
                    print(campaign.told(), flush=True)  # noqa: T201
        print(f"{campaign.told()}; {time.monotonic() - started:.0f} s")  # noqa: T201
        raise SystemExit(1 if campaign.lost or campaign.doubled or campaign.wrong else 0)


class broker:  # noqa: N801 - used as a context manager
    """A broker of this campaign alone, or the one that ``COUNTERFOIL_TEST_KAFKA`` names."""

    def __init__(self, folder: Path) -> None:
        from counterfoil.stack import Stack

        self._stack = Stack(folder / "stack")
        self._given = os.environ.get("COUNTERFOIL_TEST_KAFKA")

    def __enter__(self) -> str:
        if self._given:
            return self._given
        [started] = self._stack.up(["kafka"], ports={"kafka": 0})
        return started.addresses["kafka"]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._given:
            self._stack.down(["kafka"])


if __name__ == "__main__":
    main()
