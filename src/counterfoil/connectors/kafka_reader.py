"""Messages of Kafka topics for somebody who looks on: no group, no positions kept, nothing that was not committed.

For events that are to be decided this is not the way: that source keeps positions. A reader may come and go, and
several see the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from counterfoil.connectors.kafka_settings import Patience, Troubles, client_settings, reason_of, require_kafka
from counterfoil.errors import ConfigurationError, CounterfoilError, InputError

if TYPE_CHECKING:
    from confluent_kafka import Message

_SETUP_SECONDS = 15.0
_CALL_SECONDS = 1.0
_LOOK_SECONDS = 0.2
"""How long a call of the library may keep a signal waiting."""
_MESSAGES = 1_000
"""Most messages of one call."""
_PARTITIONS_SECONDS = 10.0
"""How often it is looked for partitions that were added."""
_MARKS = 2
"""Positions that a message may take, with the mark at the end of its transaction."""

Place = tuple[str, int]
"""A topic and the number of a partition."""


@dataclass(frozen=True, slots=True)
class TopicMessage:
    """One message.

    Parameters
    ----------
    topic, partition, offset
        Where it stands.
    timestamp
        When it was written, in milliseconds since 1970.
    key, value
        What it holds; a value of None says that what the key names is gone.
    headers
        What was written beside it.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str | None:
        """Return a header's text; None without one."""
        return next((value.decode(errors="replace") for found, value in self.headers if found == name), None)


class TopicReader:
    """Reads topics, as a context manager.

    Parameters
    ----------
    servers
        ``host:port``, several with commas between them.
    topics
        Which.
    properties
        Settings of librdkafka.
    stopped
        Set from outside, it ends every wait.

    Attributes
    ----------
    whole
        Whether the last backlog began at the beginning of every partition.
    """

    def __init__(
        self, servers: str, topics: Sequence[str], properties: Mapping[str, str], stopped: threading.Event
    ) -> None:
        self._kafka = require_kafka()
        self.topics = tuple(topics)
        self._servers = servers
        self._stopped = stopped
        self._troubles = Troubles(servers)
        settings = {
            **client_settings(servers, properties, "--kafka"),
            # The library wants one; nobody joins it and nothing is committed to it.
            "group.id": f"counterfoil-reader-{uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            **self._troubles.settings(),
        }
        try:
            self._consumer = self._kafka.Consumer(settings)
        except (self._kafka.KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"--kafka: {reason_of(error)}") from None
        self._assigned: set[Place] = set()
        self.whole = True

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the brokers; a second call does nothing."""
        self._consumer.close()

    def backlog(self, last: int | None = None) -> list[TopicMessage]:
        """Return what is there, in the order in which it was written; then ``following`` goes on behind it.

        Parameters
        ----------
        last
            Begin about so many messages before the end of each partition; None for the beginning.

        Raises
        ------
        InputError
            If there is no such topic.
        StorageError
            If no broker answers.
        """
        # It comes from all partitions at once; only its own times put it in order.
        return sorted(
            self._until(self._begin(last)), key=lambda each: (each.timestamp, each.topic, each.partition, each.offset)
        )

    def following(self) -> Iterator[TopicMessage]:
        """Yield what comes behind the backlog, until ``stopped``."""
        looked = time.monotonic()
        while not self._stopped.is_set():
            yield from self._next()
            if time.monotonic() - looked >= _PARTITIONS_SECONDS:
                self._take_new_partitions()
                looked = time.monotonic()

    def _begin(self, last: int | None) -> dict[Place, int]:
        """Go to where reading begins; return the end of each partition that holds something."""
        starts, ends = [], {}
        self.whole = True
        for topic, number in sorted(self._partitions()):
            low, high = self._patient(lambda place=(topic, number): self._watermarks(*place))
            start = low if last is None else max(low, high - _MARKS * last)
            self.whole &= start == low
            starts.append(self._kafka.TopicPartition(topic, number, start))
            if high > start:
                ends[topic, number] = high
        self._consumer.assign(starts)
        self._assigned = {(each.topic, each.partition) for each in starts}
        return ends

    def _watermarks(self, topic: str, number: int) -> tuple[int, int]:
        place = self._kafka.TopicPartition(topic, number)
        found = self._consumer.get_watermark_offsets(place, timeout=_CALL_SECONDS)
        if found is None:
            raise self._kafka.KafkaException(self._kafka.KafkaError(self._kafka.KafkaError._TIMED_OUT))
        return int(found[0]), int(found[1])

    def _partitions(self) -> set[Place]:
        found = set()
        for topic in self.topics:
            metadata = self._patient(lambda name=topic: self._consumer.list_topics(name, timeout=_CALL_SECONDS))
            error = metadata.topics[topic].error
            if error is not None:
                raise InputError(
                    f"kafka://{self._servers}/{topic}: cannot be read: {error.str()}; give the name of a topic"
                )
            found |= {(topic, number) for number in metadata.topics[topic].partitions}
        return found

    def _patient(self, call: Any) -> Any:
        """Call until there is an answer, or no hope of one."""
        patience = Patience(self._troubles, _SETUP_SECONDS)
        while True:
            try:
                return call()
            except self._kafka.KafkaException as error:
                self._consumer.poll(0)
                if patience.over or self._stopped.is_set():
                    raise self._error("cannot be read", reason_of(error)) from None

    def _error(self, what: str, reason: str) -> CounterfoilError:
        return self._troubles.error(what, reason)

    def _until(self, ends: dict[Place, int]) -> Iterator[TopicMessage]:
        left = dict(ends)
        while left and not self._stopped.is_set():
            yield from self._next()
            places = [self._kafka.TopicPartition(*place) for place in left]
            # Behind the last message may lie marks of transactions: the position passes them, messages do not.
            for at in self._consumer.position(places):
                if at.offset >= left[at.topic, at.partition]:
                    del left[at.topic, at.partition]

    def _take_new_partitions(self) -> None:
        try:
            new = self._partitions() - self._assigned
        except CounterfoilError:
            # The brokers are away: that is told elsewhere, and they may come back.
            return
        if new:
            self._consumer.incremental_assign([self._kafka.TopicPartition(*place, 0) for place in sorted(new)])
            self._assigned |= new

    def _next(self) -> Iterator[TopicMessage]:
        # `consume` alone would wait for as many as it may return.
        first = self._consumer.poll(_LOOK_SECONDS)
        if first is None:
            return
        for message in (first, *self._consumer.consume(_MESSAGES, 0)):
            if message.error() is None:
                yield _plain(message)
            elif self._troubles.hopeless or message.error().fatal():
                raise self._error("cannot be read", str(message.error().str()))


def _plain(message: Message) -> TopicMessage:
    found: Any = message.headers() or ()
    headers = tuple((str(name), bytes(value or b"")) for name, value in found)
    return TopicMessage(
        str(message.topic()),
        int(message.partition() or 0),
        int(message.offset() or 0),
        int(message.timestamp()[1]),
        message.key(),
        message.value(),
        headers,
    )
