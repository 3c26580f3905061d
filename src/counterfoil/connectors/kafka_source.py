"""Topics of Kafka as a source.

Exactly once: a position is the offset of each partition, and it is kept in our own commit record with the decisions.
What the group has committed only says up to where decisions were delivered. Records of transactions that were aborted
or are still open are no events.

Partitions are shared with other members of the group. The name of this member belongs to its state folder, so that one
that was killed takes its partitions over again at once, and two of one folder cannot both live.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from counterfoil.connectors.kafka_settings import Patience, Troubles, client_settings, reason_of, require_kafka
from counterfoil.connectors.kafka_start import Start
from counterfoil.connectors.partitions import Partition, PartitionedChunk, PartitionOwner, Spans, Words
from counterfoil.errors import ConfigurationError, InputError, StorageError
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

DEFAULTS: Mapping[str, Any] = {
    # Partition n of every topic goes to one instance: topics with the same keys and number of partitions stay together.
    "partition.assignment.strategy": "range",
    # A new partition is noticed after this long.
    "topic.metadata.refresh.interval.ms": 10_000,
    # Prefetched: at 100,000 events a second a second's worth. The pause when it is full is a second by default.
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 50,
    "max.partition.fetch.bytes": 4_194_304,
}
"""Settings of librdkafka unless the user says otherwise."""
_POLL_SECONDS = 0.1
"""How long a stop may go unnoticed while nothing comes."""
_SETUP_SECONDS = 20.0
_SETUP_CALL_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
"""How long one question to the cluster may take…"""
_ANSWERS_SECONDS = 180.0
"""…and how long it is asked again: an open transaction of another member ends by itself after its time-out."""
_DRAIN_SECONDS = 30.0
"""How long a partition is held back until what was read of it is delivered; others wait for it meanwhile."""
_LAG_SECONDS = 1.0
_RECORD_BYTES_FIRST = 512
"""A record's size, until some have been seen."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KafkaSourceSettings:
    """What a source is made with: see ``SourceConfig``."""

    servers: str
    topics: tuple[str, ...]
    group: str
    start: str = "earliest"
    until_end: bool = False
    accept_gap: bool = False
    linger_ms: int = 5
    session_ms: int = 10_000
    batch_events: int = 32_768
    batch_bytes: int = 8_388_608
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)


class Observer:
    """Is told what goes on in the group; the runtime turns it into metrics."""

    def rebalanced(self, partitions: int) -> None:
        """Take note of a new assignment."""

    def lag(self, lags: Mapping[Partition, int]) -> None:
        """Take note of how many records of each partition were not read yet."""

    def gap(self, records: int) -> None:
        """Take note of records that are lost."""


