"""Messages handed to librdkafka itself: what is written and refused, and that nothing is called which is not known."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any, cast

import confluent_kafka
import numpy as np
import pytest
from confluent_kafka import Producer

from counterfoil.connectors import kafka_native, kafka_sink
from counterfoil.connectors.kafka_native import DecisionLines, NativeFailure, NativeProducer, native_producer
from counterfoil.connectors.kafka_sink import KafkaWriter, WriteFailed

NOWHERE = "127.0.0.1:1"
QUEUE_FULL, TOO_LARGE = -184, 10
TOLD = 50
"""What a producer's length counts beside messages: that nobody listens is told now and then."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the client is called as its manual says")


def lines_of(count: int, first: int = 0) -> DecisionLines:
    """Return messages of different lengths, of which every third has no id."""
    values = [b'{"n":%d,"fill":"%s"}\n' % (number, b"x" * (number % 50)) for number in range(first, first + count)]
    names = [b"id-%d" % number for number in range(first, first + count)]
    places = [b"in/0/%d" % number for number in range(first, first + count)]
    without = np.arange(first, first + count) % 3 == 0
    identifiers, start, length = _heap(names)
    return DecisionLines(
        np.frombuffer(bytearray(b"".join(values)), np.uint8),
        np.cumsum([len(value) for value in values], dtype=np.int64),
        (identifiers, start, np.where(without, -1, length).astype(np.int32)),
        _heap(places),
    )


def _heap(texts: list[bytes]) -> kafka_native.Texts:
    length = np.array([len(text) for text in texts], np.int32)
    return np.frombuffer(bytearray(b"".join(texts)), np.uint8), np.cumsum(length, dtype=np.int64) - length, length


def producer_of(**more: Any) -> tuple[Producer, dict[str, Any]]:
    """Return a producer that reaches nobody, and its settings."""
    settings = {
        "bootstrap.servers": NOWHERE,
        "logger": _Silent(),
        **{name.replace("_", "."): each for name, each in more.items()},
    }
    producer = Producer(settings)
    return producer, settings


class _Silent:
    def log(self, *words: object) -> None:
        """Say nothing of a broker that is not there."""


def native_of(**more: Any) -> tuple[Producer, NativeProducer]:
    producer, settings = producer_of(**more)
    native = native_producer(confluent_kafka, producer, settings)
    assert native is not None
    return producer, native


def test_messages_are_taken_by_the_producer_that_was_named() -> None:
    (one, native), (other, _) = native_of(client_id="fraud (1)"), native_of()
    lines = lines_of(1_000)
    assert native.write("topic", lines, 10, 700) == 700
    assert native.write("topic", lines, 700, 700) == 700
    assert 690 <= len(one) < 690 + TOLD
    assert len(other) < TOLD
    for producer in (one, other):
        producer.purge()
        producer.flush(5)


def test_a_full_queue_takes_what_it_can() -> None:
    producer, native = native_of(queue_buffering_max_messages=100)
    lines = lines_of(250)
    assert native.write("topic", lines, 0, 250) == 100
    with pytest.raises(NativeFailure, match="full") as caught:
        native.write("topic", lines, 100, 250)
    assert caught.value.code == QUEUE_FULL == kafka_sink._QUEUE_FULL
    assert 100 <= len(producer) < 100 + TOLD
    producer.purge()
    producer.flush(5)


def test_a_message_that_is_too_large_is_told() -> None:
    producer, native = native_of(message_max_bytes=1_000)
    large = DecisionLines(np.full(2_000, 97, np.uint8), np.array([2_000]), _heap([b"a"]), _heap([b"in/0/1"]))
    with pytest.raises(NativeFailure, match="too large") as caught:
        native.write("topic", large, 0, 1)
    assert caught.value.code == TOO_LARGE
    assert len(producer) < TOLD


