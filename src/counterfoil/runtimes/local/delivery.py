"""From the log to topics: in order, and each decision once.

The log is written first, the topics after it. What is on its way is a queue of parcels, one for each block; the thread
that empties it writes as many as wait in one transaction, and with them up to where it goes. When anything goes wrong,
it asks the cluster what was committed and goes on from there: after a crash, a time-out or a new assignment alike.

A partition that other instances have delivered further than our log goes is only taken into the state: its decisions
are recorded and withheld. One that our log has decided further than was delivered is delivered from the log.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.connectors.kafka_sink import Fenced, KafkaWriter, WriteFailed
from counterfoil.observability import get_logger
from counterfoil.runtimes.local.channel import Closed
from counterfoil.runtimes.local.failpoints import reach
from counterfoil.runtimes.local.ledgers import Ledger, Standing, moved_offsets
from counterfoil.runtimes.local.messages import (
    LineMessages,
    Messages,
    OutgoingAlert,
    Parcel,
    Rows,
    alert_messages,
    decision_lines,
    letter_messages,
    packed_messages,
    source_name,
)
from counterfoil.runtimes.local.records import decode_records
from counterfoil.runtimes.local.store import OutputRecord, Store

if TYPE_CHECKING:
    from counterfoil.connectors.partitions import Partition
    from counterfoil.runtimes.local.kafka_metrics import KafkaMetrics
    from counterfoil.runtimes.local.lines import LineEncoder

TRANSACTION_EVENTS = 100_000
"""Most decisions of one transaction: a few a second at full speed."""
WAITING_EVENTS = 200_000
"""Decisions that may wait before the next commit of the log does."""
FINISH_SECONDS = 30.0
"""How long a run that is told to stop tries to deliver what it has; the next run delivers the rest."""
_BACKOFF_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)
_TOLD_ATTEMPTS = {0, 1, 3, 10, 30, 100}
_CLOCK_SLACK = 60_000_000
"""Microseconds that a broker's clock may be behind ours."""
_INT_MAX = np.iinfo(np.int64).max

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TopicSink:
    """One topic and what goes there."""

    topic: str
    content: str
    """``decisions``, ``alerts`` or ``dead-letters``."""
    encoder: LineEncoder
    packed: bool = False


@dataclass(slots=True)
class _Assignment:
    """Partitions that were taken over, and what is known of them."""

    standing: Standing
    reached: Mapping[Partition, int]


