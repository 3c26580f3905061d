"""Spark between real topics, through kills of workers, JVM and all: what is written is as if there were none."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.conformance.cases import CLOCK
from tests.conformance.engines import ROOT, python_of
from tests.conftest import absent
from tests.integration.kafka import Broker
from tests.runtimes.sample import ANEW, DEFINITION, sample_lines

EVENTS = 4_000
SECONDS = 240.0


@dataclass
class Run:
    """A command in a process group of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def tree(self) -> list[tuple[int, str]]:
        """Return the processes below it, each with its command."""
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
        found, waiting = [], [self.process.pid]
        while waiting:
            for child in parents.get(waiting.pop(), ()):
                try:
                    command = (Path("/proc") / str(child) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                found.append((child, command))
                waiting.append(child)
        return found

    def workers(self) -> list[int]:
        """Return Spark's Python workers: the daemon's children."""
        daemons = [pid for pid, command in self.tree() if "pyspark.daemon" in command]
        return daemons[1:]

    def kill_workers(self) -> None:
        """Kill workers until one was in the middle of something: those that are idle are not missed."""
        deadline = time.monotonic() + SECONDS
        while b"exited unexpectedly" not in self.log.read_bytes():
            assert time.monotonic() < deadline, "no worker had work"
            for pid in self.workers():
                os.kill(pid, signal.SIGKILL)
            time.sleep(1.5)

    def virtual_machine(self) -> int:
        """Return Spark's JVM."""
        return next(pid for pid, command in self.tree() if "SparkSubmit" in command)

    def kill(self) -> None:
        """Kill everything at once."""
        pids = [pid for pid, _ in self.tree()]
        os.killpg(self.process.pid, signal.SIGKILL)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()

    def end(self) -> int:
        """Wait for its end."""
        return self.process.wait(SECONDS)


@dataclass
class Job:
    """A run between topics and into a file, and the means to start it again."""

    broker: Broker
    folder: Path
    source: str
    shards: int

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.definition = self.folder.parent / "sample.yaml"
        self.definition.write_text(DEFINITION)
        name = self.folder.name
        self.decisions = self.broker.topic(f"{name}-decisions")
        self.alerts = self.broker.topic(f"{name}-alerts", partitions=2)
        self.letters = self.broker.topic(f"{name}-letters")
        self.output = self.folder / "decisions.ndjson"

    def words(self, on: str) -> list[str]:
        url = self.broker.url
        words = [str(python_of(on) if on != "local" else ROOT / ".venv/bin/python"), "-m", "counterfoil", "run"]
        words += ["--on", on, "--detector", str(self.definition), "--input", url(self.source), "--until-end"]
        words += ["--output", url(self.decisions), "--output", str(self.output), "--alerts-to", url(self.alerts)]
        words += ["--dead-letters-to", url(self.letters), "--state", str(self.folder / "state")]
        return [*words, "--shards", str(self.shards), "--threads", "2", str(self.folder / "run.yaml")]

    def start(self, on: str = "spark", *more: str, properties: Mapping[str, str] | None = None) -> Run:
        limits = {"batch_events": 100} if on == "spark" else {}
        spark = {"micro_batch_events": 400, "properties": dict(properties or {})}
        settings = {"detector": "sample", "spark": spark, "limits": limits}
        (self.folder / "run.yaml").write_text(json.dumps(settings))
        log = self.folder / "log"
        environment = {**os.environ, "COUNTERFOIL_FIXED_CLOCK": str(CLOCK)}
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*self.words(on), *more], cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        return Run(process, log)

    def written(self) -> int:
        """Return how many decisions are committed."""
        return len(self.broker.read(self.decisions))

    def wait_for(self, count: int, run: Run) -> None:
        """Wait until the topic has so many decisions."""
        deadline = time.monotonic() + SECONDS
        while self.written() < count:
            assert run.process.poll() is None, run.log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, "no decisions came"
            time.sleep(0.3)

    def decided(self) -> list[bytes]:
        """Return the decisions in the topic, in their order."""
        return [message.value() or b"" for message in self.broker.read(self.decisions)]

    def alerted(self) -> dict[bytes, bytes]:
        """Return each alert as it stood last."""
        return {message.key() or b"": message.value() or b"" for message in self.broker.read(self.alerts)}

    def lettered(self) -> list[bytes]:
        """Return what could not be decoded."""
        return [message.value() or b"" for message in self.broker.read(self.letters)]


