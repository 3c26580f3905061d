"""What a run on Flink does around its job: without Flink, whose job and JVM are stood in for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import polars as pl
import pytest

from counterfoil.config import RunConfig, SinkConfig, SourceConfig, parse_config
from counterfoil.errors import ConfigurationError, InputError, StorageError
from counterfoil.runtimes.flink import runtime
from counterfoil.runtimes.flink.runtime import FlinkRuntime
from counterfoil.runtimes.flink.states import JOB_FILE
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.runtimes.sample import sample_config, sample_detector, sample_lines, write_lines

_NOT_RUNNING = "java.util.concurrent.ExecutionException: CheckpointException: Not all required tasks are running"


@dataclass
class Taken:
    """A savepoint that is being taken: it is there, is refused, or does not come."""

    refused: str = ""
    comes: bool = True

    def isDone(self) -> bool:  # noqa: N802 - as Java has it
        return self.comes

    def get(self) -> str:
        if self.refused:
            raise RuntimeError(self.refused)
        return "savepoint-1"


@dataclass
class Client:
    """A job."""

    answers: list[Taken]
    end: str | None = None
    failure: str = ""
    asked: list[str] = field(default_factory=list)
    cancelled: int = 0

    @property
    def _j_job_client(self) -> Any:
        return SimpleNamespace(stopWithSavepoint=self._stop)

    def _stop(self, drain: bool, folder: str, form: str) -> Taken:
        self.asked.append(folder)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def cancel(self) -> Any:
        self.cancelled += 1
        return SimpleNamespace(result=lambda: None)

    def get_job_execution_result(self) -> Any:
        def result() -> None:
            if self.failure:
                raise RuntimeError(self.failure)

        return SimpleNamespace(done=lambda: self.end is not None, result=result)


@pytest.fixture(autouse=True)
def flink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for what needs Flink's library, and let nothing take long."""
    gateway: Any = ModuleType("pyflink.java_gateway")
    form = SimpleNamespace(CANONICAL="canonical")
    core = SimpleNamespace(execution=SimpleNamespace(SavepointFormatType=form))
    apache = SimpleNamespace(flink=SimpleNamespace(core=core))
    jvm = SimpleNamespace(org=SimpleNamespace(apache=apache))
    gateway.get_gateway = lambda: SimpleNamespace(jvm=jvm)
    monkeypatch.setitem(sys.modules, "pyflink.java_gateway", gateway)
    graph: Any = ModuleType("counterfoil.runtimes.flink.graph")
    graph.Cuts = lambda places, arrival: SimpleNamespace(places=places, arrival=arrival)
    graph.FolderSink = lambda name, folder: (name, folder)
    graph.build = lambda *arguments: None
    monkeypatch.setitem(sys.modules, "counterfoil.runtimes.flink.graph", graph)
    monkeypatch.setattr(runtime, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(runtime, "_UNTOUCHED_SECONDS", 0.1)
    monkeypatch.setattr(runtime, "_STOP_SECONDS", 0.5)


def _stop(client: Client, untouched: Callable[[], bool]) -> None:
    runtime._stop(client, "file:///savepoints", untouched)


def test_a_stop_waits_for_its_savepoint_and_asks_again_while_tasks_start() -> None:
    client = Client([Taken(_NOT_RUNNING), Taken(_NOT_RUNNING), Taken()])
    _stop(client, lambda: False)
    assert (len(client.asked), client.cancelled) == (3, 0)


def test_a_job_that_has_committed_something_is_waited_for() -> None:
    slow = Taken(comes=False)
    client = Client([slow])
    waiting = threading.Thread(target=_stop, args=(client, lambda: False))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    slow.comes = True
    waiting.join()
    assert client.cancelled == 0


@pytest.mark.parametrize("answer", [Taken(comes=False), Taken(_NOT_RUNNING)], ids=["busy", "starting"])
def test_a_job_that_has_committed_nothing_is_not_waited_for(answer: Taken) -> None:
    """Workers that compile kernels answer nothing for a minute or two."""
    client = Client([answer])
    _stop(client, lambda: True)
    assert client.cancelled == 1


@pytest.mark.parametrize("reason", [_NOT_RUNNING, "FlinkException: no savepoint directory"])
def test_where_no_savepoint_can_be_had_the_job_is_cancelled(reason: str) -> None:
    client = Client([Taken(reason)])
    _stop(client, lambda: False)
    assert client.cancelled == 1
    assert len(client.asked) > 1 or reason is not _NOT_RUNNING


def _runtime(folder: Path, sinks: tuple[SinkConfig, ...] = (), **settings: Any) -> FlinkRuntime:
    source = write_lines(folder / "in.ndjson", sample_lines(200))
    content = {"detector": "sample", "runtime": "flink", "source": {"path": str(source)}, **settings}
    config = parse_config({**content, "sinks": [msgspec.to_builtins(each) for each in sinks]})
    return FlinkRuntime(config, sample_detector())


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Give the job that comes of whatever is carried out; it ends at once."""
    client = Client([Taken()], end="")
    environment = SimpleNamespace(execute_async=lambda: client)
    monkeypatch.setattr(runtime, "open_environment", lambda *arguments, **given: environment)
    return client


def test_a_run_that_is_stopped_keeps_its_state(tmp_path: Path, job: Client) -> None:
    job.end = None
    stopped = threading.Event()
    stopped.set()
    summary = _runtime(tmp_path, state={"folder": str(tmp_path / "state")}).run(stopped)
    assert summary.stopped
    assert job.asked == [f"file://{tmp_path}/state/savepoints"]
    assert (tmp_path / "state" / JOB_FILE).exists()


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        ("x\nCaused by: java.io.IOException: no disk\n\tat y", StorageError, "job ended: java.io.IOException: no disk"),
        ("x\nCaused by: Python: counterfoil.errors.InputError: in: gone\nCaused by: z", StorageError, "in: gone"),
        ("Could not find any factory for connector 'kafka'", ConfigurationError, "Kafka connector is missing"),
        ("only this\nand more", StorageError, "flink: the job ended: only this"),
    ],
)  # fmt: skip
def test_why_a_job_failed_is_told_in_a_line(
    tmp_path: Path, job: Client, failure: str, kind: type[Exception], words: str
) -> None:
    job.failure = failure
    with pytest.raises(kind) as caught:
        _runtime(tmp_path).run()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_jvm_that_is_gone_is_told(tmp_path: Path, job: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Py4JNetworkError(Exception):
        pass

    def gone() -> None:
        raise Py4JNetworkError("Error while sending or receiving")

    monkeypatch.setattr(job, "get_job_execution_result", gone)
    with pytest.raises(StorageError, match="its JVM is gone; the same command goes on from the last checkpoint"):
        _runtime(tmp_path).run()


def test_a_job_that_ended_while_its_run_died_is_put_together_without_it(
    tmp_path: Path, job: Client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write_lines(tmp_path / "in.ndjson", sample_lines(200))
    (tmp_path / "local").mkdir()
    with LocalRuntime(sample_config(tmp_path / "local", source), sample_detector()) as local:
        local.run()
    expected = tmp_path / "local" / "decisions.ndjson"
    sinks = (
        SinkConfig(path=str(tmp_path / "out.ndjson")),
        SinkConfig(path=str(tmp_path / "out.parquet"), format="parquet"),
        SinkConfig(type="stdout"),
    )
    state = tmp_path / "state"
    found = _runtime(tmp_path, sinks, state={"folder": str(state)})
    stopped = threading.Event()
    stopped.set()
    job.end = None
    found.run(stopped)
    for name, lines in (
        ("decisions", expected.read_bytes().splitlines(keepends=True)[::-1]),
        ("counts", [b'{"records":120,"decided":100}\n', b'{"records":80,"decided":60,"dead":3}\n']),
    ):
        gathered = state / "lines" / name / "part-0-0"
        gathered.parent.mkdir(parents=True)
        gathered.write_bytes(b"".join(lines))
    monkeypatch.setattr(job, "get_job_execution_result", None)
    summary = found.run()
    assert (summary.events, summary.decided, summary.dead_letters, summary.stopped) == (200, 160, 3, False)
    assert (tmp_path / "out.ndjson").read_bytes() == expected.read_bytes()
    assert len(pl.read_parquet(tmp_path / "out.parquet")) == expected.read_bytes().count(b"\n")
    assert capfd.readouterr().out.encode() == expected.read_bytes()
    with pytest.raises(StorageError, match="has come to the end of its input"):
        found.run()


def test_a_file_is_cut_into_batches_and_into_no_more_than_can_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _runtime(tmp_path, limits={"batch_events": 64})
    cuts = found._cuts(found.job())
    assert cuts is not None
    assert [position for position, _ in cuts.places] == [0, 64, 128, 192, 200]
    assert cuts.places[-1][1] == (tmp_path / "in.ndjson").stat().st_size
    monkeypatch.setattr(runtime, "_CUTS_MOST", 3)
    with pytest.raises(InputError, match="has more than 3 cuts; set a larger batch_events"):
        found._cuts(found.job())
    empty = _runtime(tmp_path)
    (tmp_path / "in.ndjson").write_bytes(b"")
    cuts = empty._cuts(empty.job())
    assert cuts is not None
    assert cuts.places == ((0, 0), (0, 0))


def test_a_cluster_is_given_topics_alone(tmp_path: Path) -> None:
    for source, sinks in (
        (SourceConfig(path="in.ndjson"), ()),
        (SourceConfig(type="kafka"), (SinkConfig(path="out.ndjson"),)),
    ):
        config = RunConfig(detector="sample", runtime="flink", source=source, sinks=sinks)
        found = object.__new__(FlinkRuntime)
        found.config = config
        with pytest.raises(ConfigurationError, match="submit: found files; allowed: kafka as source and sinks"):
            found.submit()
