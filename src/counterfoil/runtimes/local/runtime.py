"""The runtime for one process: durable, resumable, and the same after a stop as after a crash."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from counterfoil.config import RunConfig, SinkConfig
from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.destinations import check_run
from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector, write_detector
from counterfoil.errors import InputError, StorageError
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.events.record_batch import RecordBatch, RecordDecoder
from counterfoil.observability import Metrics, get_logger
from counterfoil.program import Program
from counterfoil.rules.definition import Outcome
from counterfoil.runtimes.local.allocation import keep_freed_memory
from counterfoil.runtimes.local.blocks import Work
from counterfoil.runtimes.local.dead_letter_vault import DeadLetterVault
from counterfoil.runtimes.local.failpoints import reach
from counterfoil.runtimes.local.inputs import Input, open_input
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.lock import FolderLock
from counterfoil.runtimes.local.model_serving import decide, host_of, model_files
from counterfoil.runtimes.local.outputs import STANDARD_OUTPUT, LineSink, export_parquet
from counterfoil.runtimes.local.pipeline import Committer, Done, GroupReport, Parts, Pipeline, recorded
from counterfoil.runtimes.local.records import decode_records, finding
from counterfoil.runtimes.local.recovery import Recovery, recover
from counterfoil.runtimes.local.snapshots import Snapshots, layout_of
from counterfoil.runtimes.local.store import Epoch, SourceRecord, Store, StoredDeadLetter, Totals
from counterfoil.runtimes.local.summary import LatencyTally, RefusalTally, RunSummary
from counterfoil.runtimes.local.tables import decision_frames
from counterfoil.runtimes.local.values import time_text
from counterfoil.runtimes.plan import CompiledProgram
from counterfoil.runtimes.special_kernels import Specialising
from counterfoil.signals import clean_stop

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.events.decoding import Decoded
    from counterfoil.models.serving import ModelHost
    from counterfoil.runtimes.local.delivery import CommitProgress, Delivery
    from counterfoil.runtimes.local.drift_watch import DriftWatch
    from counterfoil.runtimes.local.kafka_metrics import KafkaMetrics

CALLS = "calls"
"""The source that single events come from."""
RETRIES = "dead letters"
"""The source that dead letters come from when they are retried."""
_OUTCOMES = tuple(outcome.value for outcome in Outcome)
FIXED_CLOCK_VARIABLE = "COUNTERFOIL_FIXED_CLOCK"
"""Microseconds since 1970 that every decision is stamped with: for tests that compare files byte by byte."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a single event."""

    result: str
    """``decided``, ``observed``, ``duplicate`` or ``dead``."""
    decision: dict[str, Any] | None = None
    """The decision; a duplicate's is that of the event it repeats."""
    reason: str | None = None
    """Why it is a dead letter."""


def system_clock() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def default_clock() -> Callable[[], int]:
    """Return the system's clock, or the one that stands still where a test says so."""
    fixed = os.environ.get(FIXED_CLOCK_VARIABLE)
    return (lambda: int(fixed)) if fixed else system_clock


