"""The way of the batches: read and decode, decide, record, commit and write, each step in a thread of its own.

The steps hand batches on through bounded channels, so none runs away from the next. The decoder, the program and the
encoders release the interpreter's lock, so two cores are kept busy. While a commit waits for the disk, batches gather
behind it and share the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.connectors.partitions import PartitionedChunk
from counterfoil.events.kinds import Schema
from counterfoil.observability import Metrics, get_logger
from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.blocks import Work, make_block
from counterfoil.runtimes.local.channel import Channel, Closed
from counterfoil.runtimes.local.messages import OutgoingAlert, Parcel
from counterfoil.runtimes.local.model_serving import count_scores, decide
from counterfoil.runtimes.local.records import FAILED, HIT, Records
from counterfoil.runtimes.local.store import Group, NewBlock, SnapshotRecord

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig
    from counterfoil.decisions.decided import Decided
    from counterfoil.models.serving import ModelHost
    from counterfoil.runtimes.local.dead_letter_vault import DeadLetterVault
    from counterfoil.runtimes.local.delivery import CommitProgress, Delivery
    from counterfoil.runtimes.local.inputs import Input
    from counterfoil.runtimes.local.outputs import LineSink
    from counterfoil.runtimes.local.snapshots import PendingSnapshot, Snapshots
    from counterfoil.runtimes.local.store import Store
    from counterfoil.runtimes.plan import CompiledProgram

_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_TRIM_BLOCKS = 64
"""Dead letters are trimmed to their limit once in so many groups."""


_UNKNOWN_TOLD = 100
"""Most unknown fields that are named in the log."""

_log = get_logger(__name__)


@dataclass(slots=True)
class Done:
    """A decided batch on its way to the log."""

    work: Work
    decided: Decided
    decided_at: int


@dataclass(slots=True)
class Recorded:
    """A decided batch as the log will hold it."""

    done: Done
    block: NewBlock
    records: Records


@dataclass(slots=True)
class GroupReport:
    """What one commit made durable: for whoever looks on."""

    batches: list[Done]
    records: list[Records]
    alerts_opened: int
    latencies: list[tuple[float, int]]
    """Seconds from reading to durability, and how many events had it."""


@dataclass(slots=True)
class Parts:
    """What a pipeline works with."""

    store: Store
    program: CompiledProgram
    snapshots: Snapshots
    sinks: Sequence[LineSink]
    vault: DeadLetterVault
    limits: LimitsConfig
    metrics: Metrics
    clock: Callable[[], int]
    with_features: bool
    on_group: Callable[[GroupReport], None] | None = None
    delivery: Delivery | None = None
    """Where decisions go to topics."""
    progress: CommitProgress | None = None
    """Who wants to know what is durable, where partitions are read and no topic is written."""
    models: ModelHost | None = None
    """Hands over the versions of models that serve; None where the detector has none."""


class Pipeline:
    """Carries one input through a program.

    Parameters
    ----------
    parts
        What it works with; the program stands where the log ends.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._decoded: Channel[Work] = Channel(parts.limits.queue_batches)
        self._done: Channel[Done | SnapshotRecord] = Channel(parts.limits.queue_batches)
        self._recorded: Channel[Recorded | SnapshotRecord] = Channel(parts.limits.queue_batches)
        self._failure: BaseException | None = None
        self._committer = Committer(parts)
        self._unknown: set[str] = set()
        self._began: float | None = None
        self.seconds = 0.0
        """From the first records that were read until everything was committed and delivered."""

    def run(self, feed: Input, source: int, position_shift: int, stopped: Callable[[], bool]) -> None:
        """Carry everything that the input gives, until its end or until ``stopped``.

        Parameters
        ----------
        feed
            Source and decoder.
        source
            The source's number in the log.
        position_shift
            What is added to the source's positions, so that no two records of a log have the same.
        stopped
            Asked between batches.
        """
        delivery = self._parts.delivery

        def ended() -> bool:
            return stopped() or (delivery is not None and delivery.failure is not None)

        threads = [
            threading.Thread(target=self._guard, args=(self._read, feed, source, position_shift, ended)),
            threading.Thread(target=self._guard, args=(self._record,)),
            threading.Thread(target=self._guard, args=(self._commit,)),
        ]
        for thread in threads:
            thread.start()
        try:
            self._guard(self._decide)
        finally:
            self._decoded.abort()
            self._done.finish()
            for thread in threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        if self._began is not None:
            self.seconds = time.monotonic() - self._began

    def _guard(self, step: Callable[..., None], *arguments: object) -> None:
        """Run a step; when it fails, end all."""
        try:
            step(*arguments)
        except Closed:
            delivery = self._parts.delivery
            if delivery is not None and delivery.failure is not None:
                self._failure = self._failure or delivery.failure
                self._abort()
        except BaseException as error:
            self._failure = self._failure or error
            self._abort()

    def _abort(self) -> None:
        for channel in (self._decoded, self._done, self._recorded):
            channel.abort()

    # Read and decode -------------------------------------------------------------------------------------------------

    def _read(self, feed: Input, source: int, shift: int, stopped: Callable[[], bool]) -> None:
        metrics = self._parts.metrics
        while True:
            started = time.monotonic()
            chunk = feed.source.read(stopped)
            if chunk is None:
                break
            spans, produced = None, None
            if isinstance(chunk, PartitionedChunk):
                spans, produced = chunk.spans.shifted(shift), chunk.produced
            received = time.monotonic()
            self._began = self._began or received
            decoded = feed.decode(chunk, chunk.position + shift, self._parts.clock())
            self._tell_of(decoded.unknown_fields)
            metrics.step.labels("read").observe(received - started)
            metrics.step.labels("decode").observe(time.monotonic() - received)
            self._decoded.put(
                Work(
                    decoded.batch,
                    decoded.dead,
                    sum(decoded.unknown_fields.values()),
                    source,
                    chunk.position + shift,
                    chunk.next_position + shift,
                    chunk.next_position,
                    chunk.next_offset,
                    received,
                    spans=spans,
                    produced=produced,
                )
            )
        self._decoded.finish()

    def _tell_of(self, names: Mapping[str, int]) -> None:
        """Log each field that the detector does not know, once: it may be a misspelt one."""
        for name in names:
            if name not in self._unknown and len(self._unknown) < _UNKNOWN_TOLD:
                self._unknown.add(name)
                _log.info("field not known to the detector; ignored and counted", field=name)

    # Decide ----------------------------------------------------------------------------------------------------------

    def _decide(self) -> None:
        parts = self._parts
        blocks = parts.store.totals.blocks
        busy = 0.0
        # One thread's own time does not grow with what else the machine does; a restart has the machine to itself.
        worked = time.thread_time if parts.limits.threads == 1 else time.monotonic
        pending: Future[SnapshotRecord] | None = None
        with ThreadPoolExecutor(1) as pool:
            while (work := self._next_work()) is not None:
                started, begun = time.monotonic(), worked()
                decided = decide(parts.program, work.batch, parts.models)
                busy += worked() - begun
                parts.metrics.step.labels("decide").observe(time.monotonic() - started)
                self._done.put(Done(work, decided, parts.clock()))
                blocks += 1
                if pending is not None and pending.done():
                    self._done.put(pending.result())
                    pending = None
                if pending is None and parts.snapshots.due(busy):
                    pending = pool.submit(parts.snapshots.finish, self._snapshot(blocks))
                    busy = 0.0
            if pending is not None:
                self._done.put(pending.result())
        self._done.finish()

    def _next_work(self) -> Work | None:
        try:
            return self._decoded.get()
        except Closed:
            if self._failure is not None:
                raise
            return None

    def _snapshot(self, blocks: int) -> PendingSnapshot:
        program, metrics = self._parts.program, self._parts.metrics
        arrays = program.snapshot()
        metrics.state_bytes.set(sum(array.nbytes for array in arrays.values()))
        for entity, count in program.entities().items():
            metrics.entities.labels(entity).set(count)
        return self._parts.snapshots.write(arrays, blocks)

    # Record ----------------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        while True:
            try:
                item = self._done.get()
            except Closed:
                if self._failure is None:
                    self._recorded.finish()
                raise
            self._recorded.put(item if isinstance(item, SnapshotRecord) else recorded(item, self._parts))

    # Commit and write ------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        committer, limits = self._committer, self._parts.limits
        while True:
            try:
                item: Recorded | SnapshotRecord | None = self._recorded.get()
            except Closed:
                if self._failure is None:
                    committer.flush()
                    committer.close()
                raise
            while item is not None:
                if isinstance(item, SnapshotRecord):
                    # Its blocks came before it through the same channel: now they are committed.
                    committer.flush()
                    self._parts.snapshots.record(item)
                    self._parts.metrics.snapshots.inc()
                else:
                    committer.add(item)
                full = committer.events >= limits.commit_events or committer.age_ms >= limits.commit_ms
                item = None if full else self._recorded.take()
            committer.flush()