@pytest.fixture(scope="module", autouse=True)
def _environment() -> None:
    if not python_of("spark").exists():
        absent("the environment of spark (make .venv-spark)")


@pytest.fixture
def jobs(kafka: Broker, tmp_path: Path, compiled: None) -> Callable[[str, int], Job]:
    """Give what makes a job over one topic of events."""

    def make(name: str, shards: int) -> Job:
        return Job(kafka, tmp_path / name, source, shards)

    source = kafka.topic("events")
    kafka.produce(source, sample_lines(EVENTS))
    return make


@pytest.mark.parametrize("shards", [3])
def test_kills_change_nothing(jobs: Callable[[str, int], Job], shards: int) -> None:
    local = jobs("local", 1)
    assert local.start("local").end() == 0, (local.folder / "log").read_text()
    job = jobs("spark", shards)
    run = job.start()
    # A worker: Spark repeats its task in another one, which makes the state again.
    job.wait_for(300, run)
    run.kill_workers()
    # The JVM: the command ends with an error, and the same command goes on.
    job.wait_for(1_000, run)
    os.kill(run.virtual_machine(), signal.SIGKILL)
    assert run.end() != 0
    run = job.start()
    # All of it.
    job.wait_for(2_000, run)
    run.kill()
    assert job.written() < len(local.decided())
    assert job.start().end() == 0, (job.folder / "log").read_text(errors="replace")[-3000:]
    assert job.decided() == local.decided()
    assert job.output.read_bytes() == local.output.read_bytes()
    assert job.alerted() == local.alerted()
    assert job.lettered() == local.lettered()
    # Nothing is left to do, and nothing is written a second time.
    assert job.start().end() == 0
    assert job.decided() == local.decided()


def test_state_is_made_anew_from_the_topic(kafka: Broker, tmp_path: Path, compiled: None) -> None:
    """A detector that cannot take the state over has the history of the source; what was decided stands."""
    lines, source = sample_lines(2_000), kafka.topic("events")
    jobs = {on: Job(kafka, tmp_path / on, source, 1) for on in ("local", "spark")}
    for events, definition in ((lines[:1_000], DEFINITION), (lines[1_000:], ANEW)):
        kafka.produce(source, events)
        for on, job in jobs.items():
            job.definition.write_text(definition)
            # The first time there is nothing to accept.
            assert job.start(on, "--accept-detector").end() == 0, (job.folder / "log").read_text(errors="replace")[
                -3000:
            ]
    local, spark = jobs["local"], jobs["spark"]
    assert len(local.decided()) > 1_000
    assert spark.decided() == local.decided()
    assert spark.output.read_bytes() == local.output.read_bytes()
    assert spark.alerted() == local.alerted()
    assert spark.lettered() == local.lettered()


_LOUD = """
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %m%n
logger.consumer.name = org.apache.kafka.clients.consumer
logger.consumer.level = info
"""


def test_a_group_begins_the_names_of_spark_s_own_and_shares_nothing(
    kafka: Broker, tmp_path: Path, compiled: None
) -> None:
    """Spark keeps positions in its checkpoint: what a group of this name has committed is neither read nor moved."""
    group, source = kafka.group(), kafka.topic("events")
    kafka.produce(source, sample_lines(300))
    consumer = Consumer(kafka.settings(group_id=group))
    consumer.commit(offsets=[TopicPartition(source, 0, 300)], asynchronous=False)
    consumer.close()
    local, job = Job(kafka, tmp_path / "local", source, 1), Job(kafka, tmp_path / "spark", source, 1)
    assert local.start("local", "--group", kafka.group("local")).end() == 0
    (tmp_path / "log4j2.properties").write_text(_LOUD)
    options = f"-Dlog4j2.configurationFile=file:{tmp_path}/log4j2.properties"
    run = job.start("spark", "--group", group, properties={"spark.driver.extraJavaOptions": options})
    assert run.end() == 0, run.log.read_text(errors="replace")[-3000:]
    assert len(local.decided()) > 100
    assert job.decided() == local.decided()
    names = set(re.findall(r"groupId=([^\]]+)", run.log.read_text(errors="replace")))
    assert names
    assert all(name.startswith(f"{group}-") for name in names)
    assert kafka.position(group, source) == [300]
