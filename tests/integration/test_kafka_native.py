"""Decisions handed to librdkafka itself, and by the Python client: topics hold the same, and neither loses any."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from counterfoil.connectors import kafka_sink
from counterfoil.connectors.kafka_native import DecisionLines
from counterfoil.connectors.kafka_sink import KafkaWriter, WriteFailed
from tests.connectors.test_kafka_native import lines_of
from tests.integration.kafka import Broker

WAYS = ["native", "client"]


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give one of the ways, in which writers go from now on."""
    if request.param == "client":
        monkeypatch.setattr(kafka_sink, "native_producer", lambda *words: None)
    return str(request.param)


def writer_of(kafka: Broker, way: str, **more: str) -> KafkaWriter:
    writer = KafkaWriter(kafka.address, {name.replace("_", "."): each for name, each in more.items()}, kafka.name)
    writer.open()
    assert (writer._native is not None) == (way == "native" and sys.platform == "linux")
    return writer


def found(kafka: Broker, topic: str) -> list[tuple[Any, ...]]:
    return [(each.partition(), each.key(), each.value(), each.headers()) for each in kafka.read(topic)]


def test_topics_hold_the_same_whichever_way_was_taken(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_sink, "_SLICE", 700)
    lines = lines_of(3_000)
    values, keys, sources = lines.rows(0, 3_000)
    held = {}
    for way in WAYS:
        if way == "client":
            monkeypatch.setattr(kafka_sink, "native_producer", lambda *words: None)
        topic = kafka.topic(way, partitions=3)
        # A queue that is full again and again.
        writer = writer_of(kafka, way, queue_buffering_max_messages="500")
        writer.begin()
        writer.write_lines(topic, lines, 0, 1_234)
        writer.write_lines(topic, lines, 1_234, 3_000)
        writer.commit([], None)
        writer.close()
        held[way] = found(kafka, topic)
    assert held["native"] == held["client"]
    assert {(key, value) for _, key, value, _ in held["native"]} == set(zip(keys, values, strict=True))
    wanted = {key: [("id", key), ("source", source)] for key, source in zip(keys, sources, strict=True)}
    assert all(headers == wanted[key] for _, key, _, headers in held["native"])


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_a_message_that_is_not_delivered_commits_nothing(kafka: Broker, way: str) -> None:
    topic = kafka.topic(max_message_bytes=4_000)
    good = lines_of(10)
    name = (np.frombuffer(bytearray(b"large"), np.uint8), np.array([0]), np.array([5], np.int32))
    # Bytes that nothing makes smaller; librdkafka takes them, and the broker refuses them.
    noise = np.random.default_rng(1).integers(33, 127, 50_000).astype(np.uint8)
    noise[-1] = ord("\n")
    writer = writer_of(kafka, way)
    writer.begin()
    writer.write_lines(topic, good, 0, 10)
    writer.write_lines(topic, DecisionLines(noise, np.array([50_000]), name, name), 0, 1)
    with pytest.raises(WriteFailed):
        writer.commit([], None)
    writer.abandon()
    assert kafka.values(topic) == []
    again = writer_of(kafka, way)
    again.begin()
    again.write_lines(topic, good, 0, 10)
    again.commit([], None)
    again.close()
    assert kafka.values(topic) == good.rows(0, 10)[0]


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_outside_a_transaction_nothing_is_taken(kafka: Broker, way: str) -> None:
    writer = writer_of(kafka, way)
    with pytest.raises(WriteFailed, match=r"[Tt]ransaction|state"):
        writer.write_lines(kafka.topic(), lines_of(3), 0, 3)
    writer.close()


def test_without_transactions_the_client_tells_of_each_message(kafka: Broker) -> None:
    topic = kafka.topic()
    writer = KafkaWriter(kafka.address, {}, None)
    writer.open()
    assert writer._native is None
    lines = lines_of(200)
    writer.write_lines(topic, lines, 0, 200)
    writer.commit([], None)
    writer.close()
    assert kafka.values(topic) == lines.rows(0, 200)[0]
