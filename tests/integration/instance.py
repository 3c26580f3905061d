"""Instances of `counterfoil run` between topics, and what they must have done in the end.

Each payment says which of its account's it is, so every decision shows by itself whether state was right: the count
that it carries is the number that stands in the payment's id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.integration.kafka import SECONDS, Broker

DEFINITION = """
detector: numbered
events:
  payment: {id: number, time: at, decide: true, fields: {account: id, amount: money}}
entities: {account: account}
features:
  - {name: seen, count: payment, by: account, over: 30d}
rules:
  - {name: tenth, when: "seen_30d % 10 = 0", then: review, score: 0.8, reason: "Number {seen_30d}."}
"""
ACCOUNTS = 40
_STEP_MS = 10
_START_MS = 1_767_225_600_000


def payment(number: int) -> tuple[int, bytes, bytes]:
    """Return the account, the key and the value of one payment."""
    account, nth = number % ACCOUNTS, number // ACCOUNTS + 1
    content = {"number": f"{account}-{nth}", "at": (_START_MS + number * _STEP_MS) / 1000, "account": account}
    return account, b"%d" % account, json.dumps({**content, "amount": 12.5}).encode()


def compile_kernels(folder: Path) -> None:
    """Decide a few payments of a file, so that every kernel is compiled and cached."""
    (folder / "detector.yaml").write_text(DEFINITION)
    (folder / "payments.ndjson").write_bytes(b"\n".join(payment(number)[2] for number in range(1_000)))
    words = [
        "run",
        "--detector",
        f"{folder}/detector.yaml",
        "--input",
        f"{folder}/payments.ndjson",
        "--kind",
        "payment",
    ]
    output = ["--output", f"{folder}/decisions.ndjson", "--features", "--quiet"]
    subprocess.run([sys.executable, "-m", "counterfoil", *words, *output], check=True, timeout=600)


@dataclass
class Load:
    """Payments that keep coming, all of one account in one partition.

    Parameters
    ----------
    broker, topic, partitions
        Where they go.
    rate
        How many a second.
    """

    broker: Broker
    topic: str
    partitions: int
    rate: float = 2_000
    sent: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _failed: list[object] = field(default_factory=list)

    def send(self, count: int) -> None:
        """Send some at once and wait until they are durable."""
        producer = self._producer()
        self._produce(producer, count)
        assert producer.flush(SECONDS) == 0
        assert not self._failed, self._failed[:3]

    def start(self) -> Load:
        """Send until told to stop."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> int:
        """Send no more, and return how many there are."""
        assert self._thread is not None
        self._stop.set()
        self._thread.join(2 * SECONDS)
        assert not self._thread.is_alive()
        assert not self._failed, self._failed[:3]
        return self.sent

    def _producer(self) -> Producer:
        # Idempotent, or a broker that is killed would make the test itself write twice.
        return Producer(self.broker.settings(enable_idempotence=True, linger_ms=5, delivery_timeout_ms=120_000))

    def _produce(self, producer: Producer, count: int) -> None:
        for number in range(self.sent, self.sent + count):
            account, key, value = payment(number)
            producer.produce(
                self.topic, value=value, key=key, partition=account % self.partitions, on_delivery=self._delivered
            )
        self.sent += count
        producer.poll(0)

    def _run(self) -> None:
        producer = self._producer()
        started = time.monotonic()
        while not self._stop.wait(0.02):
            self._produce(producer, max(0, int((time.monotonic() - started) * self.rate) - self.sent))
        if producer.flush(2 * SECONDS):
            self._failed.append("messages were not taken")

    def _delivered(self, error: object, message: object) -> None:
        del message
        if error is not None:
            self._failed.append(error)