class KafkaSource:
    """Reads topics as a member of a group.

    Parameters
    ----------
    settings
        What to read, and how.
    observer
        Who wants to know of the group.

    Raises
    ------
    ConfigurationError
        If the client library is missing, or refuses a setting, or reading is to begin in a partition that there is not.
    StorageError
        If no broker answers, it refuses us, or a topic does not exist.
    """

    seekable = True

    def __init__(self, settings: KafkaSourceSettings, observer: Observer | None = None) -> None:
        self._kafka = require_kafka()
        self.settings = settings
        self.observer = observer or Observer()
        self._troubles = Troubles(settings.servers)
        self._start = Start.parse(settings.start)
        probe = self._consumer({"group.id": settings.group})
        try:
            self.partitions = self._existing(probe)
            self._start.check(self.partitions)
            self.cluster = str(probe.list_topics(settings.topics[0], timeout=_ANSWER_SECONDS).cluster_id or "")
        finally:
            probe.close()
        self.name = f"kafka cluster {self.cluster or settings.servers}"
        self._client: Consumer | None = None
        self._lock = threading.Lock()
        self._hints: dict[Partition, TopicPartition] = {}
        self._owner: PartitionOwner | None = None
        self._next: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}
        self._reached: dict[Partition, int] = {}
        self._assigned: set[Partition] = set()
        self._failure: BaseException | None = None
        self._position = 0
        self._record_bytes = float(_RECORD_BYTES_FIRST)
        self._looked = 0.0
        self.metadata: Any = None

    # What every source has -------------------------------------------------------------------------------------------

    def seek(self, position: int, offset: int) -> None:
        """Go on counting from a position; where each partition goes on is said by ``resume``."""
        del offset
        self._position = position

    def fingerprint(self, length: int | None) -> tuple[int, int]:
        """Return (0, 0): the cluster's id is part of the name."""
        del length
        return 0, 0

    def close(self) -> None:
        """Leave it to the next run of this member to go on; a second call does nothing."""
        self._commit_hints()
        client, self._client = self._client, None
        if client is not None:
            self._owner = None
            client.close()

    # Joining the group -----------------------------------------------------------------------------------------------

    def resume(self, positions: Mapping[Partition, int], member: str, owner: PartitionOwner) -> None:
        """Join the group.

        Parameters
        ----------
        positions
            Up to where the state includes each partition.
        member
            The name of this member: that of the state folder.
        owner
            Who carries the records on.
        """
        self._next = dict(positions)
        self._owner = owner
        settings = {"group.id": self.settings.group, "group.instance.id": member}
        self._client = self._consumer(settings)
        if self.settings.until_end:
            self._ends = {each: self._watermarks(self._client, each)[1] for each in self.partitions}
        self._client.subscribe(
            list(self.settings.topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, tuple[int | None, str]]:
        """Return up to where the group has delivered some partitions, and what was noted beside it.

        It waits until no transaction is open that may still change it.

        Raises
        ------
        StorageError
            If there is no answer.
        """
        wanted = [self._kafka.TopicPartition(*each) for each in partitions]
        if not wanted:
            return {}
        # By a client of its own: one client serves one thread at a time, and whoever waits while another one polls it
        # in a loop may wait for minutes.
        client = self._consumer({"group.id": self.settings.group})
        try:
            found = self._ask(lambda: client.committed(wanted, timeout=_ANSWER_SECONDS), "positions of the group")
        finally:
            client.close()
        for each in found:
            if each.error is not None:
                raise StorageError(f"{each.topic}/{each.partition}: its position cannot be read: {each.error.str()}")
        return {
            (each.topic, each.partition): (None if each.offset < 0 else each.offset, each.metadata or "")
            for each in found
        }

    def headers_since(self, topics: Sequence[str], milliseconds: int) -> Iterator[list[tuple[str, bytes]]]:
        """Yield the headers of every committed message of some topics, from a time on until their present end."""
        reader = self._consumer({"group.id": self.settings.group})
        try:
            known = reader.list_topics(timeout=_ANSWER_SECONDS).topics
            asked = [
                self._kafka.TopicPartition(topic, partition, milliseconds)
                for topic in topics
                if topic in known
                for partition in known[topic].partitions
            ]
            places = (
                [each for each in reader.offsets_for_times(asked, timeout=_ANSWER_SECONDS) if each.offset >= 0]
                if asked
                else []
            )
            left = {(each.topic, each.partition) for each in places}
            reader.assign(places)
            deadline = time.monotonic() + _ANSWERS_SECONDS
            while left:
                for message in reader.consume(10_000, 0.5):
                    if message.error() is None:
                        found = cast("list[tuple[str, str | bytes | None]]", message.headers() or [])
                        yield [(name, value) for name, value in found if isinstance(value, bytes)]
                    elif message.error().code() == self._kafka.KafkaError._PARTITION_EOF:  # type: ignore[union-attr]
                        left.discard((str(message.topic()), int(message.partition() or 0)))
                if time.monotonic() >= deadline:
                    raise self._troubles.error("the output topics cannot be read back")
        finally:
            reader.close()

    def commit(self, places: Sequence[TopicPartition]) -> None:
        """Commit positions of the group, sometime: they are a hint.

        The thread that reads does it, within the time of a poll: see ``committed``.
        """
        with self._lock:
            self._hints |= {(each.topic, each.partition): each for each in places}

    def _commit_hints(self) -> None:
        with self._lock:
            hints, self._hints = self._hints, {}
        if hints and self._client is not None:
            with contextlib.suppress(self._kafka.KafkaException):
                self._client.commit(offsets=list(hints.values()), asynchronous=True)

    def _consumer(self, settings: Mapping[str, Any]) -> Consumer:
        merged = {
            **DEFAULTS,
            "session.timeout.ms": self.settings.session_ms,
            "heartbeat.interval.ms": max(300, self.settings.session_ms // 4),
            **client_settings(self.settings.servers, self.settings.properties),
            **settings,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # A position that the cluster does not have is an error, never a jump.
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            **self._troubles.settings(),
        }
        try:
            return self._kafka.Consumer(merged)
        except (self._kafka.KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"source.properties: {reason_of(error)}") from None

    def _existing(self, client: Consumer) -> list[Partition]:
        """Return all partitions of the topics, once the cluster answers."""
        deadline = time.monotonic() + _SETUP_SECONDS
        patience = Patience(self._troubles, _SETUP_SECONDS)
        problem = ""
        while True:
            client.poll(0)
            try:
                known = client.list_topics(timeout=_SETUP_CALL_SECONDS).topics
            except self._kafka.KafkaException as error:
                problem = str(error.args[0].str())
                client.poll(0)
                if patience.over:
                    raise self._troubles.error("cannot be reached", problem) from None
                continue
            missing = [topic for topic in self.settings.topics if topic not in known or known[topic].error]
            if not missing:
                return [(topic, each) for topic in self.settings.topics for each in sorted(known[topic].partitions)]
            if time.monotonic() >= deadline - _SETUP_SECONDS + 5.0:
                raise InputError(
                    f"kafka://{self.settings.servers}: no topic {', '.join(missing)}; create it first"
                    " (counterfoil topics apply), or check the name"
                )
            time.sleep(0.2)

    # Assignments -----------------------------------------------------------------------------------------------------

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        with self._failures():
            self._take(client, [(each.topic, each.partition) for each in partitions])

    def _take(self, client: Consumer, mine: list[Partition]) -> None:
        committed = self.committed(mine)
        delivered = {each: offset for each, (offset, _) in committed.items()}
        known_topics = {topic for topic, _ in self._next} | {
            topic for (topic, _), offset in delivered.items() if offset is not None
        }
        places = []
        for each in mine:
            start = self._first(client, each, delivered[each], each[0] in known_topics)
            self._next[each] = start
            places.append(self._kafka.TopicPartition(*each, start))
        self._assigned = set(mine)
        self._reached = {}
        client.assign(places)
        # Taken here and kept: what is delivered under it counts only until the group has a new generation.
        self.metadata = client.consumer_group_metadata()
        self.observer.rebalanced(len(mine))
        _log.info("partitions assigned", partitions=len(mine), of=len(self.partitions))
        assert self._owner is not None
        self._owner.assigned(committed, {each: self._next[each] for each in mine})

    def _first(self, client: Consumer, partition: Partition, delivered: int | None, topic_known: bool) -> int:
        """Return where reading a partition begins."""
        low, high = self._watermarks(client, partition)
        known = self._next.get(partition)
        if known is None:
            # A partition that came to a topic which is read already was born meanwhile: nothing of it may be missed.
            start = (
                low if topic_known and delivered is None else _first_offset(self._start, client, partition, low, high)
            )
            # What others have not delivered is not passed over.
            known = start if delivered is None else min(start, delivered)
            if delivered is not None and delivered < low:
                return self._over_gap(partition, delivered, low)
            return max(known, low)
        if known < low:
            return self._over_gap(partition, known, low)
        if known > high:
            raise InputError(
                f"{partition[0]}/{partition[1]}: ends at offset {high}, but was read up to {known} before; the topic"
                " was made anew: choose another state folder, or give it another name"
            )
        return known

    def _over_gap(self, partition: Partition, first: int, low: int) -> int:
        """Go to the first record that is still there, or refuse to."""
        topic, number = partition
        if not self.settings.accept_gap:
            raise InputError(
                f"{topic}/{number}: the records {first} to {low - 1} ({low - first}) were never decided and the cluster"
                " has deleted them; to go on without them: --accept-gap (source.accept_gap)"
            )
        _log.warning("records lost", topic=topic, partition=number, first=first, last=low - 1, records=low - first)
        self.observer.gap(low - first)
        return low

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        del client, partitions
        with self._failures():
            if self._owner is not None and not self._owner.drain(self._position, _DRAIN_SECONDS):
                _log.warning("partitions given up before all of their decisions were delivered; the next owner does it")
            self._commit_hints()
            self._release()

    def _on_lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        del client
        with self._failures():
            _log.warning("partitions lost: the group has not heard of this instance", partitions=len(partitions))
            self._release()

    def _release(self) -> None:
        self._assigned = set()
        if self._owner is not None:
            self._owner.released()
            # The next owner, who may be us, replays from what is durable.
            self._owner.drain(self._position, _DRAIN_SECONDS)

    def _failures(self) -> _Kept:
        return _Kept(self)

    # Reading ---------------------------------------------------------------------------------------------------------

    def read(self, stopped: Callable[[], bool]) -> PartitionedChunk | None:
        """Return the next records; None at the end, where there is one, or once ``stopped`` says so."""
        assert self._client is not None, "resume comes first"
        while not stopped():
            self._commit_hints()
            messages = self._client.consume(1, _POLL_SECONDS)
            if messages:
                most = int(min(self.settings.batch_events, self.settings.batch_bytes / self._record_bytes)) - 1
                messages += self._client.consume(max(1, most), self.settings.linger_ms / 1000)
            self._check()
            chunk = self._chunk(messages) if messages else None
            self._tell_lag()
            if chunk is not None:
                return chunk
            if self._at_end():
                return None
        return None

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._troubles.fatal:
            raise StorageError(
                f"kafka: {self._troubles.fatal}; is another process running with a copy of this state folder?"
            )

    def _chunk(self, messages: list[Message]) -> PartitionedChunk | None:
        error = self._kafka.Message.error
        if any(map(error, messages)):
            faults = [each for each in messages if each.error() is not None]
            messages = [each for each in messages if each.error() is None]
            for each in faults:
                self._note(each)
        if not messages:
            return None
        ordered, partitions, which, offsets = self._ordered(messages)
        kept = self._fresh(partitions, which, offsets)
        if kept is not None:
            ordered, which, offsets = [ordered[index] for index in kept.tolist()], which[kept], offsets[kept]
            if not ordered:
                return None
        # A new run begins where the partition changes, or where offsets leave some out: those of transactions' markers
        # and of records that compaction or an abort took away. What was deleted never shows as such a leap: the broker
        # refuses to read below its low watermark.
        edges = np.flatnonzero((np.diff(which) != 0) | (np.diff(offsets) != 1)) + 1
        firsts = np.concatenate([np.zeros(1, np.int64), edges])
        first = self._position
        spans = Spans.of(partitions, which[firsts], firsts + first, offsets[firsts], first + len(ordered))
        self._next.update(spans.next_offsets())
        records = self._values(ordered, partitions, which)
        self._position += len(ordered)
        size = sum(len(value or b"") for _, values in records for value in values[:: max(1, len(values) // 100)])
        sampled = sum(len(values[:: max(1, len(values) // 100)]) for _, values in records)
        self._record_bytes = max(1.0, size / sampled)
        stamp = ordered[0].timestamp()[1]
        return PartitionedChunk(
            b"", first, self._position, self._position, records, spans, stamp / 1000 if stamp > 0 else None
        )

    def _ordered(self, messages: list[Message]) -> tuple[list[Message], list[Partition], Words, Words]:
        """Return the messages by topic and partition; within a partition they keep their order."""
        size = len(messages)
        # Once a message: nothing but the client's own functions is called here, one from the other in C.
        numbers = np.fromiter(map(self._kafka.Message.partition, messages), np.int64, size)
        offsets = np.fromiter(map(self._kafka.Message.offset, messages), np.int64, size)
        if len(self.settings.topics) > 1:
            index = {topic: place for place, topic in enumerate(self.settings.topics)}
            numbers |= np.fromiter([index[str(each.topic())] for each in messages], np.int64, size) << 32
        changes = np.diff(numbers)
        if (changes < 0).any():
            order = np.argsort(numbers, kind="stable")
            messages = [messages[place] for place in order.tolist()]
            numbers, offsets = numbers[order], offsets[order]
        keys, which = np.unique(numbers, return_inverse=True)
        partitions = [(self.settings.topics[key >> 32], key & 0xFFFFFFFF) for key in keys.tolist()]
        return messages, partitions, which.astype(np.int64, copy=False), offsets

    def _fresh(self, partitions: list[Partition], which: Words, offsets: Words) -> Words | None:
        """Return which messages are new; None for all.

        Around a new assignment messages of the former one may still come: of partitions that are gone, or once more.
        """
        least = np.array(
            [self._next[each] if each in self._assigned else np.iinfo(np.int64).max for each in partitions], np.int64
        )
        known = offsets < least[which]
        return np.flatnonzero(~known) if known.any() else None

    def _values(
        self, messages: list[Message], partitions: list[Partition], which: Words
    ) -> tuple[tuple[str, list[bytes | None]], ...]:
        """Return the values, by topic."""
        values: list[bytes | None] = [each.value() for each in messages]
        topics = [topic for topic, _ in partitions]
        if len(set(topics)) == 1:
            return ((topics[0], values),)
        ends = np.searchsorted(which, np.arange(len(partitions)), "right").tolist()
        found: dict[str, list[bytes | None]] = {}
        for topic, (start, end) in zip(topics, pairwise([0, *ends]), strict=True):
            found.setdefault(topic, []).extend(values[start:end])
        return tuple((topic, part) for topic, part in found.items() if part)

    def _note(self, message: Message) -> None:
        """Act on what the client library says in the place of a message."""
        error = message.error()
        assert error is not None
        codes = self._kafka.KafkaError
        code = error.code()
        partition = (str(message.topic()), int(message.partition() or 0))
        if code == codes._PARTITION_EOF:
            if partition in self._assigned:
                self._reached[partition] = int(message.offset() or 0)
        elif code in (codes._AUTO_OFFSET_RESET, codes.OFFSET_OUT_OF_RANGE):
            self._leave_hole(partition)
        elif error.fatal() or code in (codes.TOPIC_AUTHORIZATION_FAILED, codes.GROUP_AUTHORIZATION_FAILED):
            raise StorageError(f"kafka://{self.settings.servers}: {error.str()}")
        else:
            _log.warning("kafka", topic=message.topic(), reason=error.str())

    def _leave_hole(self, partition: Partition) -> None:
        """Go on where the cluster has deleted what comes next, or refuse to."""
        if partition not in self._assigned or self._client is None:
            return
        start = self._first(self._client, partition, None, topic_known=True)
        self._next[partition] = start
        self._client.seek(self._kafka.TopicPartition(*partition, start))

    # The end, and how far it is --------------------------------------------------------------------------------------

    def _at_end(self) -> bool:
        """Say whether everything that was there at the start, of the partitions that we own, has been read."""
        if not self._ends or not self._assigned:
            return False
        return all(
            max(self._next[each], self._reached.get(each, 0)) >= self._ends.get(each, 0) for each in self._assigned
        )

    def _tell_lag(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LAG_SECONDS or self._client is None:
            return
        self._looked = now
        lags = {}
        for each in self._assigned:
            known: Any = self._client.get_watermark_offsets(self._kafka.TopicPartition(*each), cached=True)
            if known is not None and known[1] >= 0:
                lags[each] = max(0, known[1] - max(self._next[each], self._reached.get(each, 0)))
        self.observer.lag(lags)

    def _watermarks(self, client: Consumer, partition: Partition) -> tuple[int, int]:
        place = self._kafka.TopicPartition(*partition)
        low, high = self._ask(
            lambda: client.get_watermark_offsets(place, timeout=_ANSWER_SECONDS), f"{partition[0]}/{partition[1]}"
        )
        return int(low), int(high)

    def _ask(self, question: Callable[[], Any], what: str) -> Any:
        """Ask the cluster until it answers, within a limit."""
        deadline = time.monotonic() + _ANSWERS_SECONDS
        while True:
            try:
                answer = question()
            except self._kafka.KafkaException as error:
                if self._troubles.hopeless or self._troubles.fatal or time.monotonic() >= deadline:
                    raise self._troubles.error(what, str(error.args[0].str())) from None
                time.sleep(0.1)
            else:
                if answer is not None:
                    return answer


class _Kept:
    """Keeps what goes wrong in a callback for the next ``read``: the client library would only print it."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            self._source._failure = self._source._failure or error
        return isinstance(error, Exception)


def _first_offset(start: Start, client: Consumer, partition: Partition, low: int, high: int) -> int:
    """Return where a partition begins that was never read."""
    if start.word:
        return low if start.word == "earliest" else high
    if start.places:
        wanted = start.places.get(partition, low)
        if not low <= wanted <= high:
            # Nothing is wrong with it where a file of places is older, or newer, than the topic's records.
            topic, number = partition
            told = {"topic": topic, "partition": number, "asked": wanted, "first": low, "end": high}
            _log.warning("--from names an offset that the partition does not have", **told)
        return min(max(wanted, low), high)
    kafka = require_kafka()
    asked = [kafka.TopicPartition(*partition, start.milliseconds)]
    found = client.offsets_for_times(asked, timeout=_ANSWER_SECONDS)[0].offset
    return int(found) if found >= 0 else high
