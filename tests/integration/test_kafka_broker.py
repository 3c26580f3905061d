"""The broker that all other tests lean on: transactions, marks, positions, and a restart that keeps everything."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer, TopicPartition

from counterfoil.stack import Stack
from tests.integration.kafka import Broker


def test_what_is_written_is_read_in_order(kafka: Broker) -> None:
    topic = kafka.topic(partitions=2)
    written = [str(number).encode() for number in range(5_000)]
    assert kafka.produce(topic, written[:2_500], partition=0) == 2_500
    assert kafka.produce(topic, [(b"key", value) for value in written[2_500:]], partition=1) == 2_500
    read = kafka.read(topic)
    assert [message.value() for message in read] == written
    assert {message.key() for message in read} == {None, b"key"}


def test_an_aborted_transaction_is_not_seen(kafka: Broker) -> None:
    topic = kafka.topic()
    producer = Producer(kafka.settings(transactional_id=kafka.name))
    producer.init_transactions(30)
    for value, end in ((b"one", producer.commit_transaction), (b"two", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        # Else an abort throws it away before it was sent.
        producer.flush(30)
        end()
    assert kafka.values(topic) == [b"one"]
    assert kafka.values(topic, committed=False) == [b"one", b"two"]
    # A mark behind each.
    assert kafka.ends(topic) == {0: (0, 4)}


def test_a_broker_that_is_killed_keeps_what_it_has_said(own_stack: Callable[..., Stack]) -> None:
    stack = own_stack("kafka")
    [status] = [each for each in stack.status() if each.running]
    broker = Broker(status.addresses["kafka"])
    topic = broker.topic()
    broker.produce(topic, [b"before"])
    stack.kill("kafka")
    assert stack.process("kafka") == 0
    own_stack("kafka")
    [again] = [each for each in stack.status() if each.running]
    assert (again.addresses, again.pid != status.pid) == (status.addresses, True)
    broker.produce(topic, [b"after"])
    assert broker.values(topic) == [b"before", b"after"]


@pytest.mark.parametrize("committed", [True, False])
def test_an_empty_topic_has_nothing_to_read(kafka: Broker, committed: bool) -> None:
    topic = kafka.topic(partitions=3)
    started = time.monotonic()
    assert kafka.read(topic, committed=committed) == []
    assert time.monotonic() - started < 10
    assert kafka.position(kafka.group(), topic, [0, 1, 2]) == [TopicPartition(topic).offset] * 3