def test_rows_are_what_a_message_each_would_be() -> None:
    lines = lines_of(7)
    values, keys, sources = lines.rows(0, 7)
    assert values[3] == b'{"n":3,"fill":"xxx"}'
    assert keys == [b"in/0/0", b"id-1", b"id-2", b"in/0/3", b"id-4", b"id-5", b"in/0/6"]
    assert sources == [b"in/0/%d" % number for number in range(7)]
    assert lines.rows(2, 5) == (values[2:5], keys[2:5], sources[2:5])
    assert lines.rows(4, 4) == ([], [], [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("platform", "win32"),
        ("byteorder", "big"),
        ("implementation", SimpleNamespace(name="pypy")),
    ],
)
def test_another_platform_calls_the_client(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    producer, settings = producer_of()
    monkeypatch.setattr(sys, name, value)
    assert native_producer(confluent_kafka, producer, settings) is None


def test_another_version_calls_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    producer, settings = producer_of()
    cimpl = confluent_kafka.cimpl
    assert native_producer(SimpleNamespace(cimpl=cimpl, libversion=lambda: ("", 1)), producer, settings) is None
    monkeypatch.setattr(kafka_native, "_VERSIONS", range(0x01000000))
    assert native_producer(confluent_kafka, producer, settings) is None


def test_a_library_without_what_is_needed_is_not_called() -> None:
    producer, settings = producer_of()
    other = SimpleNamespace(cimpl=SimpleNamespace(__file__=importlib.import_module("_ctypes").__file__))
    assert native_producer(other, producer, settings) is None
    other.cimpl.__file__ = "/nowhere/librdkafka.so"
    assert native_producer(other, producer, settings) is None


@pytest.mark.parametrize("address", [0, 8, 0xDEAD_BEEF_0000, 2**64 - 8])
def test_an_address_that_holds_no_producer_is_never_called(monkeypatch: pytest.MonkeyPatch, address: int) -> None:
    producer, settings = producer_of()
    memory, seen = kafka_native._memory, []

    def instead(at: int, size: int) -> bytes:
        seen.append(at)
        return memory(at, size) if len(seen) > 1 else address.to_bytes(8, "little")

    monkeypatch.setattr(kafka_native, "_memory", instead)
    assert native_producer(confluent_kafka, producer, settings) is None
    assert seen[-1] == address


def test_a_client_that_is_no_producer_of_this_name_is_never_called() -> None:
    producer, settings = producer_of()
    assert native_producer(confluent_kafka, producer, {**settings, "client.id": "other"}) is None
    consumer = confluent_kafka.Consumer({"bootstrap.servers": NOWHERE, "group.id": "g", "logger": _Silent()})
    assert native_producer(confluent_kafka, cast("Producer", consumer), settings) is None
    consumer.close()


def test_one_that_was_closed_meanwhile_is_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = KafkaWriter(NOWHERE, {}, "log")
    producer, native = native_of()
    writer._producer, writer._native = producer, native
    writer.write_lines("topic", lines_of(5), 0, 5)
    assert 5 <= len(producer) < 5 + TOLD
    monkeypatch.setattr(native, "write", lambda *words: pytest.fail("it was entered"))
    real = writer._within

    class Closing:
        def __enter__(self) -> None:
            real.__enter__()
            writer._native = None

        def __exit__(self, *words: object) -> None:
            real.__exit__(None, None, None)

    monkeypatch.setattr(writer, "_within", Closing())
    with pytest.raises(WriteFailed, match="closed"):
        writer.write_lines("topic", lines_of(5), 0, 5)
    producer.purge()
    producer.flush(5)


def test_a_failure_of_a_message_fails_the_transaction() -> None:
    writer = KafkaWriter(NOWHERE, {}, "log")
    writer._producer, writer._native = native_of(message_max_bytes=1_000)
    wide = DecisionLines(np.full(2_000, 97, np.uint8), np.array([2_000]), _heap([b"a"]), _heap([b"in/0/1"]))
    with pytest.raises(WriteFailed, match="too large"):
        writer.write_lines("topic", wide, 0, 1)
