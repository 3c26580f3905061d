"""One topic to another with keys of its own: so that all events of an entity lie in one partition.

Exactly once: messages and the positions up to which they go are written in one transaction, so whatever ends this
leaves nothing half done, and the next run goes on. Whoever starts under the same group takes the work over, and the
former one's writes no longer count. Within a partition of the source, messages of one key keep their order; between
partitions there was none.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from counterfoil.connectors.kafka_settings import Patience, Troubles, client_settings, reason_of, require_kafka
from counterfoil.errors import ConfigurationError, CounterfoilError, InputError
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, Producer

    from counterfoil.connectors.message_keys import Keys

_MESSAGES = 10_000
"""Most messages of one transaction."""
_LOOK_SECONDS = 0.2
_SETUP_SECONDS, _CALL_SECONDS, _ANSWER_SECONDS = 15.0, 1.0, 30.0
_SESSION_MS = 10_000
_TRANSACTION_MS = 60_000
_CREATE_TIME = 1

_log = get_logger(__name__)

Place = tuple[str, int]


@dataclass(slots=True)
class Moved:
    """What was done.

    Parameters
    ----------
    messages
        Written to the other topic.
    keyless
        Of these, how many have no key: no field of that name, or they cannot be read.
    empty
        Messages without a value, which are no events and were left out.
    """

    messages: int = 0
    keyless: int = 0
    empty: int = 0


class Rekeying:
    """Moves messages, as a context manager.

    Parameters
    ----------
    servers
        ``host:port``, several with commas between them.
    source, target
        The topics.
    keys
        Returns the key of each message.
    group
        Under which name positions are kept.
    properties
        Settings of librdkafka.
    stopped
        Set from outside, it ends after the transaction at hand.

    Raises
    ------
    ConfigurationError
        If a setting is refused.
    InputError
        If a topic does not exist.
    StorageError
        If no broker answers.
    """

    def __init__(
        self,
        servers: str,
        source: str,
        target: str,
        keys: Keys,
        group: str,
        properties: Mapping[str, str],
        stopped: threading.Event,
    ) -> None:
        self._kafka = require_kafka()
        if source == target:
            raise ConfigurationError(f"TARGET: found {target}, which is read; allowed: another topic")
        self._source, self._target, self._keys, self._stopped = source, target, keys, stopped
        self._troubles = Troubles(servers)
        self.moved = Moved()
        name = f"counterfoil-rekey-{group}"
        common = {**client_settings(servers, properties, "--kafka"), **self._troubles.settings()}
        try:
            self._consumer: Consumer = self._kafka.Consumer(
                common
                | {
                    "group.id": group,
                    "group.instance.id": name,
                    "session.timeout.ms": _SESSION_MS,
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    "isolation.level": "read_committed",
                }
            )
            self._producer: Producer = self._kafka.Producer(
                {"partitioner": "murmur2_random", "compression.type": "lz4", "linger.ms": 5}
                | common
                | {"transactional.id": name, "transaction.timeout.ms": _TRANSACTION_MS}
            )
        except (self._kafka.KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"--kafka: {reason_of(error)}") from None
        self._ends = self._first_look()

    def __enter__(self) -> Rekeying:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def _first_look(self) -> dict[Place, int]:
        """Return the end of each partition of the source, once the cluster answers."""
        patience = Patience(self._troubles, _SETUP_SECONDS)
        while True:
            try:
                known = self._consumer.list_topics(timeout=_CALL_SECONDS).topics
                missing = [each for each in (self._source, self._target) if each not in known or known[each].error]
                if missing:
                    raise InputError(
                        f"kafka://{self._troubles.servers}: no topic {', '.join(missing)}; make it first: counterfoil"
                        f" topics apply kafka://{self._troubles.servers}/{','.join(missing)}"
                    )
                places = [(self._source, number) for number in known[self._source].partitions]
                return {place: self._end(*place) for place in places}
            except self._kafka.KafkaException as error:
                self._consumer.poll(0)
                if patience.over or self._stopped.is_set():
                    raise self._error("cannot be reached", error) from None

    def _end(self, topic: str, number: int) -> int:
        place = self._kafka.TopicPartition(topic, number)
        found = self._consumer.get_watermark_offsets(place, timeout=_CALL_SECONDS)
        if found is None:
            raise self._kafka.KafkaException(self._kafka.KafkaError(self._kafka.KafkaError._TIMED_OUT))
        return int(found[1])

    def run(self, until_end: bool) -> Moved:
        """Move messages until it is told to stop, or until what was the end when it began.

        Raises
        ------
        StorageError
            If a transaction does not come to its end; the next run goes on, and nothing is lost or doubled.
        """
        try:
            self._producer.init_transactions(_ANSWER_SECONDS)
            self._consumer.subscribe([self._source])
            while not self._stopped.is_set():
                messages = self._read()
                if messages:
                    self._move(messages)
                elif until_end and self._at_end():
                    break
        except self._kafka.KafkaException as error:
            raise self._error("stopped, and the next run goes on", error) from None
        return self.moved

    def _read(self) -> list[Message]:
        found = []
        for message in self._consumer.consume(_MESSAGES, _LOOK_SECONDS):
            error = message.error()
            if error is None:
                found.append(message)
            elif error.fatal() or self._troubles.hopeless:
                raise self._kafka.KafkaException(error)
            else:
                _log.warning("kafka", topic=message.topic(), reason=error.str())
        return found

    def _move(self, messages: Sequence[Message]) -> None:
        """Write messages with their new keys, and up to where they go, in one transaction."""
        values = [message.value() for message in messages]
        full = [place for place, value in enumerate(values) if value is not None]
        keys = self._keys_of([values[place] or b"" for place in full])
        next_offsets: dict[Place, int] = {}
        for message in messages:
            next_offsets[str(message.topic()), int(message.partition() or 0)] = int(message.offset() or 0) + 1
        self._producer.begin_transaction()
        for place, key in zip(full, keys, strict=True):
            self._write(messages[place], key)
        positions = [self._kafka.TopicPartition(*each, offset) for each, offset in next_offsets.items()]
        metadata = self._consumer.consumer_group_metadata()
        self._producer.send_offsets_to_transaction(positions, metadata, _ANSWER_SECONDS)
        self._producer.commit_transaction(_ANSWER_SECONDS)
        self.moved.messages += len(full)
        self.moved.keyless += sum(key is None for key in keys)
        self.moved.empty += len(messages) - len(full)

    def _write(self, message: Message, key: bytes | str | None) -> None:
        kind, stamp = message.timestamp()
        more: dict[str, Any] = {"timestamp": stamp} if kind == _CREATE_TIME else {}
        if (headers := message.headers()) is not None:
            more["headers"] = headers
        while True:
            try:
                self._producer.produce(self._target, message.value(), key, **more)
            except BufferError:
                self._producer.poll(_LOOK_SECONDS)
            else:
                return

    def _keys_of(self, values: list[bytes]) -> list[bytes | str | None]:
        lines = b"\n".join(values)
        if values and lines.count(b"\n") == len(values) - 1:
            return self._keys(lines)
        # A record that is written over several lines.
        return [self._keys(value.replace(b"\n", b" "))[0] if value else None for value in values]

    def _at_end(self) -> bool:
        """Return whether all that was there at first has been read: marks of transactions lie behind the last."""
        places = [self._kafka.TopicPartition(*place) for place in self._ends]
        mine = {(each.topic, each.partition) for each in self._consumer.assignment()}
        if mine != self._ends.keys():
            return False
        found = self._consumer.position(places)
        return all(
            each.offset >= self._ends[each.topic, each.partition] or self._nothing_left(each.topic, each.partition)
            for each in found
        )

    def _nothing_left(self, topic: str, number: int) -> bool:
        """Return whether the group has committed a position at the end, or there never was a message."""
        end = self._ends[topic, number]
        place = self._kafka.TopicPartition(topic, number)
        (found,) = self._consumer.committed([place], timeout=_ANSWER_SECONDS)
        low, _ = self._consumer.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
        return bool(max(found.offset, low) >= end)

    def _error(self, what: str, error: BaseException) -> CounterfoilError:
        return self._troubles.error(what, reason_of(error))
