"""A run on Flink: the same settings as a run on one machine, and the same decisions."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import xxhash

from counterfoil.connectors.line_output import LineOutput
from counterfoil.detector_file import load_detector
from counterfoil.errors import ConfigurationError, CounterfoilError, InputError, StorageError
from counterfoil.observability import get_logger
from counterfoil.runtimes.engine.history import check_topics, from_history
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.results import Splits
from counterfoil.runtimes.engine.runs import ends, job_of, summary_of
from counterfoil.runtimes.engine.states import JobState, check_state
from counterfoil.runtimes.engine.tables import write_parquet
from counterfoil.runtimes.flink.gaps import check_gaps
from counterfoil.runtimes.flink.generations import ALL, renewed
from counterfoil.runtimes.flink.session import open_environment
from counterfoil.runtimes.flink.states import JOB_FILE, StateFolder
from counterfoil.runtimes.local.inputs import open_input
from counterfoil.runtimes.local.summary import RunSummary

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector
    from counterfoil.runtimes.flink.graph import Cuts, FolderSink

_log = get_logger(__name__)
_POLL_SECONDS = 0.2
_STOP_SECONDS = 60.0
_UNTOUCHED_SECONDS = 3.0
"""How long to try for a savepoint of a job that has committed nothing: a moment later it might have."""
_CUTS_MOST = 1_000_000


class FlinkRuntime:
    """One detector on Flink.

    Parameters
    ----------
    config
        The settings; ``state.folder`` holds checkpoints.
    detector
        The detector; None to load the one that the settings name.
    jars
        Archives beyond Flink's own.

    Raises
    ------
    ConfigurationError
        If the settings ask for what Flink does not do.
    """

    def __init__(self, config: RunConfig, detector: Detector | None = None, jars: Sequence[Path] = ()) -> None:
        self.config = config
        self.detector = detector or load_detector(config.detector, dict(config.parameters))
        check_gaps(self.detector, config)
        self._jars = tuple(jars)

    def run(self, stopped: threading.Event | None = None) -> RunSummary:
        """Carry the source to its end, or until told to stop.

        Raises
        ------
        CounterfoilError
            If the state belongs to another job, or something cannot be read or written.
        """
        stopped = stopped or threading.Event()
        began = time.monotonic()
        if self.config.flink.address is None:
            check_topics(self.config)
        with ExitStack() as opened:
            place = self.config.state.folder
            if place is not None and "://" in place and not place.startswith("file://"):
                return self._run(None, place.rstrip("/"), stopped, began)
            if place is None:
                place = opened.enter_context(tempfile.TemporaryDirectory(prefix="counterfoil-flink-"))
            folder = StateFolder(Path(place.removeprefix("file://")))
            folder.open()
            return self._run(folder, folder.address, stopped, began)

    def submit(self) -> None:
        """Hand the job to the cluster that started this program, and do not wait for it.

        The cluster goes on from the checkpoint that it was told (``flink run --fromSavepoint``), and has its settings
        from the command: nothing is kept beside the checkpoints.

        Raises
        ------
        ConfigurationError
            If outputs are to be put together at the end: nobody is there then.
        """
        if any(sink.type != "kafka" for sink in self.config.sinks) or self.config.source.type != "kafka":
            raise ConfigurationError("submit: found files; allowed: kafka as source and sinks of a job on a cluster")
        from counterfoil.runtimes.flink.graph import build  # noqa: PLC0415 - an extra

        job = self.job()
        place = self.config.state.folder or self.detector.name
        environment = open_environment(self.config, submitted=True)
        build(environment, self.config, job, xxhash.xxh3_64_hexdigest(place.encode())[:12])
        environment.execute_async()

    def _run(self, folder: StateFolder | None, address: str, stopped: threading.Event, began: float) -> RunSummary:
        from counterfoil.runtimes.flink.graph import build  # noqa: PLC0415 - an extra

        job = self.job()
        fresh = JobState.of(job, {}, uuid.uuid4().hex[:12])
        restore, query, sinks, config = None, fresh.query, [], self.config
        if folder is not None:
            state = self._state(folder, fresh)
            query, folder = state.query, replace(folder, generation=state.generation)
            if state.generation:
                address, config = folder.address, from_history(config)
                job = replace(job, since=state.since.get(ALL, {}))
            restore = folder.newest()
            if restore is None and folder.lines("counts"):
                # Its job came to its end, and the run did not live to put its outputs together.
                return self._end(folder, job, 0.0, time.monotonic() - began)
            folder.forget_before(restore)
            sinks = self._folders(folder)
        environment = open_environment(self.config, self._jars, restore, address)
        build(environment, config, job, query, sinks, self._cuts(job))
        ready = time.monotonic()
        try:
            client = environment.execute_async()
            # A folder that this process cannot read says nothing.
            done = self._wait(
                client, stopped, f"{address}/savepoints", lambda: folder is not None and folder.newest() == restore
            )
        except CounterfoilError:
            raise
        except Exception as error:
            _log.info("the job failed", reason=str(error)[:20_000])
            raise self._failed(error) from None
        seconds = time.monotonic() - ready
        if folder is not None and done:
            return self._end(folder, job, seconds, ready - began)
        return summary_of(Counter(), seconds, ready - began, not done)

    def _state(self, folder: StateFolder, fresh: JobState) -> JobState:
        """Return whose state a folder holds."""
        renew = None
        if self.config.state.accept_detector:
            # It starts Flink's JVM, which then is the job's.
            open_environment(self.config, self._jars)
            splits = Splits(tuple(topic.name for topic in self.config.source.topics))
            renew = partial(renewed, folder=folder, config=self.config, fresh=fresh, splits=splits)
        return check_state(folder.path / JOB_FILE, fresh, str(folder.path), renew)

    def _end(self, folder: StateFolder, job: Job, seconds: float, recovery: float) -> RunSummary:
        """Put together what the job has left, and note its end."""
        self._put_together(folder, job)
        counts: Counter[str] = Counter()
        for line in folder.lines("counts").splitlines():
            counts.update(msgspec.json.decode(line, type=dict[str, int]))
        folder.end()
        return summary_of(counts, seconds, recovery, False)

    def job(self) -> Job:
        """Return what workers are told."""
        config = self.config
        path = None if config.source.path is None else str(Path(config.source.path).resolve())
        return job_of(config, self.detector, replace(config.source, path=path), config.limits)

    def _folders(self, folder: StateFolder) -> list[FolderSink]:
        """Return where lines are gathered that the end of the run puts together."""
        from counterfoil.runtimes.flink.graph import FolderSink  # noqa: PLC0415 - an extra

        if not ends(self.config):
            return []
        found = [FolderSink("counts", folder.lines_folder("counts"))]
        if any(sink.type != "kafka" for sink in self.config.sinks):
            found.append(FolderSink("text", folder.lines_folder("decisions")))
        return found

    def _cuts(self, job: Job) -> Cuts | None:
        """Return where the file is cut; None for topics."""
        if self.config.source.type == "kafka":
            return None
        from counterfoil.runtimes.flink.graph import Cuts  # noqa: PLC0415 - an extra

        feed = open_input(job.source, job.limits, job.detector, job.key)
        places = [(0, 0)]
        try:
            while (chunk := feed.source.read(lambda: False)) is not None:
                places.append((chunk.next_position, chunk.next_offset))
                if len(places) > _CUTS_MOST:
                    raise InputError(f"{job.source.path}: has more than {_CUTS_MOST} cuts; set a larger batch_events")
        finally:
            feed.source.close()
        if len(places) == 1:
            places.append((0, 0))
        return Cuts(tuple(places), time.time_ns() // 1000)

    @staticmethod
    def _wait(client: Any, stopped: threading.Event, savepoints: str, untouched: Callable[[], bool]) -> bool:
        """Wait for the end; return whether it was the end of the input."""
        # Asking for the status fails where a cluster within this process has ended with its job.
        end = client.get_job_execution_result()
        while not end.done():
            if stopped.wait(_POLL_SECONDS) and not end.done():
                # What is under way is finished and committed; the next run goes on from here.
                _stop(client, savepoints, untouched)
                return False
        end.result()
        return True

    def _put_together(self, folder: StateFolder, job: Job) -> None:
        """Write the outputs that are no topics."""
        plain = [sink for sink in self.config.sinks if sink.type != "kafka"]
        data = folder.lines("decisions") if plain else b""
        for sink in plain:
            if sink.type == "stdout":
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                continue
            assert sink.path is not None
            if sink.format == "parquet":
                write_parquet(Path(sink.path), iter(data.splitlines(keepends=True)), job, sink.features)
                continue
            output = LineOutput(Path(sink.path))
            try:
                output.truncate(0)
                output.write(data)
                output.sync()
            finally:
                output.close()

    def _failed(self, error: Exception) -> BaseException:
        """Return what is to be told of a job that failed."""
        text = str(error)
        if type(error).__name__ == "Py4JNetworkError":
            return StorageError("flink: its JVM is gone; the same command goes on from the last checkpoint")
        if "connector" in text and "'kafka'" in text and "Could not find any factory" in text:
            return ConfigurationError("source: Flink's Kafka connector is missing; see docs/flink.md")
        causes = [line.strip() for line in text.splitlines() if line.lstrip().startswith("Caused by: ")]
        own = next((line for line in reversed(causes) if "counterfoil.errors" in line), "")
        reason = own or (causes[-1] if causes else text.strip().partition("\n")[0])
        return StorageError(f"flink: the job ended: {reason.removeprefix('Caused by: ')[:1000]}")


def _stop(client: Any, savepoints: str, untouched: Callable[[], bool]) -> None:
    """Stop a job with a savepoint; where that cannot be had in time, cancel it: its last checkpoint remains.

    Parameters
    ----------
    client
        Of the job.
    savepoints
        Where savepoints are.
    untouched
        Says whether the job has not committed anything yet. A savepoint would hold nothing that is not there already,
        so nobody waits long for one: workers that compile their kernels answer nothing for a minute or two.
    """
    from pyflink.java_gateway import get_gateway  # noqa: PLC0415 - an extra

    form = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
    began = time.monotonic()
    while True:
        # PyFlink's own function calls a method that Flink 2 does not have any more.
        taken = client._j_job_client.stopWithSavepoint(False, savepoints, form)
        while not taken.isDone() and not (time.monotonic() > began + _UNTOUCHED_SECONDS and untouched()):
            time.sleep(_POLL_SECONDS / 4)
        if not taken.isDone():
            break
        try:
            taken.get()
        except Exception as error:
            # A job that starts, or starts again, has tasks that do not run yet.
            seconds = _UNTOUCHED_SECONDS if untouched() else _STOP_SECONDS
            if time.monotonic() < began + seconds and "CheckpointException" in str(error):
                time.sleep(_POLL_SECONDS)
                continue
            break
        return
    if untouched():
        _log.info("stopped before anything was committed")
    else:
        _log.warning("stopped without a savepoint; the next run goes on from the last checkpoint")
    client.cancel().result()
