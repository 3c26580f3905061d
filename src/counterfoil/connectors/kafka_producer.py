"""Messages to a Kafka topic, many at a time: what the generator and ``produce`` write with.

While the process lives, each message is written once, and those of one key in order: the producer is idempotent and
librdkafka repeats what was not acknowledged. What could not be delivered within ``message.timeout.ms`` is counted and
told. Across a crash nothing is promised: whoever starts again writes everything again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from counterfoil.connectors.kafka_settings import Patience, Troubles, client_settings, reason_of, require_kafka
from counterfoil.errors import ConfigurationError, LimitError, StorageError
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

DEFAULTS: Mapping[str, Any] = {
    "enable.idempotence": True,
    # As Java's clients do it: the same key lies in the same partition whoever wrote it.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 10,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 131_072,
    # Successes are counted by what is left in the queue: asking for each would cost a call of Python a message.
    "delivery.report.only.error": True,
}
"""Settings of librdkafka unless the user says otherwise."""

FAILURES_MAX = 1_000
"""Messages that may fail before it gives up: a topic that refuses so many refuses all."""
_LOOK_SECONDS = 0.1
"""How long a call of the library may keep a signal waiting."""
_SETUP_SECONDS = 15.0
_SETUP_CALL_SECONDS = 1.0
_PASSING = frozenset({"LEADER_NOT_AVAILABLE", "_TIMED_OUT", "_TRANSPORT"})
"""What a topic says that will soon be there: it was made this moment, or its broker is starting."""
_FLUSH_SECONDS = 30.0
_QUEUE_FULL = -184
"""``KafkaError._QUEUE_FULL``."""

_log = get_logger(__name__)


class TopicProducer:
    """Writes to one topic, as a context manager; leaving it gives up what is still waiting.

    Parameters
    ----------
    servers
        ``host:port``, several with commas between them.
    topic
        The topic.
    properties
        Settings of librdkafka; they win over ``DEFAULTS``.
    stopped
        Set from outside, it ends every wait.

    Attributes
    ----------
    sent
        Messages that were taken.
    failures
        How many could not be delivered, by the reason.
    """

    def __init__(self, servers: str, topic: str, properties: Mapping[str, str], stopped: threading.Event) -> None:
        kafka = require_kafka()
        self.topic = topic
        self.sent = 0
        self.failures: Counter[str] = Counter()
        self._stopped = stopped
        self._troubles = Troubles(servers)
        settings = {**DEFAULTS, **client_settings(servers, properties, "--kafka"), **self._troubles.settings()}
        try:
            self._limit = max(1, int(settings["queue.buffering.max.messages"]))
            self._producer = kafka.Producer(settings)
        except (kafka.KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"--kafka: {reason_of(error)}") from None
        self._exception = kafka.KafkaException

    def setup(self) -> int:
        """Connect, and return how many partitions the topic has.

        Raises
        ------
        StorageError
            If no broker answers, or there is no such topic.
        """
        patience = Patience(self._troubles, _SETUP_SECONDS)
        reason = "no answer"
        while True:
            try:
                found = self._producer.list_topics(self.topic, timeout=_SETUP_CALL_SECONDS).topics[self.topic]
            except self._exception as error:
                reason = reason_of(error)
            else:
                if found.error is None:
                    return len(found.partitions)
                if found.error.name() not in _PASSING:
                    raise self._refused_topic(str(found.error.str()))
                reason = str(found.error.str())
            self._producer.poll(0)
            if patience.over or self._stopped.is_set():
                raise self._troubles.error("cannot be written", reason)

    def _refused_topic(self, reason: str) -> StorageError:
        servers, topic = self._troubles.servers, self.topic
        return StorageError(
            f"kafka://{servers}/{topic}: cannot be written: {reason}; "
            f"make it first: counterfoil topics apply kafka://{servers}/{topic}"
        )

    @property
    def arrived(self) -> int:
        """How many messages the brokers have acknowledged."""
        return self.sent - len(self._producer) - self.failed

    @property
    def failed(self) -> int:
        """How many messages could not be delivered, as far as is known."""
        return self.failures.total()

    def send(self, values: Sequence[bytes | memoryview], keys: Sequence[bytes | str | None] | None = None) -> None:
        """Take some messages; wait while the queue to the brokers is full.

        Parameters
        ----------
        values
            What each message holds.
        keys
            The key of each; None for none at all. Messages without a key are spread over the partitions.

        Raises
        ------
        LimitError
            If more than ``FAILURES_MAX`` messages have failed.
        """
        if keys is None:
            waiting: list[dict[str, Any]] = [{"value": value} for value in values]
        else:
            waiting = [{"value": value, "key": key} for value, key in zip(values, keys, strict=True)]
        while waiting:
            batch = waiting[: self._limit]
            taken = self._producer.produce_batch(self.topic, batch, on_delivery=self._on_delivery)
            self.sent += taken
            refused = [] if taken == len(batch) else self._refused(batch)
            waiting = refused + waiting[len(batch) :]
            self._producer.poll(_LOOK_SECONDS if refused else 0)
            self._check_failures()
            if waiting and self._stopped.is_set():
                return

    def flush(self) -> int:
        """Wait until everything has arrived or failed; return how many messages were given up.

        Once ``stopped`` is set it waits at most 30 seconds, else as long as librdkafka does (``message.timeout.ms``).
        """
        deadline: float | None = None
        while left := self._producer.flush(_LOOK_SECONDS):
            self._check_failures()
            if deadline is None and self._stopped.is_set():
                deadline = time.monotonic() + _FLUSH_SECONDS
            if deadline is not None and time.monotonic() >= deadline:
                self._give_up(left)
                return left
        return 0

    def close(self) -> None:
        """Give up what is still waiting."""
        if len(self._producer):
            self._give_up(len(self._producer))

    def __enter__(self) -> TopicProducer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refused(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages that found the queue full, in their order; count those that can never go."""
        again = []
        for message in batch:
            error = message.pop("_error", None)
            if error is None:
                continue
            if error.code() == _QUEUE_FULL:
                again.append(message)
            else:
                self.sent += 1
                self.failures[str(error.str())] += 1
        return again

    def _give_up(self, count: int) -> None:
        self._producer.purge()
        self._producer.flush(_LOOK_SECONDS)
        _log.warning("messages were given up", topic=self.topic, messages=count)

    def _check_failures(self) -> None:
        if self.failed > FAILURES_MAX:
            reasons = ", ".join(self.failures)
            raise LimitError(
                f"topic {self.topic}: more than {FAILURES_MAX:,} messages could not be delivered: {reasons}"
            )

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        del message
        if error is not None:
            self.failures[str(error.str())] += 1