def recorded(done: Done, parts: Parts) -> Recorded:
    """Return a decided batch with the bytes that the log holds of it."""
    started = time.monotonic()
    block, records = make_block(
        done.work, done.decided, done.decided_at, parts.program, parts.vault, parts.with_features
    )
    parts.metrics.step.labels("record").observe(time.monotonic() - started)
    return Recorded(done, block, records)


@dataclass(slots=True)
class Committer:
    """Gathers recorded batches, commits them together and then writes them to the outputs.

    Parameters
    ----------
    parts
        What it works with.
    """

    parts: Parts
    events: int = 0
    _blocks: list[NewBlock] = field(default_factory=list)
    _records: list[Records] = field(default_factory=list)
    _batches: list[Done] = field(default_factory=list)
    _groups: int = 0

    @property
    def age_ms(self) -> float:
        """How long the oldest batch has waited, in milliseconds since it was read."""
        return 1000 * (time.monotonic() - self._batches[0].work.received) if self._batches else 0.0

    def add(self, new: Recorded) -> None:
        """Take a batch into the group."""
        self._blocks.append(new.block)
        self._records.append(new.records)
        self._batches.append(new.done)
        self.events += len(new.done.work.batch) + len(new.done.work.dead)

    def flush(self) -> None:
        """Commit the group, then write its decisions to the outputs."""
        if not self._blocks:
            return
        parts = self.parts
        metrics = parts.metrics
        metrics.journal_lag.set(self.events)
        started = time.monotonic()
        alerts = parts.store.totals.alerts
        outputs = [record for sink in parts.sinks if (record := sink.sync()) is not None]
        if parts.delivery is not None:
            outputs.append(parts.delivery.record())
        totals = parts.store.commit(Group(self._blocks, outputs))
        committed = time.monotonic()
        metrics.step.labels("commit").observe(committed - started)
        self._write(totals.blocks)
        self._send(totals.blocks)
        metrics.step.labels("output").observe(time.monotonic() - committed)
        self._groups += 1
        if self._groups % _TRIM_BLOCKS == 0:
            parts.store.trim_dead_letters(parts.limits.dead_letters)
        self._report(committed, totals.alerts - alerts)

    def close(self) -> None:
        """Sync the outputs and record that they are."""
        parts = self.parts
        outputs = [record for sink in parts.sinks if (record := sink.sync(now=True)) is not None]
        if parts.delivery is not None:
            parts.delivery.finish()
            outputs.append(parts.delivery.record())
        if parts.progress is not None:
            parts.progress.tell()
        parts.store.commit(Group(outputs=outputs))
        parts.store.trim_dead_letters(parts.limits.dead_letters)

    def _write(self, blocks: int) -> None:
        parts = self.parts
        first = blocks - len(self._blocks)
        for index, (block, records) in enumerate(zip(self._blocks, self._records, strict=True)):
            if not len(records):
                continue
            encoded: dict[bool, bytes] = {}
            for sink in parts.sinks:
                if sink.features not in encoded:
                    version = parts.program.detector.version
                    encoded[sink.features] = sink.encoder.encode(records, block.decided_at, version)
                sink.write(encoded[sink.features], first + index + 1)

    def _send(self, blocks: int) -> None:
        """Hand the group to the topics, or tell the source that it is durable."""
        parts = self.parts
        if parts.progress is not None:
            for block in self._blocks:
                moved = block.spans.next_offsets() if block.spans is not None else {}
                parts.progress.advance(block.next_record, moved)
        if parts.delivery is not None:
            first = blocks - len(self._blocks)
            parts.delivery.put([self._parcel(first + index, index) for index in range(len(self._blocks))])

    def _parcel(self, number: int, index: int) -> Parcel:
        block, work = self._blocks[index], self._batches[index].work
        alerts = []
        for update in block.alerts:
            known = self.parts.store.alert(update.alert)
            assert known is not None, "it was committed"
            content = {**known.content, "position": known.position}
            alerts.append(OutgoingAlert(update.alert, update.position, content))
        version = self.parts.program.detector.version
        places = (number, block.decided_at, version, block.next_record, block.spans, self._records[index])
        return Parcel(*places, alerts, block.dead_letters, work.received, work.produced)

    def _report(self, committed: float, alerts: int) -> None:
        parts = self.parts
        latencies = [(committed - done.work.received, len(done.work.batch)) for done in self._batches]
        for latency, _ in latencies:
            parts.metrics.latency.observe(latency)
        parts.metrics.group_events.observe(self.events)
        parts.metrics.alerts.inc(alerts)
        parts.metrics.journal_lag.set(0)
        for done in self._batches:
            count_batch(parts.metrics, parts.program.detector.schema, done, parts.program)
        report = GroupReport(self._batches, self._records, alerts, latencies)
        self._blocks, self._records, self._batches, self.events = [], [], [], 0
        if parts.on_group is not None:
            parts.on_group(report)


