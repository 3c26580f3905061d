"""Flink between real topics, through kills of workers, JVM and all, and over to more tasks: nothing of it shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.cases import CLOCK
from tests.conformance.engines import ROOT, python_of
from tests.conftest import absent
from tests.integration.kafka import Broker
from tests.integration.test_spark_faults import Run
from tests.runtimes.sample import ANEW, DEFINITION, sample_lines

EVENTS = 6_000
STEPS = 4
SECONDS = 180.0


class Job:
    """A run between topics that does not end by itself, and the means to start it again."""

    def __init__(self, broker: Broker, folder: Path, source: str, **settings: object) -> None:
        folder.mkdir()
        self.broker, self.folder = broker, folder
        self.definition = folder / "sample.yaml"
        self.definition.write_text(DEFINITION)
        names = ("decisions", "alerts", "dead-letters")
        self.topics = {name: broker.topic(f"{folder.name}-{name}") for name in names}
        sinks = [{"type": "kafka", "topic": topic, "content": name} for name, topic in self.topics.items()]
        topics = {"type": "kafka", "servers": broker.address, "topics": [{"name": source}], "group": folder.name}
        state = {"folder": str(folder / "state")}
        self.content: dict[str, Any] = {
            "detector": str(self.definition),
            "source": topics,
            "sinks": sinks,
            "state": state,
            **settings,
        }

    def start(self, on: str = "flink", tasks: int = 2) -> Run:
        """Start it."""
        path, log = self.folder / "run.yaml", self.folder / "log"
        path.write_text(json.dumps({**self.content, "runtime": on}))
        python = python_of(on) if on != "local" else ROOT / ".venv/bin/python"
        words = [str(python), "-m", "counterfoil", "run", str(path), "--threads", str(tasks)]
        words += ["--until-end"] if on == "local" else []
        environment = {**os.environ, "COUNTERFOIL_FIXED_CLOCK": str(CLOCK)}
        with log.open("ab") as file:
            process = subprocess.Popen(
                words, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        return Run(process, log)

    def wait_for(self, count: int, run: Run) -> None:
        """Wait until so many decisions are committed."""
        deadline = time.monotonic() + SECONDS
        while len(self.read("decisions")) < count:
            assert run.process.poll() is None, run.log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, run.log.read_text(errors="replace")[-3000:]
            time.sleep(0.3)

    def read(self, content: str) -> list[bytes]:
        """Return what is committed, in its order."""
        return [message.value() or b"" for message in self.broker.read(self.topics[content])]

    def alerts(self) -> dict[bytes, bytes]:
        """Return each alert as it stood last."""
        return {message.key() or b"": message.value() or b"" for message in self.broker.read(self.topics["alerts"])}


def gone(pids: list[int]) -> None:
    """Wait until processes are no more."""
    deadline = time.monotonic() + 20
    while left := [pid for pid in pids if Path("/proc", str(pid)).exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


@contextmanager
def trickle(broker: Broker, topic: str, lines: list[bytes]) -> Iterator[None]:
    """Write events little by little, so that whatever happens to a run happens in the middle of it."""
    stopped = threading.Event()

    def write() -> None:
        for start in range(0, len(lines), 20):
            broker.produce(topic, lines[start : start + 20])
            if stopped.wait(0.05):
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


@pytest.fixture(autouse=True)
def _environment() -> None:
    if not python_of("flink").exists():
        absent("the environment of flink (make .venv-flink)")


@pytest.mark.parametrize(("mode", "shards"), [("process", 3), ("thread", 1)])
def test_neither_kills_nor_more_tasks_change_anything(
    kafka: Broker, tmp_path: Path, compiled: None, mode: str, shards: int
) -> None:
    lines = sample_lines(EVENTS)
    source, steps = kafka.topic("events"), iter(range(0, EVENTS, EVENTS // STEPS))
    job = Job(
        kafka,
        tmp_path / mode,
        source,
        limits={"shards": shards, "batch_events": 100},
        flink={"mode": mode, "checkpoint_ms": 200, "linger_ms": 5},
    )

    def part() -> list[bytes]:
        start = next(steps)
        return lines[start : start + EVENTS // STEPS]

    run = job.start()
    with trickle(kafka, source, part()):
        job.wait_for(100, run)
        if mode == "process":
            # A Python worker: Flink starts the job again from its last checkpoint.
            workers = [
                pid for pid, command in run.tree() if "beam_sdk_worker_main" in command or "beam_boot" in command
            ]
            assert workers
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        time.sleep(2)
    written = len(kafka.read(source))
    # The JVM: the command ends with an error, and the same command goes on.
    with trickle(kafka, source, lines[written : 2 * EVENTS // STEPS]):
        before = len(job.read("decisions"))
        job.wait_for(before + 50, run)
        tree = run.tree()
        machine = next(pid for pid, command in tree if "PythonGatewayServer" in command)
        os.kill(machine, signal.SIGKILL)
        assert run.end() != 0
        # Workers end with it: nothing of PyFlink's is left behind.
        workers = [pid for pid, command in tree if "pyflink-udf-runner" in command or "beam_boot" in command]
        assert workers or mode == "thread"
        gone(workers)
    run = job.start()
    written = len(kafka.read(source))
    # All of it.
    with trickle(kafka, source, lines[written : 3 * EVENTS // STEPS]):
        before = len(job.read("decisions"))
        job.wait_for(before + 50, run)
        run.kill()
    run = job.start()
    # A stop in order, and over to three tasks.
    written = len(kafka.read(source))
    with trickle(kafka, source, lines[written : 4 * EVENTS // STEPS]):
        before = len(job.read("decisions"))
        job.wait_for(before + 50, run)
        os.kill(run.process.pid, signal.SIGTERM)
        assert run.end() == 0, run.log.read_text(errors="replace")[-3000:]
    run = job.start(tasks=3)
    kafka.produce(source, lines[len(kafka.read(source)) :])
    local = Job(kafka, tmp_path / "local", source)
    assert local.start("local").end() == 0, (local.folder / "log").read_text()
    expected = local.read("decisions")
    assert len(expected) > EVENTS // 2
    job.wait_for(len(expected), run)
    time.sleep(1)
    os.kill(run.process.pid, signal.SIGTERM)
    assert run.end() == 0, run.log.read_text(errors="replace")[-3000:]
    assert job.read("decisions") == expected
    assert job.alerts() == local.alerts()
    assert job.read("dead-letters") == local.read("dead-letters")


@pytest.mark.parametrize("shards", [1, 3])
def test_state_is_made_anew_from_the_topic(kafka: Broker, tmp_path: Path, compiled: None, shards: int) -> None:
    """A detector that cannot take the state over has the history of the source; what was decided stands."""
    lines, source = sample_lines(2_000), kafka.topic("events")
    kafka.produce(source, lines[:1_000])
    limits = {"shards": shards, "batch_events": 300}
    job = Job(kafka, tmp_path / "flink", source, limits=limits, flink={"checkpoint_ms": 200})
    local = Job(kafka, tmp_path / "local", source)
    assert local.start("local").end() == 0, (local.folder / "log").read_text()
    before = len(local.read("decisions"))
    run = job.start()
    job.wait_for(before, run)
    os.kill(run.process.pid, signal.SIGTERM)
    assert run.end() == 0, run.log.read_text(errors="replace")[-3000:]
    kafka.produce(source, lines[1_000:])
    for each in (job, local):
        each.definition.write_text(ANEW)
    refused = job.start()
    assert refused.end() == 1
    assert "--accept-detector" in refused.log.read_text(errors="replace").replace("\n", " ")
    for each in (job, local):
        each.content["state"] = {**each.content["state"], "accept_detector": True}
    assert local.start("local").end() == 0, (local.folder / "log").read_text()
    expected = local.read("decisions")
    assert len(expected) > before + 500
    run = job.start()
    job.wait_for(len(expected), run)
    time.sleep(1)
    # The same command again: it goes on in the new state.
    os.kill(run.process.pid, signal.SIGTERM)
    assert run.end() == 0, run.log.read_text(errors="replace")[-3000:]
    assert job.read("decisions") == expected
    assert job.alerts() == local.alerts()
    assert job.read("dead-letters") == local.read("dead-letters")