@dataclass(slots=True)
class _Queue:
    """What waits, under one lock."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    parcels: deque[Parcel] = field(default_factory=deque)
    events: int = 0
    assignment: _Assignment | None = None
    finished: bool = False
    failure: BaseException | None = None
    done: int = 0
    """Records of the source before this one are delivered, or were given up."""


class Delivery:
    """Delivers the log to topics, in a thread of its own.

    Parameters
    ----------
    folder
        The state folder.
    name
        What the log calls this output.
    writer, ledger
        Where messages go, and where it is written down how far.
    sinks
        The topics.
    metrics
        What is counted.
    retry_seconds
        How long to go on trying while the cluster takes nothing.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        writer: KafkaWriter,
        ledger: Ledger,
        sinks: Sequence[TopicSink],
        metrics: KafkaMetrics,
        retry_seconds: float,
    ) -> None:
        self.name = name
        self._folder = folder
        self._writer = writer
        self._ledger = ledger
        self._sinks = tuple(sinks)
        self._metrics = metrics
        self._retry_seconds = retry_seconds
        self._queue = _Queue()
        self._standing: Standing | None = None
        self._first_block = 0
        self._blocks = 0
        self._give_up_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    # The side of the runtime -----------------------------------------------------------------------------------------

    def start(self, first_block: int, blocks: int, record: int) -> None:
        """Connect, and begin.

        Parameters
        ----------
        first_block
            Where the output begins.
        blocks
            Up to which block it is known to be delivered.
        record
            The source's record that comes next.

        Raises
        ------
        StorageError
            If the cluster cannot be reached, refuses us, or a topic does not exist.
        """
        self._first_block, self._blocks = first_block, max(first_block, blocks)
        self._queue.done = record
        self._open_at_start()
        self._writer.check_topics([sink.topic for sink in self._sinks])
        if not self._ledger.by_partition:
            standing = Standing(blocks=self._blocks)
            try:
                self._ledger.read(standing)
            except WriteFailed as error:
                raise self._writer.troubles.error("cannot be read", str(error)) from None
            standing.metadata = self._ledger.generation()
            self._queue.assignment = _Assignment(standing, {})
        self._thread.start()

    def put(self, parcels: Sequence[Parcel]) -> None:
        """Take blocks that are durable; wait while too many are waiting.

        Raises
        ------
        Closed
            If the delivery has failed: ``failure`` says why.
        """
        queue = self._queue
        with queue.condition:
            while queue.events >= WAITING_EVENTS and queue.failure is None:
                queue.condition.wait()
            if queue.failure is not None:
                raise Closed
            queue.parcels.extend(parcels)
            queue.events += sum(len(parcel.records) for parcel in parcels)
            queue.condition.notify_all()

    @property
    def by_partition(self) -> bool:
        """Whether it is the positions of the source's group that it moves."""
        return self._ledger.by_partition

    @property
    def failure(self) -> BaseException | None:
        """Why it ended, where it failed."""
        return self._queue.failure

    def record(self) -> OutputRecord:
        """Return up to where it is known to be delivered, for the log."""
        return OutputRecord(self.name, False, self._first_block, self._blocks)

    def finish(self) -> None:
        """Deliver what waits, within a limit, and end.

        Raises
        ------
        StorageError
            If the delivery has failed.
        """
        queue = self._queue
        self._give_up_at = time.monotonic() + FINISH_SECONDS
        with queue.condition:
            queue.finished = True
            queue.condition.notify_all()
        if self._thread.ident is not None:
            self._thread.join(FINISH_SECONDS + 60.0)
        if queue.failure is not None:
            raise queue.failure

    def close(self) -> None:
        """Give connections free, whatever has become of the thread."""
        queue = self._queue
        self._give_up_at = self._give_up_at or time.monotonic()
        with queue.condition:
            queue.finished = True
            queue.parcels.clear()
            queue.condition.notify_all()
        if self._thread.ident is not None:
            self._thread.join(FINISH_SECONDS)
        self._writer.close()
        with contextlib.suppress(Exception):
            self._ledger.close()

    # The side of the source: see PartitionOwner ----------------------------------------------------------------------

    def drain(self, position: int, seconds: float) -> bool:
        """Wait until all records before an input position are delivered or given up."""
        queue = self._queue
        deadline = time.monotonic() + seconds
        with queue.condition:
            while queue.done < position:
                left = deadline - time.monotonic()
                if left <= 0 or queue.failure is not None:
                    return False
                queue.condition.wait(min(left, 0.5))
        return True

    def released(self) -> None:
        """Deliver nothing more until partitions are assigned again."""
        with self._queue.condition:
            self._standing = None
            self._queue.assignment = None
            self._queue.condition.notify_all()

    def assigned(self, delivered: Mapping[Partition, tuple[int | None, str]], reached: Mapping[Partition, int]) -> None:
        """Take over partitions."""
        standing = Standing(blocks=self._blocks, metadata=self._ledger.generation())
        self._ledger.take(standing, delivered)
        with self._queue.condition:
            self._queue.assignment = _Assignment(standing, dict(reached))
            self._queue.condition.notify_all()

    # The thread ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        queue = self._queue
        try:
            while (work := self._take()) is not None:
                if isinstance(work, _Assignment):
                    self._catch_up(work)
                else:
                    self._deliver(work)
                    self._mark(work)
        except BaseException as error:
            with queue.condition:
                queue.failure = error
                queue.condition.notify_all()

    def _take(self) -> _Assignment | list[Parcel] | None:
        """Return a new assignment, or what waits for one transaction; None at the end."""
        queue = self._queue
        with queue.condition:
            while not queue.parcels and queue.assignment is None and not queue.finished:
                queue.condition.wait()
            if queue.assignment is not None:
                assignment, queue.assignment = queue.assignment, None
                self._standing = assignment.standing
                return assignment
            if not queue.parcels:
                return None
            taken: list[Parcel] = []
            events = 0
            while queue.parcels and (not taken or events + len(queue.parcels[0].records) <= TRANSACTION_EVENTS):
                taken.append(queue.parcels.popleft())
                events += len(taken[-1].records)
            return taken

    def _mark(self, parcels: Sequence[Parcel]) -> None:
        """Take note that parcels are done with."""
        queue = self._queue
        with queue.condition:
            queue.events -= sum(len(parcel.records) for parcel in parcels)
            queue.done = max(queue.done, parcels[-1].next_record)
            queue.condition.notify_all()

    def _deliver(self, parcels: list[Parcel]) -> None:
        """Deliver some parcels, or give them up because they are not ours to deliver."""
        first_failure: float | None = None
        attempt = 0
        while (standing := self._standing) is not None:
            # Partitions may have gone while the last producer was thrown away, before there was a new one.
            if not self._writer.is_open and not self._reopen(standing, first_failure or time.monotonic()):
                return
            try:
                self._transact(parcels, standing)
            except Fenced as error:
                self._metrics.transactions.labels("fenced").inc()
                _log.warning("not delivered: the group has moved on", reason=str(error))
                self._writer.abandon()
                self._fence(standing)
                self._reopen(None, time.monotonic())
                return
            except WriteFailed as error:
                first_failure = first_failure or time.monotonic()
                self._metrics.transactions.labels("failed").inc()
                if error.in_doubt:
                    self._metrics.in_doubt.inc()
                _log.warning("transaction failed; reading back what was committed", reason=str(error), attempt=attempt)
                self._writer.abandon()
                time.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
                attempt += 1
            else:
                return

    def _fence(self, standing: Standing) -> None:
        """Deliver nothing more under this assignment."""
        with self._queue.condition:
            if self._standing is standing:
                self._standing = None
                self._queue.condition.notify_all()

    def _reopen(self, standing: Standing | None, since: float) -> bool:
        """Make a new producer and read back where it stands; return whether to go on."""
        attempt = 0
        while standing is None or self._standing is standing:
            try:
                reach("delivery.reopen.before")
                self._writer.open()
                reach("delivery.reopen.after")
                if standing is not None:
                    self._ledger.read(standing)
            except (WriteFailed, Fenced) as error:
                self._writer.abandon()
                now = time.monotonic()
                if self._give_up_at is not None and now >= self._give_up_at:
                    _log.warning("stopped before everything was delivered; the next run goes on", reason=str(error))
                    self._standing = None
                    return False
                # Whatever the reason: a broker that goes down fails handshakes, too.
                if now - since >= self._retry_seconds:
                    what = f"nothing could be delivered for {now - since:,.0f} s; the decision log is complete"
                    raise self._writer.troubles.error(what, str(error)) from None
                if attempt in _TOLD_ATTEMPTS:
                    _log.warning("still not delivered; trying again", reason=str(error), seconds=round(now - since, 1))
                time.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
                attempt += 1
            else:
                return True
        return False

    def _open_at_start(self) -> None:
        deadline = time.monotonic() + FINISH_SECONDS
        while True:
            try:
                self._writer.open()
            except (WriteFailed, Fenced) as error:
                self._writer.abandon()
                if time.monotonic() >= deadline or self._writer.troubles.hopeless:
                    raise self._writer.troubles.error("cannot be reached", str(error)) from None
                time.sleep(0.2)
            else:
                return

    def _transact(self, parcels: list[Parcel], standing: Standing) -> None:
        """Write parcels and up to where they go, in one transaction."""
        started = time.monotonic()
        moved = moved_offsets(parcels, standing) if self._ledger.by_partition else {}
        blocks = max(standing.blocks, parcels[-1].block + 1)
        outgoing = [
            (sink.topic, messages) for sink in self._sinks if (messages := self._messages(sink, parcels, standing))
        ]
        if not outgoing and not moved and (blocks == standing.blocks or self._ledger.by_partition):
            return
        reach("delivery.begin.before")
        self._writer.begin()
        for topic, messages in outgoing:
            half = len(messages) // 2
            self._write(topic, messages, 0, half)
            reach("delivery.write.middle")
            self._write(topic, messages, half, len(messages))
        reach("delivery.commit.before")
        entries = self._ledger.entries(standing, moved, blocks)
        self._writer.commit(entries, standing.metadata)
        if not self._writer.transactional:
            self._ledger.commit(entries)
        reach("delivery.commit.after")
        standing.delivered.update(moved)
        standing.blocks = blocks
        self._blocks = max(self._blocks, blocks)
        self._metrics.committed(time.monotonic() - started, parcels)
        for topic, messages in outgoing:
            self._metrics.messages.labels(topic).inc(len(messages))

    def _write(self, topic: str, messages: Messages | LineMessages, first: int, stop: int) -> None:
        """Write some of the messages of a transaction."""
        if isinstance(messages, LineMessages):
            for lines, start, end in messages.parts(first, stop):
                self._writer.write_lines(topic, lines, start, end)
        else:
            part = slice(first, stop)
            self._writer.write(topic, messages.values[part], messages.keys[part], messages.headers[part])

    # What is ours to deliver -----------------------------------------------------------------------------------------

    def _messages(self, sink: TopicSink, parcels: list[Parcel], standing: Standing) -> Messages | LineMessages:
        if sink.content == "alerts":
            return alert_messages(
                (alert, source_name(alert.position, parcel.spans))
                for parcel in parcels
                for alert in parcel.alerts
                if self._is_ours(parcel, alert.position, standing)
            )
        if sink.content == "dead-letters":
            return letter_messages(
                (letter, source_name(letter.position, parcel.spans))
                for parcel in parcels
                for letter in parcel.dead
                if self._is_ours(parcel, letter.position, standing)
            )
        packed, singles = Messages(), LineMessages()
        for parcel in parcels:
            rows = self._rows(parcel, standing)
            if rows is not None:
                self._metrics.withheld.inc(len(parcel.records) - len(rows))
            if not len(parcel.records) or (rows is not None and not len(rows)):
                continue
            if sink.packed:
                packed.extend(packed_messages(parcel, rows, sink.encoder))
            else:
                singles.lines.append(decision_lines(parcel, rows, sink.encoder))
        return packed if sink.packed else singles

    def _rows(self, parcel: Parcel, standing: Standing) -> Rows | None:
        """Return which decisions of a parcel are still to be delivered; None for all."""
        spans = parcel.spans
        if spans is None or not self._ledger.by_partition:
            return None if parcel.block >= standing.blocks else np.zeros(0, np.int64)
        least = np.array([standing.delivered.get(each, _INT_MAX) for each in spans.partitions], np.int64)
        if (spans.offset >= least[spans.which]).all():
            return None
        which, offsets = spans.places(parcel.records.position)
        return np.flatnonzero(offsets >= least[which])

    def _is_ours(self, parcel: Parcel, position: int, standing: Standing) -> bool:
        """Say whether what belongs to one input position is still to be delivered."""
        spans = parcel.spans
        if spans is None or not self._ledger.by_partition:
            return parcel.block >= standing.blocks
        topic, partition, offset = spans.place(position)
        return offset >= standing.delivered.get((topic, partition), _INT_MAX)

    # What the log has and the topics have not ------------------------------------------------------------------------

    def _catch_up(self, assignment: _Assignment) -> None:
        """Deliver from the log what was decided and not delivered."""
        standing = assignment.standing
        store = Store(self._folder, read_only=True)
        try:
            self._search(store, assignment)
            lower = self._lower(store, assignment)
            for parcels in _gathered(stored_parcels(store, lower, store.totals.blocks)):
                if self._standing is not standing:
                    return
                self._deliver(parcels)
        finally:
            store.close()

    def _search(self, store: Store, assignment: _Assignment) -> None:
        """Ask the topics themselves where the group knows nothing of partitions that our log has decided."""
        standing = assignment.standing
        known = {partition for source in store.source_names() for partition in store.positions(source)}
        forgotten = standing.unknown & known
        if not forgotten:
            return
        _log.info("the group has forgotten its positions; reading back the topics", partitions=len(forgotten))
        block, left = min(self._blocks, store.totals.blocks), set(forgotten)
        while left and block > self._first_block:
            block -= 1
            spans = store.spans(block)
            for partition, offset in (spans.next_offsets() if spans is not None else {}).items():
                if partition in left:
                    standing.delivered[partition] = offset
                    left.discard(partition)
        if self._blocks < store.totals.blocks:
            since = store.header(self._blocks).decided_at - _CLOCK_SLACK
            self._ledger.search(standing, [sink.topic for sink in self._sinks], since)

    def _lower(self, store: Store, assignment: _Assignment) -> int:
        """Return the first block that may have something to deliver."""
        standing = assignment.standing
        wanted = {
            each: offset for each, offset in standing.delivered.items() if offset < assignment.reached.get(each, 0)
        }
        block = store.totals.blocks
        while block > self._first_block and (wanted or block > standing.blocks):
            block -= 1
            spans = store.spans(block)
            for each, offset in (spans.first_offsets() if spans is not None else {}).items():
                if each in wanted and offset <= wanted[each]:
                    del wanted[each]
        return block


