"""What goes wrong between a run and its broker: each payment is decided once all the same, with the right state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.instance import Instance, Load, assert_exactly_once, compile_kernels, until_decided
from tests.integration.kafka import Broker

Start = Callable[..., Instance]
SESSION_MS = 3_000
TRANSACTION_MS = 4_000


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """See that all kernels are compiled: no test waits for that while a time-out of the cluster runs."""
    compile_kernels(tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def start(kafka: Broker, compiled: None, tmp_path: Path) -> Iterator[Start]:
    """Give what makes instances in folders of their own; none is left running."""
    made: list[Instance] = []

    def make(name: str, source: str, target: str, broker: Broker = kafka, **more: object) -> Instance:
        made.append(Instance(broker, source, target, tmp_path / name, **more))  # type: ignore[arg-type]
        return made[-1].start()

    yield make
    for each in made:
        each.ensure_ended()


def test_a_zombie_changes_nothing(kafka: Broker, start: Start) -> None:
    """It stands still past the time-outs of its session and its transaction, another takes over, and it comes back."""
    source, target = kafka.topic("in", partitions=2), kafka.topic("out", partitions=2)
    quick = {
        "settings": {"source": {"session_ms": SESSION_MS}},
        "properties": {"transaction.timeout.ms": str(TRANSACTION_MS), "socket.timeout.ms": str(TRANSACTION_MS)},
    }
    zombie = start("zombie", source, target, **quick)
    zombie.until_said("partitions assigned")
    load = Load(kafka, source, 2).start()
    until_decided(kafka, target, 1_000)
    other = start("other", source, target, **quick)
    other.until_said("partitions assigned")
    time.sleep(1)
    zombie.pause()
    before = load.sent
    time.sleep((SESSION_MS + TRANSACTION_MS) / 1000)
    until_decided(kafka, target, before + 1_000)
    zombie.go_on()
    time.sleep(3)
    sent = load.stop()
    until_decided(kafka, target, sent)
    zombie.stop()
    other.stop()
    assert_exactly_once(kafka, target, sent)
