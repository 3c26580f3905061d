"""A real broker for tests: topics with names of their own, and the fewest lines to write to them and read them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

SECONDS = 30.0
"""How long anything may take before a test gives up."""
Pair = tuple[bytes | None, bytes]


def _led(admin: AdminClient, topic: str, partitions: int) -> bool:
    """Return whether every partition of a topic answers."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(topic, number): latest for number in range(partitions)}
    try:
        for future in admin.list_offsets(wanted, request_timeout=SECONDS).values():
            future.result(SECONDS)
    except KafkaException:
        return False
    return True


def _watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return where a partition begins and ends; a broker that was just started does not lead its partitions at once."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=SECONDS)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@dataclass(frozen=True)
class Broker:
    """A broker, as one test sees it.

    Parameters
    ----------
    address
        Its bootstrap address.
    name
        What its topics and groups are called after.
    """

    address: str
    name: str = field(default_factory=lambda: f"test-{uuid4().hex[:12]}")

    def settings(self, **more: str | int | bool) -> dict[str, str | int | float | bool]:
        """Return a client's settings; underscores stand for dots."""
        # Retried soon: a broker on the same machine is back within milliseconds.
        common: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.address,
            "retry.backoff.ms": 5,
            "retry.backoff.max.ms": 20,
        }
        return common | {name.replace("_", "."): value for name, value in more.items()}

    @property
    def admin(self) -> AdminClient:
        """A new administrating client."""
        return AdminClient({"bootstrap.servers": self.address})

    def url(self, *topics: str) -> str:
        """Return topics as an input or an output."""
        return f"kafka://{self.address}/{','.join(topics)}"

    def group(self, suffix: str = "group") -> str:
        """Return the name of a group that only this test has."""
        return f"{self.name}-{suffix}"

    def topic(self, suffix: str = "topic", partitions: int = 1, **config: str | int) -> str:
        """Make a topic that only this test has, and return its name; underscores in settings stand for dots."""
        name = f"{self.name}-{suffix}"
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin = self.admin
        admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1, config=settings)])[
            name
        ].result(SECONDS)
        deadline = time.monotonic() + SECONDS
        # Made is not yet led: whoever asks too early is told that there is no such topic.
        while not _led(admin, name, partitions):
            assert time.monotonic() < deadline, f"{name} was made and does not appear"
            time.sleep(0.02)
        return name

    def delete(self, *topics: str) -> None:
        """Remove topics."""
        # Kept by a name: a client that is collected answers no more.
        admin = self.admin
        for future in admin.delete_topics(list(topics)).values():
            future.result(SECONDS)

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Remove the records before an offset, as retention does."""
        admin = self.admin
        place = TopicPartition(topic, partition, offset)
        admin.delete_records([place])[place].result(SECONDS)

    def produce(self, topic: str, messages: Iterable[bytes | Pair], partition: int | None = None) -> int:
        """Write messages (values, or keys with values), wait until all are durable, and return how many."""
        producer = Producer(self.settings(linger_ms=20, queue_buffering_max_messages=1_000_000))
        failed: list[object] = []

        def delivered(error: object, message: Message) -> None:
            if error is not None:
                failed.append((error, message.topic()))

        count = 0
        for count, message in enumerate(messages, 1):
            key, value = message if isinstance(message, tuple) else (None, message)
            while True:
                try:
                    producer.produce(
                        topic,
                        value=value,
                        key=key,
                        on_delivery=delivered,
                        partition=-1 if partition is None else partition,
                    )
                    break
                except BufferError:
                    producer.poll(0.05)
            if count % 1_000 == 0:
                producer.poll(0)
        assert producer.flush(SECONDS) == 0, f"{topic}: messages were not taken within {SECONDS:g} s"
        assert not failed, failed[:3]
        return count

    def ends(self, topic: str, committed: bool = True) -> dict[int, tuple[int, int]]:
        """Return the low and the high watermark of each partition; the high one as a read_committed reader has it."""
        consumer = self._consumer(committed)
        try:
            partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
            return {number: _watermarks(consumer, topic, number) for number in partitions}
        finally:
            consumer.close()

    def read(self, *topics: str, committed: bool = True, seconds: float = SECONDS) -> list[Message]:
        """Return every message up to the end, topic by topic and partition by partition, in order.

        Parameters
        ----------
        topics
            Which.
        committed
            Whether messages of open and aborted transactions stay unseen.
        seconds
            When to give up: an open transaction holds up a reader of committed messages.
        """
        found: dict[tuple[str, int], list[Message]] = {}
        consumer = self._consumer(committed)
        try:
            wanted = self._not_empty(consumer, topics)
            consumer.assign([TopicPartition(topic, number, 0) for topic, number in wanted])
            deadline = time.monotonic() + seconds
            open_ends = set(wanted)
            while open_ends:
                assert time.monotonic() < deadline, (
                    f"{sorted(open_ends)} were not read to their end within {seconds:g} s"
                )
                for message in consumer.consume(10_000, 0.1):
                    if message.error() is not None:
                        raise KafkaException(message.error())
                    place = (str(message.topic()), int(message.partition() or 0))
                    found.setdefault(place, []).append(message)
                positions = consumer.position([TopicPartition(*place) for place in open_ends])
                # Behind the last message may lie marks of transactions: the position passes them, messages do not.
                open_ends -= {
                    (at.topic, at.partition) for at in positions if at.offset >= wanted[at.topic, at.partition]
                }
        finally:
            consumer.close()
        return [message for place in sorted(found) for message in found[place]]

    def values(self, *topics: str, committed: bool = True) -> list[bytes]:
        """Return the value of every message up to the end."""
        return [message.value() or b"" for message in self.read(*topics, committed=committed)]

    def position(self, group: str, topic: str, partitions: Sequence[int] = (0,)) -> list[int]:
        """Return what a group has committed; negative where it has not."""
        consumer = Consumer(self.settings(group_id=group))
        try:
            found = consumer.committed([TopicPartition(topic, number) for number in partitions], timeout=SECONDS)
            return [each.offset for each in found]
        finally:
            consumer.close()

    def _consumer(self, committed: bool) -> Consumer:
        level = "read_committed" if committed else "read_uncommitted"
        return Consumer(
            self.settings(
                group_id=f"{self.name}-reader", enable_auto_commit=False, auto_offset_reset="earliest",
                isolation_level=level, fetch_wait_max_ms=20,
            )
        )  # fmt: skip

    @staticmethod
    def _not_empty(consumer: Consumer, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """Return the partitions that hold something, each with its end."""
        found = {}
        for topic in topics:
            for number in consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions:
                low, high = _watermarks(consumer, topic, number)
                if high > low:
                    found[topic, number] = high
        return found