def count_batch(metrics: Metrics, schema: Schema, done: Done, program: CompiledProgram) -> None:
    """Add a batch to the metrics."""
    batch, decided = done.work.batch, done.decided
    metrics.batch_events.observe(len(batch))
    repeated = np.bincount(batch.kind[decided.duplicates], minlength=len(schema.kinds))
    received = np.bincount(batch.kind, minlength=len(schema.kinds)) - repeated
    counts = {}
    for index, kind in enumerate(schema.kinds):
        counts[kind.name, "decided" if kind.decide else "observed"] = int(received[index])
        counts[kind.name, "duplicate"] = int(repeated[index])
    metrics.count_events(counts)
    metrics.count_dead_letters([letter.reason.value for letter in done.work.dead])
    metrics.unknown_fields.inc(done.work.unknown_fields)
    metrics.late.inc(int(np.count_nonzero(decided.late)))
    for outcome, count in zip(_OUTCOMES, np.bincount(decided.outcome, minlength=len(_OUTCOMES)).tolist(), strict=True):
        metrics.decisions.labels(outcome).inc(count)
    if decided.models is not None:
        count_scores(metrics, decided.models)
    hits, failures = (decided.hits == HIT).sum(axis=1), (decided.hits == FAILED).sum(axis=1)
    for rule, hit, failure in zip(program.detector.rules, hits.tolist(), failures.tolist(), strict=True):
        if hit:
            metrics.rule_hits.labels(rule.name).inc(hit)
        if failure:
            metrics.rule_failures.labels(rule.name).inc(failure)
