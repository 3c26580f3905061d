"""Topics of Kafka as a sink.

Exactly once: messages and the positions up to which they go are written in one transaction. A transaction whose end is
not known (the answer did not come) is never guessed at: the producer is thrown away, a new one ends what the old one
left, and what was committed is read back. Without transactions a message may come again after a crash, sooner.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from counterfoil.connectors.kafka_native import DecisionLines, NativeFailure, NativeProducer, native_producer
from counterfoil.connectors.kafka_settings import Patience, Troubles, client_settings, reason_of, require_kafka
from counterfoil.errors import ConfigurationError, StorageError
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from confluent_kafka import Producer, TopicPartition

DEFAULTS: Mapping[str, Any] = {
    "enable.idempotence": True,
    # As Java's clients do it: the same key lies in the same partition whoever wrote it.
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 5,
    "batch.size": 1_000_000,
    "batch.num.messages": 100_000,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 262_144,
    # The coordinator answers "concurrent transactions" for some milliseconds after each commit; librdkafka would wait
    # 100 ms before it asks again, and transactions back to back would take that long each.
    "retry.backoff.ms": 5,
    "retry.backoff.max.ms": 20,
    # A connection that answers nothing is given up before the transaction is.
    "socket.timeout.ms": 15_000,
    "delivery.report.only.error": True,
}
"""Settings of librdkafka unless the user says otherwise."""
TRANSACTION_MS = 30_000
"""After so long the cluster ends a transaction by itself: that is how long others wait for a dead instance's."""
_ANSWER_SECONDS = 20.0
_OPEN_SECONDS = 10.0
_SETUP_CALL_SECONDS = 1.0
_POLL_SECONDS = 0.02
_QUEUE_FULL = -184
_SLICE = 10_000
"""Messages that are handed over at once where nobody but librdkafka is asked: some milliseconds."""

_log = get_logger(__name__)

Header = tuple[str, bytes]
SOURCE, IDENTIFIER = "source", "id"
"""Names of headers."""


class WriteFailed(Exception):  # noqa: N818 - what happened, not a mistake of the program
    """A transaction did not come to its end: nothing is known of it until what was committed is read back."""

    def __init__(self, reason: str, in_doubt: bool = False) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt


class Fenced(Exception):  # noqa: N818
    """The group has another generation: its partitions may belong to others now."""