class LocalRuntime:
    """One detector over one state folder, as a context manager.

    Entering it locks the folder, verifies the log, restores the newest good snapshot, replays what came after it and
    brings the outputs to where the log stands.

    Parameters
    ----------
    config
        The settings.
    detector
        The detector; None to load the one that the settings name.
    program
        A fresh program of it; None to compile one.
    clock
        Microseconds since 1970, for ``decided_at`` and for events from the future; None for the system's.
    metrics
        Where numbers go; None for new ones.
    on_group
        Called in another thread after each commit.

    Examples
    --------
    >>> from counterfoil.config import SourceConfig, SinkConfig
    >>> config = RunConfig(
    ...     detector="payments", source=SourceConfig(path="day.ndjson"), sinks=(SinkConfig(path="decisions.ndjson"),)
    ... )
    >>> with LocalRuntime(config) as runtime:  # doctest: +SKIP
    ...     summary = runtime.run()
    """

    def __init__(
        self,
        config: RunConfig,
        detector: Detector | None = None,
        program: CompiledProgram | None = None,
        clock: Callable[[], int] | None = None,
        metrics: Metrics | None = None,
        on_group: Callable[[GroupReport], None] | None = None,
    ) -> None:
        self.config = config
        self.key = IdentityKey(config.secret.value.encode()) if config.secret else IdentityKey()
        self.detector = detector or load_detector(config.detector, dict(config.parameters))
        self.metrics = metrics or Metrics()
        self.clock = clock or default_clock()
        self.program: CompiledProgram = (
            program
            if program is not None
            else Program(self.detector, self.key, config.limits.shards, config.limits.threads)
        )
        self.vault = DeadLetterVault(self.detector.schema, self.key, config.limits.dead_letter_bytes)
        self.recovery = Recovery(0, 0, 0, 0.0)
        self._on_group = on_group
        self._latency = LatencyTally()
        self._refusals = RefusalTally()
        self._sinks: list[LineSink] = []
        self._exports: list[tuple[ParquetOutput, bool]] = []
        self._decoder: JsonDecoder | None = None
        self._calls: SourceRecord | None = None
        self._astray = 0
        self._busy = 0.0
        self._kafka: KafkaMetrics | None = None
        self._models: ModelHost | None = None
        self._drift: DriftWatch | None = None
        self._delivery: Delivery | None = None
        self._progress: CommitProgress | None = None
        self._specialising: Specialising | None = None

    # Opening and closing ---------------------------------------------------------------------------------------------

    def __enter__(self) -> LocalRuntime:
        started = time.monotonic()
        check_run(self.config)
        self._temporary = self.config.state.folder is None
        self.folder = Path(self.config.state.folder or tempfile.mkdtemp(prefix="counterfoil-"))
        try:
            # It holds a bank's customers: nobody else looks in.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{self.folder}: cannot be made: {reason}; choose another state folder") from error
        self._lock = FolderLock(self.folder)
        try:
            self.store = Store(self.folder)
            try:
                self._open(started)
            except BaseException:
                self._close_models()
                self.store.close()
                raise
        except BaseException:
            self._lock.release()
            self._drop_temporary()
            raise
        return self

    def _open(self, started: float) -> None:
        state = self.config.state
        layout = layout_of(self.config.limits.shards)
        self.snapshots = Snapshots(self.store, state.snapshots_kept, state.replay_seconds, state.snapshot_share, layout)
        self._check_folder()
        self.snapshots.clear()
        files = model_files(self.folder, self.detector)
        first = self.store.epochs()[-1].first_block
        if isinstance(self.program, Program):
            self._specialising = Specialising(self.program, self.config.limits.specialise_events)
        self.recovery = recover(self.store, self.snapshots, self.program, first, files)
        if self.detector.models:
            from counterfoil.runtimes.local.drift_watch import DriftWatch  # noqa: PLC0415 - as models are imported

            settings = self.config.models
            self._models = host_of(self.detector, self.program.models, settings, self.folder, self.metrics)
            self._models.start()
            self._drift = DriftWatch(self.metrics.registry, self._models)
        self.metrics.recovery.set(time.monotonic() - started)

    def _check_folder(self) -> None:
        """See to it that the folder belongs to this key and this detector."""
        fingerprint = str(self.key.hash("counterfoil"))
        meta = self.store.meta()
        if meta.setdefault("key", fingerprint) != fingerprint:
            raise StorageError(f"{self.folder}: was made with another secret; give that one, or another state folder")
        self.store.put_meta({"key": fingerprint})
        epochs = self.store.epochs()
        if epochs and epochs[-1].version == self.detector.version:
            return
        if epochs and not self.config.state.accept_detector:
            raise StorageError(
                f"{self.folder}: belongs to detector {epochs[-1].version}, not {self.detector.version}; choose another"
                " state folder, or accept the new detector: then its state is made anew from the journal and past"
                " decisions stand (state.accept_detector, --accept-detector)"
            )
        self.snapshots.forget()
        self.store.put_epoch(Epoch(self.store.totals.blocks, self.detector.version, write_detector(self.detector)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close everything; what is committed is on disk already."""
        for sink in self._sinks:
            sink.close()
        self._sinks = []
        self._close_delivery()
        self._close_models()
        if self._specialising is not None:
            self._specialising.close()
        reach("close.before")
        self.store.close()
        self._lock.release()
        reach("close.after")
        self._drop_temporary()

    def _close_models(self) -> None:
        if self._models is not None:
            self._models.close()
            self._models = None

    def _drop_temporary(self) -> None:
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    # A whole input ---------------------------------------------------------------------------------------------------

    def run(self, stopped: threading.Event | None = None, feed: Input | None = None) -> RunSummary:
        """Carry the configured source to its end, or until told to stop.

        SIGTERM and SIGINT stop it too, when it is called in the main thread: the batches that were read are committed,
        nothing is left half done, and the next run goes on behind them.

        Parameters
        ----------
        stopped
            Set it to stop.
        feed
            Another input than the configured one.

        Raises
        ------
        InputError
            If the source cannot be read, or is not the one that was read before.
        """
        self._check_astray()
        keep_freed_memory()
        stopped = stopped or threading.Event()
        feed = feed or self.open_input()
        before, started = self.store.totals, time.monotonic()
        try:
            with clean_stop(stopped):
                record, shift = self._resume(feed)
                self._open_exports()
                self._open_sinks(record.source)
                self._open_delivery(record, feed)
                pipeline = Pipeline(self._parts())
                pipeline.run(feed, record.source, shift, stopped.is_set)
            self._export(record.source)
        finally:
            self._close_exports()
            self._close_delivery()
            feed.source.close()
        summary = self._summary(before, self.store.totals, time.monotonic() - started, stopped.is_set())
        return replace(summary, carried_seconds=pipeline.seconds)

    def open_input(self) -> Input:
        """Open the configured source; ``run`` takes it, and closes it."""
        config = self.config
        observer = self.kafka_metrics() if config.source.type == "kafka" else None
        return open_input(config.source, config.limits, self.detector, self.key, not self._temporary, observer)

    # Single events ---------------------------------------------------------------------------------------------------

    def decide(self, record: bytes, journal: bool = True) -> Answer:
        """Decide one event, as a JSON object.

        Parameters
        ----------
        record
            The event.
        journal
            Whether it is made durable before this returns. Without, the state knows events that the journal does not,
            so nothing may be journaled afterwards until the runtime is opened again: for measurements and trials.

        Raises
        ------
        StorageError
            If an event was decided without the journal before.
        """
        if journal:
            self._check_astray()
        received = time.monotonic()
        position = self.store.next_position if journal else self._next_free_position()
        decoded = self._call_decoder().decode(record.replace(b"\n", b" "), position, self.clock())
        decided = decide(self.program, decoded.batch, self._models)
        decided_at = self.clock()
        answer = self._answer(decoded, decided, decided_at)
        if journal:
            calls = self._calls or self.store.source(CALLS) or self.store.put_source(CALLS, 0, 0)
            self._calls = replace(calls, record=calls.record + 1)
            unknown = sum(decoded.unknown_fields.values())
            places = (calls.source, position, position + 1, calls.record + 1, calls.record + 1)
            self._carry(Done(Work(decoded.batch, decoded.dead, unknown, *places, received), decided, decided_at))
        return answer

    def _check_astray(self) -> None:
        if self._astray:
            raise StorageError("an event was decided without the journal; open the runtime anew to use the journal")

    def _answer(self, decoded: Decoded, decided: Decided, decided_at: int) -> Answer:
        batch = decoded.batch
        if decoded.dead:
            return Answer("dead", reason=f"{decoded.dead[0].reason.value}: {decoded.dead[0].detail}")
        if len(decided.duplicates):
            return Answer("duplicate", self._first_decision(int(decided.firsts[0])))
        if not len(decided.rows):
            return Answer("observed")
        found = finding(batch, decided, self.program, 0)
        position = int(batch.position[0])
        decision = {
            "id": batch.texts.get(0, 0) or str(position),
            "position": position,
            "event_time": time_text(int(batch.time[0])),
            "decided_at": time_text(decided_at),
            "outcome": _OUTCOMES[decided.outcome[0]],
            "score": float(decided.score[0]),
            **found,
            "detector": self.detector.version,
            "late": bool(decided.late[0]),
        }
        return Answer("decided", decision)

    def _first_decision(self, position: int) -> dict[str, Any] | None:
        """Return the decision of the event that a duplicate repeats; None where it only fed state."""
        header = self.store.block_at_position(position)
        if header is None or not header.decided:
            return None
        records = decode_records(self.store.decisions(header))
        rows = np.flatnonzero(records.position == position)
        lines = LineEncoder().encode(records.take(rows), header.decided_at, self.store.version_at(header.block))
        return msgspec.json.decode(lines) if lines else None

    def _call_decoder(self) -> JsonDecoder:
        if self._decoder is None:
            settings = DecoderSettings(
                mapping=self.config.source.fields,
                kind_field=self.config.source.kind_field,
                kind=self.config.source.kind,
                naive_utc=self.config.source.naive_utc,
                record_bytes_max=self.config.limits.record_bytes,
            )
            self._decoder = JsonDecoder(self.detector.schema, settings, self.key, self.detector.max_skew)
        return self._decoder

    def _next_free_position(self) -> int:
        self._astray += 1
        return self.store.next_position + self._astray - 1

    def _carry(self, done: Done) -> None:
        """Make one decided batch durable."""
        parts = self._parts()
        committer = Committer(parts)
        committer.add(recorded(done, parts))
        committer.flush()
        self._busy += time.monotonic() - done.work.received
        if self.snapshots.due(self._busy):
            pending = self.snapshots.write(self.program.snapshot(), self.store.totals.blocks)
            self.snapshots.record(self.snapshots.finish(pending))
            self._busy = 0.0

    # Dead letters ----------------------------------------------------------------------------------------------------

    def retry_dead_letters(self, letters: Sequence[int] | None = None) -> RunSummary:
        """Decode dead letters again, under the settings and the detector of now, and decide those that can be read.

        Each takes a new position at the end of the log and is marked as retried. Those that still cannot be read, or of
        which only a part was kept, stay as they are.

        Parameters
        ----------
        letters
            Their numbers; None for all that were not retried yet.
        """
        self._check_astray()
        before, started = self.store.totals, time.monotonic()
        found = [each for each in self.store.dead_letters() if not each.retried and not each.cut]
        if letters is not None:
            found = [each for each in found if each.letter in set(letters)]
        source = self.store.source(RETRIES) or self.store.put_source(RETRIES, 0, 0)
        self._open_sinks(source.source)
        from counterfoil.runtimes.local.record_decoders import record_decoder  # noqa: PLC0415 - few runs need it

        decoder = record_decoder(self.config.source, self.config.limits, self.detector, self.key)
        for start in range(0, len(found), self.config.limits.batch_events):
            source = self._retry(decoder, source, found[start : start + self.config.limits.batch_events])
        self._committer_close()
        return self._summary(before, self.store.totals, time.monotonic() - started, stopped=False)

    def _retry(self, decoder: RecordDecoder, source: SourceRecord, letters: list[StoredDeadLetter]) -> SourceRecord:
        records = [self.vault.open(letter) for letter in letters]
        position = self.store.next_position
        # Decoded twice: the first time only to know which can be read.
        tried = decoder.decode_records(RecordBatch.of(records, position), self.clock())
        refused = {letter.position - position for letter in tried.dead}
        readable = [index for index in range(len(records)) if index not in refused]
        if not readable:
            return source
        received = time.monotonic()
        good = RecordBatch.of([records[index] for index in readable], position)
        decoded = decoder.decode_records(good, self.clock())
        decided = decide(self.program, decoded.batch, self._models)
        record = source.record + len(readable)
        places = (source.source, position, position + len(readable), record, record)
        unknown = sum(decoded.unknown_fields.values())
        retried = [letters[index].letter for index in readable]
        work = Work(decoded.batch, decoded.dead, unknown, *places, received, retried)
        self._carry(Done(work, decided, self.clock()))
        return replace(source, record=record)

    def _committer_close(self) -> None:
        Committer(self._parts()).close()

    # Where an input stands, and what goes out ------------------------------------------------------------------------

    def _resume(self, feed: Input) -> tuple[SourceRecord, int]:
        """Find out where reading goes on; return the source and what is added to its positions."""
        source, store = feed.source, self.store
        known = store.source(source.name)
        if known is not None and source.fingerprint(known.head_length) != (known.head_length, known.head_checksum):
            raise InputError(
                f"{source.name}: begins with other bytes than before; it is another file under the same name:"
                " give the former file, or another state folder"
            )
        if known is None or source.fingerprint(None)[0] > known.head_length:
            known = store.put_source(source.name, *source.fingerprint(None))
        source.seek(known.record, known.offset)
        return known, store.next_position - known.record

    def _open_sinks(self, source: int) -> None:
        for sink in self._sinks:
            sink.close()
        self._sinks = []
        for each in self.config.sinks:
            if each.format == "json" and each.type != "kafka":
                path = STANDARD_OUTPUT if each.type == "stdout" or each.path is None else each.path
                self._sinks.append(LineSink(path, each.features, self._encoder(each)))
                self._sinks[-1].open(self.store, self.store.first_block_of(source))

    def kafka_metrics(self) -> KafkaMetrics:
        """Return the metrics of topics, which are made when they are first asked for."""
        if self._kafka is None:
            from counterfoil.runtimes.local.kafka_metrics import KafkaMetrics  # noqa: PLC0415 - see open_input

            self._kafka = KafkaMetrics(self.metrics)
        return self._kafka

    def log_name(self) -> str:
        """Return what the log is called where others must tell it from every other; it is made once."""
        name = self.store.meta().get("log")
        if name is None:
            name = uuid.uuid4().hex
            self.store.put_meta({"log": name})
        return name

    def _open_delivery(self, record: SourceRecord, feed: Input) -> None:
        """Connect what is written to topics, and join the group of those that read them."""
        partitioned = self.config.source.type == "kafka"
        sinks = [sink for sink in self.config.sinks if sink.type == "kafka"]
        if not sinks and not partitioned:
            return
        from counterfoil.runtimes.local.kafka import join_group, open_delivery  # noqa: PLC0415

        if sinks:
            encoders = [self._encoder(sink) for sink in sinks]
            self._delivery = open_delivery(self, sinks, encoders, feed.source, record)
        if partitioned:
            self._progress = join_group(self, feed.source, record, self._delivery)

    def _close_delivery(self) -> None:
        delivery, self._delivery, self._progress = self._delivery, None, None
        if delivery is not None:
            delivery.close()

    def _encoder(self, sink: SinkConfig) -> LineEncoder:
        columns = zip(self.program.feature_names, self.program.feature_types, strict=True)
        return LineEncoder(tuple(columns) if sink.features else None)

    def _parts(self) -> Parts:
        return Parts(
            self.store,
            self.program,
            self.snapshots,
            self._sinks,
            self.vault,
            self.config.limits,
            self.metrics,
            self.clock,
            any(sink.features for sink in self.config.sinks),
            self._after_group,
            self._delivery,
            self._progress,
            self._models,
        )

    def _after_group(self, report: GroupReport) -> None:
        for seconds, events in report.latencies:
            self._latency.add(seconds, events)
        for done in report.batches:
            self._refusals.add(done.work.dead)
        if self._specialising is not None:
            self._specialising.after(sum(len(done.work.batch) for done in report.batches))
        if self._drift is not None:
            for done in report.batches:
                if done.decided.models is not None:
                    self._drift.observe(done.decided.models, done.work.batch.time[done.decided.rows])
        if self._on_group is not None:
            self._on_group(report)

    def _open_exports(self) -> None:
        """Lock the Parquet outputs, which are written at the end: another run shall not meet them only there."""
        for sink in self.config.sinks:
            if sink.format == "parquet" and sink.path is not None:
                self._exports.append((ParquetOutput(Path(sink.path)), sink.features))

    def _close_exports(self) -> None:
        for output, _ in self._exports:
            output.close()
        self._exports = []

    def _export(self, source: int) -> None:
        """Write the Parquet outputs, whole, from the log."""
        for output, features in self._exports:
            export_parquet(output, self.decision_frames(self.store.first_block_of(source), features))

    def decision_frames(self, first_block: int = 0, features: bool = False) -> Iterator[pl.DataFrame]:
        """Yield the decision log as tables."""
        columns = tuple(zip(self.program.feature_names, self.program.feature_types, strict=True)) if features else ()
        return decision_frames(self.store, first_block, self.store.totals.blocks, columns)

    def _summary(self, before: Totals, after: Totals, seconds: float, stopped: bool) -> RunSummary:
        return RunSummary(
            after.received - before.received,
            after.decided - before.decided,
            after.observed - before.observed,
            after.duplicates - before.duplicates,
            after.dead - before.dead,
            after.alerts - before.alerts,
            seconds,
            self._latency.percentiles_ms(),
            after.received,
            self.recovery.seconds,
            stopped,
            self._refusals.told(after.received - before.received),
        )
