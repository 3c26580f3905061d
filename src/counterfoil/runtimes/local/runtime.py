"""The runtime for one process: durable, resumable, and the same after a stop as after a crash."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import polars as pl
import structlog

from counterfoil.config import RunConfig, SinkConfig
from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector, write_detector
from counterfoil.errors import InputError, StorageError
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.identity import IdentityKey
from counterfoil.observability import Metrics
from counterfoil.program import Program
from counterfoil.runtimes.local.dead_letter_vault import DeadLetterVault
from counterfoil.runtimes.local.failpoints import reach
from counterfoil.runtimes.local.inputs import Input, open_input
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.lock import FolderLock
from counterfoil.runtimes.local.outputs import STANDARD_OUTPUT, LineSink, export_parquet
from counterfoil.runtimes.local.pipeline import GroupReport, Parts, Pipeline
from counterfoil.runtimes.local.recovery import Recovery, recover
from counterfoil.runtimes.local.snapshots import Snapshots
from counterfoil.runtimes.local.store import Epoch, SourceRecord, Store, Totals
from counterfoil.runtimes.local.summary import LatencyTally, RunSummary
from counterfoil.runtimes.local.tables import decision_frames
from counterfoil.runtimes.plan import CompiledProgram

FIXED_CLOCK_VARIABLE = "COUNTERFOIL_FIXED_CLOCK"
"""Microseconds since 1970 that every decision is stamped with: for tests that compare files byte by byte."""

_log = structlog.get_logger(__name__)


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
        self._sinks: list[LineSink] = []
        self._api_decoder: JsonDecoder | None = None
        self._api_source: SourceRecord | None = None

    # Opening and closing ---------------------------------------------------------------------------------------------

    def __enter__(self) -> LocalRuntime:
        started = time.monotonic()
        self._temporary = self.config.state.folder is None
        self.folder = Path(self.config.state.folder or tempfile.mkdtemp(prefix="counterfoil-"))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{self.folder}: cannot be made: {reason}; choose another state folder") from error
        self._lock = FolderLock(self.folder)
        try:
            self.store = Store(self.folder)
            try:
                self._open(started)
            except BaseException:
                self.store.close()
                raise
        except BaseException:
            self._lock.release()
            raise
        return self

    def _open(self, started: float) -> None:
        state = self.config.state
        layout = f"shards={self.config.limits.shards}"
        self.snapshots = Snapshots(self.store, state.snapshots_kept, state.replay_seconds, state.snapshot_share, layout)
        self._check_folder()
        self.snapshots.clear()
        self.recovery = recover(self.store, self.snapshots, self.program, self.store.epochs()[-1].first_block)
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
        reach("close.before")
        self.store.close()
        self._lock.release()
        reach("close.after")
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
        config = self.config
        stopped = stopped or threading.Event()
        feed = feed or open_input(config.source, config.limits, self.detector, self.key)
        before, started = self.store.totals, time.monotonic()
        try:
            record, shift = self._resume(feed)
            self._open_sinks(record.source)
            with _stop_on_signal(stopped):
                Pipeline(self._parts()).run(feed, record.source, shift, stopped.is_set)
            self._export(record.source)
        finally:
            feed.source.close()
        return self._summary(before, self.store.totals, time.monotonic() - started, stopped.is_set())

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
            if each.format == "json":
                path = STANDARD_OUTPUT if each.type == "stdout" or each.path is None else each.path
                self._sinks.append(LineSink(path, each.features, self._encoder(each)))
                self._sinks[-1].open(self.store, self.store.first_block_of(source))

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
        )

    def _after_group(self, report: GroupReport) -> None:
        for seconds, events in report.latencies:
            self._latency.add(seconds, events)
        if self._on_group is not None:
            self._on_group(report)

    def _export(self, source: int) -> None:
        """Write the Parquet outputs, whole, from the log."""
        for sink in self.config.sinks:
            if sink.format == "parquet" and sink.path is not None:
                first = self.store.first_block_of(source)
                export_parquet(Path(sink.path), self.decision_frames(first, sink.features))

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
        )


@contextmanager
def _stop_on_signal(stopped: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set an event; a second one acts as it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        stopped.set()
        signal.signal(number, former[number])

    for number in (signal.SIGTERM, signal.SIGINT):
        former[int(number)] = signal.signal(number, stop)
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