def stored_parcels(store: Store, start: int, stop: int) -> Iterator[Parcel]:
    """Yield the blocks of the log from ``start`` to ``stop`` (excluded) as parcels."""
    for header in store.headers(start, stop):
        alerts = [
            OutgoingAlert(each.alert, each.position, {**each.content, "position": each.position})
            for each in store.alerts_of(header.block)
        ]
        yield Parcel(
            header.block,
            header.decided_at,
            store.version_at(header.block),
            header.next_record,
            store.spans(header.block),
            decode_records(store.decisions(header)),
            alerts,
            list(store.dead_letters(block=header.block)) if header.dead else [],
        )


def _gathered(parcels: Iterator[Parcel]) -> Iterator[list[Parcel]]:
    """Yield parcels, as many at a time as one transaction may hold."""
    taken: list[Parcel] = []
    events = 0
    for parcel in parcels:
        if taken and events + len(parcel.records) > TRANSACTION_EVENTS:
            yield taken
            taken, events = [], 0
        taken.append(parcel)
        events += len(parcel.records)
    if taken:
        yield taken


class CommitProgress:
    """The owner of partitions where no topic takes what is decided: only the log has to be durable.

    Parameters
    ----------
    commit
        Tells the group up to where.
    record
        The source's record that comes next.
    """

    def __init__(self, commit: Callable[[Mapping[Partition, int]], None], record: int) -> None:
        self._commit = commit
        self._condition = threading.Condition()
        self._done = record
        self._moved: dict[Partition, int] = {}
        self._owned: set[Partition] = set()
        self._told = 0.0

    def advance(self, record: int, moved: Mapping[Partition, int]) -> None:
        """Take note of what is durable; tell the group now and then."""
        with self._condition:
            self._done = max(self._done, record)
            self._moved |= moved
            self._condition.notify_all()
        if time.monotonic() - self._told >= 1.0:
            self.tell()

    def tell(self) -> None:
        """Tell the group up to where the log is durable."""
        self._told = time.monotonic()
        moved, self._moved = self._moved, {}
        self._commit({each: offset for each, offset in moved.items() if each in self._owned})

    def drain(self, position: int, seconds: float) -> bool:
        """Wait until all records before an input position are durable."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while self._done < position:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._condition.wait(left)
        self.tell()
        return True

    def released(self) -> None:
        """Tell the group nothing more of what was owned."""
        self._owned = set()

    def assigned(self, delivered: Mapping[Partition, tuple[int | None, str]], reached: Mapping[Partition, int]) -> None:
        """Take over partitions."""
        del reached
        self._owned = set(delivered)
