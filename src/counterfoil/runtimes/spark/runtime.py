"""A run on Spark: the same settings as a run on one machine, and the same decisions."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash
from msgspec.structs import replace as replaced

from counterfoil.detector_file import load_detector
from counterfoil.errors import ConfigurationError, CounterfoilError, InputError, StorageError
from counterfoil.runtimes.engine.blob import decode
from counterfoil.runtimes.engine.episodes import ALERTS
from counterfoil.runtimes.engine.history import check_topics, from_history
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.results import Result, Splits
from counterfoil.runtimes.engine.runs import ends, job_of, summary_of
from counterfoil.runtimes.engine.states import JobState, check_state, read_state
from counterfoil.runtimes.local.summary import RunSummary
from counterfoil.runtimes.spark.gaps import check_gaps
from counterfoil.runtimes.spark.generations import checkpoint_of, forget_before, renewed
from counterfoil.runtimes.spark.outputs import Output, open_outputs
from counterfoil.runtimes.spark.session import BATCH_EVENTS, is_elsewhere, open_session, partitions_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector
    from counterfoil.runtimes.engine.episodes import Alert


JOB_FILE = "counterfoil.json"
"""In the checkpoint: whose it is."""
_POLL_SECONDS = 0.2


class SparkRuntime:
    """One detector on Spark.

    Parameters
    ----------
    config
        The settings; ``state.folder`` is the checkpoint.
    detector
        The detector; None to load the one that the settings name.
    jars
        Archives beyond Spark's own.
    session
        Spark; None to open one, and close it at the end.
    on_batch
        Called after each micro-batch with its number and results.

    Raises
    ------
    ConfigurationError
        If the settings ask for what Spark does not do.
    """

    def __init__(
        self,
        config: RunConfig,
        detector: Detector | None = None,
        jars: Sequence[Path] = (),
        session: SparkSession | None = None,
        on_batch: Callable[[int, Sequence[Result]], None] | None = None,
    ) -> None:
        self.config = _with_fixed(config)
        self.detector = detector or load_detector(config.detector, dict(config.parameters))
        check_gaps(self.detector, config)
        self._jars, self._session, self._on_batch = tuple(jars), session, on_batch
        self._counts: Counter[str] = Counter()
        self._outputs: list[Output] = []
        self._failure: BaseException | None = None
        self._spark_log: Path | None = None
        """Where Spark writes what it has to say; None for standard error."""
        self._told = False

    def run(self, stopped: threading.Event | None = None) -> RunSummary:
        """Carry the source to its end, or until told to stop.

        Raises
        ------
        CounterfoilError
            If the checkpoint belongs to another job, or something cannot be read or written.
        """
        stopped = stopped or threading.Event()
        began = time.monotonic()
        check_topics(self.config)
        if self._session is not None:
            return self._run(self._session, stopped, began)
        self._spark_log = _spark_log_of(self.config)
        try:
            session = open_session(self.config, self._jars, self._spark_log)
            try:
                summary = self._run(session, stopped, began)
            finally:
                _stop(session)
        except CounterfoilError:
            self._forget_log()
            raise
        self._forget_log()
        return summary

    def _forget_log(self) -> None:
        if self._spark_log is not None and not self._told:
            self._spark_log.unlink(missing_ok=True)

    def _run(self, session: SparkSession, stopped: threading.Event, began: float) -> RunSummary:
        try:
            return self._carried(session, stopped, began)
        finally:
            for output in self._outputs:
                output.close()

    def _carried(self, session: SparkSession, stopped: threading.Event, began: float) -> RunSummary:
        from counterfoil.runtimes.spark.query import results  # noqa: PLC0415 - an extra

        partitions = int(session.conf.get("spark.sql.shuffle.partitions") or partitions_of(self.config))
        job = self.job()
        splits = Splits(tuple(topic.name for topic in self.config.source.topics))
        checkpoint, state = self._checkpoint(job, partitions, splits)
        self._outputs = open_outputs(self.config, splits, job, state)
        config = self.config if not state.generation else from_history(self.config)
        writer: Any = results(session, config, job, partitions).writeStream.outputMode("append")
        if checkpoint is not None:
            writer = writer.option("checkpointLocation", checkpoint)
        if ends(self.config):
            writer = writer.trigger(availableNow=True)
        query = writer.foreachBatch(self._write).start()
        ready = time.monotonic()
        try:
            while not query.awaitTermination(_POLL_SECONDS):
                if stopped.is_set():
                    query.stop()
                    break
        except Exception as error:
            raise self._failed(error) from None
        if self._failure is not None:
            raise self._failure
        for output in self._outputs:
            output.finish()
        seconds = time.monotonic() - ready
        return summary_of(self._counts, seconds, ready - began, stopped.is_set())

    def job(self) -> Job:
        """Return what workers are told."""
        config = self.config
        # A later run goes on in the same file where there is a checkpoint: half a line is left for it.
        source = replace(config.source, until_end=config.state.folder is None)
        limits = replace(config.limits, batch_events=min(config.limits.batch_events, BATCH_EVENTS))
        return job_of(config, self.detector, source, limits)

    def _checkpoint(self, job: Job, partitions: int, splits: Splits) -> tuple[str | None, JobState]:
        """Return the checkpoint and whose it is.

        Raises
        ------
        StorageError
            If it is another job's.
        """
        place = self.config.state.folder
        fresh = JobState.of(job, {"spark.partitions": partitions}, uuid.uuid4().hex[:12])
        if place is None:
            return None, fresh
        if is_elsewhere(place):
            # Elsewhere Spark alone reads and writes; its own checks of the state's schema remain.
            return place, replaced(fresh, query=xxhash.xxh3_64_hexdigest(place.encode())[:12])
        folder = Path(place.removeprefix("file://"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / JOB_FILE
        if not path.exists() and any(folder.iterdir()):
            raise StorageError(f"{folder}: is not empty and no checkpoint of counterfoil's; choose another --state")
        renew = None
        if self.config.state.accept_detector:
            renew = partial(renewed, folder=folder, config=self.config, fresh=fresh, splits=splits)
        known = check_state(path, fresh, str(folder), renew)
        forget_before(folder, known.generation)
        return str(checkpoint_of(folder, known.generation).resolve()), known

    def _write(self, batch: DataFrame, number: int) -> None:
        """Write a micro-batch; called by Spark."""
        rows = batch.select("batch", "data").toArrow()
        pieces = sorted(zip(rows.column("batch").to_pylist(), rows.column("data").to_pylist(), strict=True))
        by_batch: dict[int, Result] = {}
        alerts: list[tuple[int, list[Alert]]] = []
        for at, data in pieces:
            blob = decode(data)
            if blob.kind == ALERTS:
                alerts.append((at, blob.meta["alerts"]))
            else:
                by_batch[at] = Result(blob, at)
        for at, some in alerts:
            by_batch[at].alerts += some
        found = list(by_batch.values())
        try:
            for output in self._outputs:
                output.write(number, found)
        except CounterfoilError as error:
            self._failure = error
            raise
        for result in found:
            self._counts.update(result.counts)
        told = [alert for result in found for alert in result.alerts]
        self._counts["opened"] += len({alert["alert"] for alert in told if alert["content"]["decisions"] == 1})
        if self._on_batch is not None:
            self._on_batch(number, found)

    def _failed(self, error: Exception) -> BaseException:
        """Return what is to be told of a query that failed."""
        if self._failure is not None:
            return self._failure
        text = str(error)
        if "OFFSET_OUT_OF_RANGE" in text or "failOnDataLoss" in text or "data may have been lost" in text:
            return InputError(
                "source: records were deleted from the topic that were never decided; go on without them with"
                " --accept-gap, or begin a new checkpoint"
            )
        if "Failed to find data source: kafka" in text or "DATA_SOURCE_NOT_FOUND" in text:
            return ConfigurationError("source: Spark's Kafka package is missing; see docs/spark.md, or set spark.jars")
        first = next((line for line in reversed(text.splitlines()) if "counterfoil.errors." in line), "")
        reason = first.partition("counterfoil.errors.")[2].partition(": ")[2] or text.splitlines()[0][:500]
        if isinstance(error, ConnectionError) or type(error).__name__ == "Py4JNetworkError":
            reason = "its JVM is gone; the same command goes on from the last checkpoint"
        where = ""
        if self._spark_log is not None:
            self._told, where = True, f"; Spark's own log is {self._spark_log}"
        return StorageError(f"spark: the query ended: {reason}{where}")


def _with_fixed(config: RunConfig) -> RunConfig:
    """Return a run with as many tasks as its checkpoint fixes, where the settings leave that open."""
    place = config.state.folder
    if config.spark.partitions is not None or place is None or is_elsewhere(place):
        return config
    known = read_state(Path(place.removeprefix("file://")) / JOB_FILE)
    fixed = None if known is None else known.engine.get("spark.partitions")
    return config if fixed is None else replace(config, spark=replace(config.spark, partitions=fixed))


def _spark_log_of(config: RunConfig) -> Path | None:
    """Return a file for what Spark has to say, where nobody asked for it: it is a lot, at every start."""
    if config.log.level in {"debug", "info"}:
        return None
    descriptor, name = tempfile.mkstemp(prefix="counterfoil-spark-", suffix=".log")
    os.close(descriptor)
    return Path(name)


def _stop(session: SparkSession) -> None:
    """Stop a session; one whose JVM is gone has nothing to stop."""
    with suppress(Exception):
        session.stop()
