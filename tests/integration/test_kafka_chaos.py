"""What goes wrong between a run and its broker: each payment is decided once all the same, with the right state.

``python -m tests.integration.chaos`` does it for longer, with time-outs as they are in production.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from counterfoil.stack import Stack
from tests.integration.instance import Instance, Load, assert_exactly_once, decided, until_decided
from tests.integration.kafka import Broker
from tests.integration.proxy import END_TXN, Proxy
from tests.integration.scenarios import QUICK, SESSION_MS, TRANSACTION_MS, Make, killed_broker, storm, zombie


@pytest.fixture
def make(kafka: Broker, compiled: None, tmp_path: Path) -> Iterator[Make]:
    """Give what makes instances in folders of their own; none is left running."""
    made: list[Instance] = []

    def instance(name: str, source: str, target: str, broker: Broker = kafka, **more: Any) -> Instance:
        made.append(Instance(broker, source, target, tmp_path / name, **more))
        return made[-1]

    yield instance
    for each in made:
        each.ensure_ended()


@pytest.fixture
def proxy(kafka: Broker) -> Iterator[Proxy]:
    proxy = Proxy(kafka.address)
    yield proxy
    proxy.close()


def test_a_zombie_changes_nothing(kafka: Broker, make: Make) -> None:
    """It stands still past the time-outs of its session and its transaction, another takes over, and it comes back."""
    zombie(kafka, make, (SESSION_MS + TRANSACTION_MS) / 1_000, **QUICK)


def test_a_broker_that_is_killed_under_load(own_stack: Callable[..., Stack], make: Make) -> None:
    stack = own_stack("kafka")
    killed_broker(stack, lambda: own_stack("kafka"), make, 2, **QUICK)


def test_a_topic_that_vanishes_for_some_seconds(kafka: Broker, proxy: Proxy, make: Make) -> None:
    """First what is read, then what is written is unknown to the cluster for a while."""
    source, target = kafka.topic("in", partitions=2), kafka.topic("out", partitions=2)
    seldom = {"topic.metadata.refresh.interval.ms": "300"}
    more = {"settings": {"source": {"properties": seldom}}, "properties": seldom}
    instance = make("one", source, target, Broker(proxy.address, kafka.name), **more).start()
    instance.until_said("partitions assigned")
    load = Load(kafka, source, 2, rate=1_000).start()
    for topic in (source, target):
        until_decided(kafka, target, load.sent)
        asked = proxy.hidden
        with proxy.hiding(topic):
            time.sleep(4)
        assert proxy.hidden > asked
    sent = load.stop()
    until_decided(kafka, target, sent)
    instance.stop()
    assert_exactly_once(kafka, target, sent)


def test_a_commit_whose_answer_comes_too_late(kafka: Broker, proxy: Proxy, make: Make) -> None:
    """The cluster has committed, and whoever asked for it has given up before it is told."""
    source, target = kafka.topic("in", partitions=2), kafka.topic("out", partitions=2)
    instance = make("one", source, target, Broker(proxy.address, kafka.name), **QUICK).start()
    instance.until_said("partitions assigned")
    load = Load(kafka, source, 2, rate=1_000).start()
    until_decided(kafka, target, 1_000)
    with proxy.holding(END_TXN):
        instance.until_said("transaction failed; reading back what was committed")
    assert proxy.held > 0
    sent = load.stop()
    until_decided(kafka, target, sent)
    instance.stop()
    assert_exactly_once(kafka, target, sent)


def test_instances_that_come_and_go(kafka: Broker, make: Make) -> None:
    """Four within a second, then each is bounced in turn: asked to end, or killed."""
    storm(kafka, make, 0, **QUICK)


def test_deleted_records_are_refused_with_their_range(kafka: Broker, make: Make) -> None:
    source, target = kafka.topic("in"), kafka.topic("out")
    load = Load(kafka, source, 1)
    load.send(1_000)
    instance = make("one", source, target)
    assert instance.start("--until-end").wait() == 0, instance.said()
    [first] = kafka.position(kafka.group(), source)
    load.send(1_000)
    kafka.delete_before(source, 0, first + 250)
    assert instance.start("--until-end").wait() == 1
    assert f"{source}/0: the records {first} to {first + 249} (250) were never decided" in instance.said()
    assert "--accept-gap" in instance.said()
    assert len(decided(kafka, target)) == 1_000
    assert instance.start("--until-end", "--accept-gap").wait() == 0, instance.said()
    found = decided(kafka, target)
    assert len(found) == 1_750
    assert {f"{number % 40}-{number // 40 + 1}" for number in range(1_250, 2_000)} <= set(found)


@pytest.mark.parametrize("count", [1, 3])
def test_a_crash_behind_a_commit_goes_on_with_the_next_record(kafka: Broker, make: Make, count: int) -> None:
    source, target = kafka.topic("in", partitions=2), kafka.topic("out")
    load = Load(kafka, source, 2)
    instance = make("one", source, target, settings={"limits": {"batch_events": 100, "commit_events": 100}})
    instance.start(fail_at=f"delivery.commit.after:{count}")
    instance.until_said("partitions assigned")
    while instance.process.poll() is None:
        load.send(100)
    assert instance.process.returncode == -signal.SIGKILL
    before = decided(kafka, target)
    positions = kafka.position(kafka.group(), source, [0, 1])
    assert sum(max(0, each) for each in positions) == len(before) > 0
    load.send(100)
    assert instance.start("--until-end").wait() == 0, instance.said()
    assert_exactly_once(kafka, target, load.sent)


def test_two_quick_restarts_before_the_first_commit(kafka: Broker, make: Make) -> None:
    source, target = kafka.topic("in", partitions=2), kafka.topic("out")
    load = Load(kafka, source, 2)
    load.send(1_000)
    instance = make("one", source, target)
    instance.start().until_said("partitions assigned", times=1)
    instance.kill()
    instance.start(fail_at="delivery.commit.before")
    assert instance.wait() == -signal.SIGKILL
    assert decided(kafka, target) == {} or kafka.position(kafka.group(), source, [0, 1]) != [-1001, -1001]
    assert instance.start("--until-end").wait() == 0, instance.said()
    assert_exactly_once(kafka, target, load.sent)