class KafkaWriter:
    """A producer, made anew after each failure.

    Parameters
    ----------
    servers
        The cluster.
    properties
        Settings of the user's.
    transactional_id
        The name under which the cluster knows this producer over restarts; None for no transactions.
    """

    def __init__(self, servers: str, properties: Mapping[str, str], transactional_id: str | None) -> None:
        self._kafka = require_kafka()
        self._servers = servers
        self._properties = dict(properties)
        self._id = transactional_id
        self._producer: Producer | None = None
        self._native: NativeProducer | None = None
        # Whoever closes a producer waits until nobody is within it by its own entrance.
        self._within = threading.Lock()
        self._failed = ""
        self._opened = 0
        self._reached = False
        self.troubles = Troubles(servers)
        codes = self._kafka.KafkaError
        self._fencing = {
            codes.ILLEGAL_GENERATION,
            codes.UNKNOWN_MEMBER_ID,
            codes.FENCED_INSTANCE_ID,
            codes.REBALANCE_IN_PROGRESS,
        }

    @property
    def transactional(self) -> bool:
        """Whether it writes in transactions."""
        return self._id is not None

    @property
    def is_open(self) -> bool:
        """Whether there is a producer: there is none after one was thrown away."""
        return self._producer is not None

    def open(self) -> None:
        """Make a producer; the cluster ends what a former one of the same name left open.

        Raises
        ------
        ConfigurationError
            If a setting is refused.
        WriteFailed
            If the cluster does not answer; it may be tried again.
        StorageError
            If nobody listens there, and nobody ever did.
        """
        self._failed = ""
        self._opened += 1
        settings = {
            **DEFAULTS,
            **client_settings(self._servers, self._properties, "sinks[].properties"),
            **self.troubles.settings(),
            "on_delivery": self._failures_of(self._opened),
        }
        if self._id is not None:
            settings["transactional.id"] = self._id
            settings.setdefault("transaction.timeout.ms", TRANSACTION_MS)
        try:
            self._producer = self._kafka.Producer(settings)
        except (self._kafka.KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"sinks[].properties: {reason_of(error)}") from None
        # Without transactions only a report of each message's delivery tells of failures, and those are the client's.
        self._native = native_producer(self._kafka, self._producer, settings) if self.transactional else None
        if not self._reached:
            self._reach(self._producer)
        if self._id is not None:
            self._call(lambda producer: producer.init_transactions(_OPEN_SECONDS))

    def _reach(self, producer: Producer) -> None:
        """Wait for the first answer: a wrong address is said soon, and not when transactions are given up."""
        patience = Patience(self.troubles, _OPEN_SECONDS)
        while not self._reached:
            try:
                producer.list_topics(timeout=_SETUP_CALL_SECONDS)
                self._reached = True
            except self._kafka.KafkaException as error:
                producer.poll(0)
                if patience.over and self.troubles.unreachable:
                    self.abandon()
                    raise self.troubles.error("cannot be reached", reason_of(error)) from None
                if patience.over:
                    raise WriteFailed(self.troubles.last or reason_of(error)) from None

    def check_topics(self, topics: Sequence[str]) -> None:
        """Refuse topics that do not exist.

        Raises
        ------
        StorageError
            If one does not, or there is no answer.
        """
        assert self._producer is not None
        try:
            known = self._producer.list_topics(timeout=_OPEN_SECONDS).topics
        except self._kafka.KafkaException as error:
            raise self.troubles.error("cannot be reached", reason_of(error)) from None
        missing = [topic for topic in topics if topic not in known or known[topic].error]
        if missing:
            raise StorageError(
                f"kafka://{self._servers}: no topic {', '.join(missing)}; create it first (counterfoil topics apply),"
                " or check the name"
            )

    def begin(self) -> None:
        """Begin a transaction, where there are any."""
        if self.transactional:
            self._call(lambda producer: producer.begin_transaction())

    def write(
        self,
        topic: str,
        values: Sequence[bytes],
        keys: Sequence[bytes],
        headers: Iterable[list[Header]],
    ) -> None:
        """Take messages; wait while the queue to the brokers is full."""
        producer = self._producer
        assert producer is not None
        produce = producer.produce
        for value, key, header in zip(values, keys, headers, strict=True):
            while True:
                try:
                    # By place, up to partition, reports, time and headers: names cost a quarter of the call.
                    produce(topic, value, key, -1, None, None, 0, header)  # type: ignore[arg-type]
                except BufferError:
                    producer.poll(_POLL_SECONDS)
                    self._check()
                    continue
                except self._kafka.KafkaException as error:
                    raise WriteFailed(reason_of(error)) from None
                break
        producer.poll(0)
        self._check()

    def write_lines(self, topic: str, lines: DecisionLines, first: int, stop: int) -> None:
        """Take the messages from ``first`` to ``stop`` (excluded); wait while the queue to the brokers is full."""
        producer, native = self._producer, self._native
        assert producer is not None
        if native is None:
            values, keys, sources = lines.rows(first, stop)
            self.write(topic, values, keys, source_headers(keys, sources))
            return
        done = first
        while done < stop:
            try:
                with self._within:
                    if self._native is not native:
                        raise WriteFailed("the producer was closed")
                    done = native.write(topic, lines, done, min(done + _SLICE, stop))
            except NativeFailure as error:
                if error.code != _QUEUE_FULL:
                    raise WriteFailed(str(error)) from None
                producer.poll(_POLL_SECONDS)
            else:
                producer.poll(0)
            self._check()

    def commit(self, positions: Sequence[TopicPartition], metadata: Any) -> None:
        """End the transaction: everything written counts from now on, together with the positions.

        Without transactions, wait until everything has arrived.

        Raises
        ------
        Fenced
            If the group says that the positions are no longer ours to move.
        WriteFailed
            If anything else goes wrong.
        """
        if not self.transactional:
            self._flush()
            return
        if positions:
            wanted = list(positions)
            self._call(lambda producer: producer.send_offsets_to_transaction(wanted, metadata, _ANSWER_SECONDS))
        self._call(lambda producer: producer.commit_transaction(_ANSWER_SECONDS), in_doubt=True)

    def abandon(self) -> None:
        """Throw the producer away, and what it has not delivered; a second call does nothing."""
        producer = self._taken()
        if producer is None:
            return
        with contextlib.suppress(self._kafka.KafkaException):
            producer.purge()
        # It may take as long as the cluster does not answer, and nobody needs to wait for it.
        threading.Thread(target=_close, args=(producer,), daemon=True).start()

    def close(self) -> None:
        """End in order; everything was committed."""
        producer = self._taken()
        if producer is not None:
            closing = threading.Thread(target=_close, args=(producer,), daemon=True)
            closing.start()
            closing.join(_OPEN_SECONDS)

    def _taken(self) -> Producer | None:
        """Return the producer, which nobody uses from now on."""
        with self._within:
            self._native = None
            producer, self._producer = self._producer, None
        return producer

    def _flush(self) -> None:
        producer = self._producer
        assert producer is not None
        left = producer.flush(_ANSWER_SECONDS)
        self._check()
        if left:
            raise WriteFailed(f"{left} messages have not arrived within {_ANSWER_SECONDS:.0f} s", in_doubt=True)

    def _call(self, step: Any, in_doubt: bool = False) -> None:
        """Do one step of a transaction."""
        assert self._producer is not None
        try:
            step(self._producer)
        except self._kafka.KafkaException as error:
            inner = error.args[0]
            if inner.code() in self._fencing:
                raise Fenced(reason_of(error)) from None
            # An error that asks for an abort says that nothing was committed.
            unknown = in_doubt and not inner.txn_requires_abort()
            raise WriteFailed(self.troubles.last or reason_of(error), unknown) from None
        self._check()

    def _check(self) -> None:
        if self._failed:
            raise WriteFailed(self._failed)

    def _failures_of(self, opened: int) -> Callable[[Any, Any], None]:
        """Return what notes failures of one producer: one that was thrown away tells of its own still."""

        def note(error: Any, message: Any) -> None:
            del message
            if error is not None and opened == self._opened:
                self._failed = self._failed or str(error.str())

        return note


def source_headers(keys: Iterable[bytes], sources: Iterable[bytes]) -> Iterator[list[Header]]:
    """Yield what heads messages that say what they are and where they come from."""
    # All of it in C: it runs once a message, between two calls of the client library.
    return map(list, zip(zip(repeat(IDENTIFIER), keys), zip(repeat(SOURCE), sources), strict=True))


def _close(producer: Producer) -> None:
    # One whose commit was not answered cannot abort either, and says so on standard error.
    warnings.filterwarnings("ignore", "Producer abort_transaction failed", RuntimeWarning)
    with contextlib.suppress(Exception):
        producer.close()
