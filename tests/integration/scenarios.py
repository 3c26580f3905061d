"""Scenarios that tests play quickly, and `python -m tests.integration.chaos` for as long as asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from counterfoil.stack import Stack
from tests.integration.instance import Instance, Load, assert_exactly_once, until_decided
from tests.integration.kafka import SECONDS, Broker

Make = Callable[..., Instance]
SESSION_MS = 3_000
TRANSACTION_MS = 4_000
QUICK: dict[str, Any] = {
    "settings": {"source": {"session_ms": SESSION_MS}},
    "properties": {"transaction.timeout.ms": str(TRANSACTION_MS), "socket.timeout.ms": str(TRANSACTION_MS)},
}
"""Time-outs so short that a test can wait for them."""


def zombie(kafka: Broker, make: Make, seconds: float, **more: Any) -> int:
    """Let one instance stand still while another takes over, then go on; return how many payments there were.

    Parameters
    ----------
    kafka, make
        The broker, and what makes instances.
    seconds
        How long it stands still: longer than its session and its transaction may last.
    more
        What instances are made with.
    """
    source, target = kafka.topic("zombie-in", partitions=2), kafka.topic("zombie-out", partitions=2)
    victim = make("victim", source, target, kafka, **more).start()
    victim.until_said("partitions assigned")
    load = Load(kafka, source, 2, rate=1_000).start()
    until_decided(kafka, target, 1_000)
    other = make("other", source, target, kafka, **more).start()
    other.until_said("partitions assigned")
    time.sleep(1)
    victim.pause()
    before = load.sent
    time.sleep(seconds)
    # The other has all of it, while nobody has told the victim.
    until_decided(kafka, target, before + 1_000)
    victim.go_on()
    time.sleep(3)
    sent = load.stop()
    until_decided(kafka, target, sent)
    victim.stop()
    other.stop()
    assert_exactly_once(kafka, target, sent)
    return sent


def storm(kafka: Broker, make: Make, seconds: float, **more: Any) -> int:
    """Start four instances within a second, bounce each in turn, and return how many payments there were.

    Every other one is killed instead of asked to end.

    Parameters
    ----------
    kafka, make, more
        As in `zombie`.
    seconds
        How long to go on after each was bounced once.
    """
    source, target = kafka.topic("storm-in", partitions=4), kafka.topic("storm-out", partitions=2)
    load = Load(kafka, source, 4, rate=500).start()
    instances = [make(f"storm-{number}", source, target, kafka, **more).start() for number in range(4)]
    for instance in instances:
        instance.until_said("partitions assigned")
    deadline = time.monotonic() + seconds
    bounced = 0
    while bounced < len(instances) or time.monotonic() < deadline:
        rounds, number = divmod(bounced, len(instances))
        instance = instances[number]
        # Each round kills those that the last one has asked.
        if (rounds + number) % 2:
            instance.kill()
        else:
            instance.stop()
        instance.start()
        bounced += 1
        time.sleep(1)
    sent = load.stop()
    until_decided(kafka, target, sent, 4 * SECONDS)
    for instance in instances:
        instance.stop()
    assert_exactly_once(kafka, target, sent)
    return sent


def killed_broker(stack: Stack, start_again: Callable[[], object], make: Make, kills: int, **more: Any) -> int:
    """Kill the broker under load and start it again, several times, and return how many payments there were.

    Parameters
    ----------
    stack, start_again
        The broker's, and what starts it.
    make, more
        As in `zombie`.
    kills
        How many times.
    """
    broker = Broker(next(each.addresses["kafka"] for each in stack.status() if each.running))
    source, target = broker.topic("in", partitions=2), broker.topic("out", partitions=2)
    instance = make("under-kills", source, target, broker, **more).start()
    instance.until_said("partitions assigned")
    load = Load(broker, source, 2, rate=1_000).start()
    for _ in range(kills):
        until_decided(broker, target, load.sent)
        stack.kill("kafka")
        time.sleep(1)
        start_again()
    sent = load.stop()
    until_decided(broker, target, sent, 4 * SECONDS)
    instance.stop()
    assert_exactly_once(broker, target, sent)
    return sent
