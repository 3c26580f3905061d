"""A run on Spark: the same settings as a run on one machine, and the same decisions."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from counterfoil.detector_file import load_detector
from counterfoil.errors import ConfigurationError, CounterfoilError, InputError, StorageError
from counterfoil.observability import get_logger
from counterfoil.runtimes.engine.blob import decode, kind_of
from counterfoil.runtimes.engine.episodes import ALERTS
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.results import Result, Splits
from counterfoil.runtimes.engine.runs import ends, job_of, summary_of
from counterfoil.runtimes.engine.states import JobState, check_state
from counterfoil.runtimes.local.summary import RunSummary
from counterfoil.runtimes.spark.gaps import check_gaps
from counterfoil.runtimes.spark.outputs import Output, open_outputs
from counterfoil.runtimes.spark.session import BATCH_EVENTS, open_session, partitions_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector
    from counterfoil.runtimes.engine.episodes import Alert

_log = get_logger(__name__)

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
        self.config = config
        self.detector = detector or load_detector(config.detector, dict(config.parameters))
        check_gaps(self.detector, config)
        self._jars, self._session, self._on_batch = tuple(jars), session, on_batch
        self._counts: Counter[str] = Counter()
        self._outputs: list[Output] = []
        self._failure: BaseException | None = None

    def run(self, stopped: threading.Event | None = None) -> RunSummary:
        """Carry the source to its end, or until told to stop.

        Raises
        ------
        CounterfoilError
            If the checkpoint belongs to another job, or something cannot be read or written.
        """
        stopped = stopped or threading.Event()
        began = time.monotonic()
        session = self._session or open_session(self.config, self._jars)
        try:
            return self._run(session, stopped, began)
        finally:
            for output in self._outputs:
                output.close()
            if self._session is None:
                session.stop()

    def _run(self, session: SparkSession, stopped: threading.Event, began: float) -> RunSummary:
        from counterfoil.runtimes.spark.query import results  # noqa: PLC0415 - an extra

        partitions = int(session.conf.get("spark.sql.shuffle.partitions") or partitions_of(self.config))
        job = self.job()
        checkpoint, query_id = self._checkpoint(job, partitions)
        splits = Splits(tuple(topic.name for topic in self.config.source.topics))
        self._outputs = open_outputs(self.config, splits, query_id)
        writer: Any = results(session, self.config, job, partitions).writeStream.outputMode("append")
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
        seconds = time.monotonic() - ready
        return summary_of(self._counts, seconds, ready - began, stopped.is_set())

    def job(self) -> Job:
        """Return what workers are told."""
        config = self.config
        # A later run goes on in the same file where there is a checkpoint: half a line is left for it.
        source = replace(config.source, until_end=config.state.folder is None)
        limits = replace(config.limits, batch_events=min(config.limits.batch_events, BATCH_EVENTS))
        return job_of(config, self.detector, source, limits)

    def _checkpoint(self, job: Job, partitions: int) -> tuple[str | None, str]:
        """Return the checkpoint and the name of the query that it belongs to.

        Raises
        ------
        StorageError
            If it is another job's.
        """
        place = self.config.state.folder
        if place is None:
            return None, uuid.uuid4().hex[:12]
        if "://" in place and not place.startswith("file://"):
            # Elsewhere Spark alone reads and writes; its own checks of the state's schema remain.
            return place, xxhash.xxh3_64_hexdigest(place.encode())[:12]
        folder = Path(place.removeprefix("file://"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / JOB_FILE
        fresh = JobState.of(job, {"spark.partitions": partitions}, uuid.uuid4().hex[:12])
        if not path.exists() and any(folder.iterdir()):
            raise StorageError(f"{folder}: is not empty and no checkpoint of counterfoil's; choose another --state")
        known = check_state(path, fresh, str(folder))
        return str(folder.resolve()), known.query

    def _write(self, batch: DataFrame, number: int) -> None:
        """Write a micro-batch; called by Spark."""
        rows = batch.select("batch", "data").toArrow()
        pieces = sorted(zip(rows.column("batch").to_pylist(), rows.column("data").to_pylist(), strict=True))
        found: list[Result] = []
        alerts: list[Alert] = []
        for _, data in pieces:
            if kind_of(data) == ALERTS:
                alerts += decode(data, ALERTS).meta["alerts"]
            else:
                found.append(Result(data))
        alerts += [alert for result in found for alert in result.alerts]
        try:
            for output in self._outputs:
                output.write(number, found, alerts)
        except CounterfoilError as error:
            self._failure = error
            raise
        for result in found:
            self._counts.update(result.counts)
        self._counts["opened"] += len({alert["alert"] for alert in alerts if alert["content"]["decisions"] == 1})
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
        return StorageError(f"spark: the query ended: {reason}")