class Instance:
    """A process that decides.

    Parameters
    ----------
    broker, source, target
        What it reads and writes.
    folder
        Its own folder: settings, state and log.
    group
        The group that it belongs to.
    properties
        What librdkafka is told when it writes.
    settings
        More settings, by section: ``source``, ``sink``, ``state``, ``limits``.
    """

    def __init__(
        self,
        broker: Broker,
        source: str,
        target: str,
        folder: Path,
        group: str = "group",
        properties: Mapping[str, str] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "detector.yaml").write_text(DEFINITION)
        self.folder = folder
        self.log = folder / "log"
        more = settings or {}
        own = {"retry.backoff.ms": "5", "retry.backoff.max.ms": "20", **(properties or {})}
        content = {
            "detector": str(folder / "detector.yaml"),
            "source": {
                "type": "kafka", "servers": broker.address, "topics": [{"name": source, "kind": "payment"}],
                "group": broker.group(group), "properties": {}, **more.get("source", {}),
            },
            "sinks": [
                {"type": "kafka", "topic": target, "features": True, "properties": own, **more.get("sink", {})}
            ],
            "state": {"folder": str(folder / "state"), **more.get("state", {})},
            "limits": {"commit_ms": 50, **more.get("limits", {})},
            "log": {"level": "info", "format": "json"},
        }  # fmt: skip
        # JSON is YAML.
        (folder / "run.yaml").write_text(json.dumps(content))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, fail_at: str = "") -> Instance:
        """Start it; what it says goes to its log.

        Parameters
        ----------
        arguments
            More options of the command.
        fail_at
            The fail-point at which it kills itself.
        """
        environment = {**os.environ, "COUNTERFOIL_FAIL_AT": fail_at} if fail_at else None
        words = [sys.executable, "-m", "counterfoil", "run", str(self.folder / "run.yaml"), "--quiet", *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(SECONDS)

    def pause(self) -> None:
        """Let it stand still, as a machine that swaps or a virtual one that is moved."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on as if nothing had been."""
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end, and see that it does in order."""
        self.process.terminate()
        assert self.process.wait(2 * SECONDS) == 0, self.said()

    def wait(self, seconds: float = 2 * SECONDS) -> int:
        """Wait until it ends by itself and return its exit code."""
        return self.process.wait(seconds)

    def ensure_ended(self) -> None:
        """Leave nothing running, whatever a test has come to."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(SECONDS)

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""

    def until_said(self, text: str, seconds: float = 2 * SECONDS, times: int = 1) -> None:
        """Wait until its log holds a text."""
        deadline = time.monotonic() + seconds
        while self.said().count(text) < times:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"never said {text!r}:\n{self.said()}"
            time.sleep(0.05)


def decided(broker: Broker, topic: str) -> dict[str, int]:
    """Return the count that each decision carries, by its id; each must be there once."""
    messages = broker.read(topic)
    counts = Counter(message.key() for message in messages)
    doubled = [(key, count) for key, count in counts.items() if count > 1]
    assert not doubled, f"{len(doubled)} decisions came more than once, such as {doubled[:5]}"
    found = {}
    for message in messages:
        content = json.loads(message.value() or b"")
        found[content["id"]] = content["features"]["seen_30d"]
    return found


def until_decided(broker: Broker, topic: str, count: int, seconds: float = 2 * SECONDS) -> None:
    """Wait until so many decisions were made."""
    deadline = time.monotonic() + seconds
    while True:
        # Marks of transactions count as messages here, so this only tells when it is worth looking.
        ends = broker.ends(topic)
        if sum(high - low for low, high in ends.values()) >= count:
            found = len(broker.read(topic))
            if found >= count:
                return
            assert time.monotonic() < deadline, f"{found} of {count} decisions were made within {seconds:g} s"
        assert time.monotonic() < deadline, f"fewer than {count} decisions were made within {seconds:g} s: {ends}"
        time.sleep(0.2)


def assert_exactly_once(broker: Broker, topic: str, sent: int) -> None:
    """Hold decisions against what was sent: each there once, and made with the right state."""
    found = decided(broker, topic)
    expected = {}
    for number in range(sent):
        account, nth = number % ACCOUNTS, number // ACCOUNTS + 1
        expected[f"{account}-{nth}"] = nth
    lost = [each for each in expected if each not in found]
    assert not lost, f"{len(lost)} of {sent} decisions are lost, such as {lost[:5]}"
    wrong = [(each, found[each]) for each, nth in expected.items() if found[each] != nth]
    assert not wrong, f"{len(wrong)} decisions were made with a wrong state, such as {wrong[:5]}"
    assert len(found) == sent
