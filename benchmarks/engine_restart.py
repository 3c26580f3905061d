"""From ``kill -9`` to the first new decision on Spark and on Flink, with a million entities in state.

A job decides payments between topics; everything of it is killed once it has decided most of them. What is measured is
the same command again, from its start until a reader of committed messages sees a new decision: Python, the engine's
JVM and its workers, the checkpoint, the arrays made again from snapshot and log, a transaction. How long the same
command takes with an empty state and a new topic is told beside it: the difference is what the state costs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benchmarks.harness import Result, report
from benchmarks.kafka_bench import broker, fill, make_topics, payments, reader, until

ROOT = Path(__file__).resolve().parents[1]
EVENTS = 900_000
CUSTOMERS = 80_000
"""With their cards, devices, accounts and pairs more than a million entities after that many events."""
KILLED_AFTER = 800_000
MORE = 20_000
SECONDS_MAX = 200.0


@dataclass
class Job:
    """A job between topics.

    Parameters
    ----------
    engine
        Who carries it out.
    address
        The broker.
    folder
        For its settings and its state.
    """

    engine: str
    address: str
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        name = uuid4().hex[:6]
        self.source, self.target = f"bench-{name}-in", f"bench-{name}-out"
        make_topics(self.address, self.source, self.target)

    @contextmanager
    def _running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Give the running command; kill it at the end."""
        process = self._start()
        try:
            yield process
        finally:
            kill(process)

    def _start(self) -> subprocess.Popen[bytes]:
        topics = {"type": "kafka", "servers": self.address, "topics": [{"name": self.source}]}
        content = {
            "detector": "payments",
            "runtime": self.engine,
            "source": topics,
            "sinks": [{"type": "kafka", "topic": self.target}],
            "state": {"folder": str(self.folder / "state")},
            "limits": {"threads": 2},
            "flink": {"checkpoint_ms": 5_000},
            "spark": {"micro_batch_events": 100_000},
        }
        path = self.folder / "run.yaml"
        path.write_text(json.dumps(content))
        words = [str(python_of(self.engine)), "-m", "counterfoil", "run", str(path), "--quiet"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def first_decision(self, events: int) -> float:
        """Write events, start the job, and return after how many seconds there is a new decision; then kill it."""
        client = reader(self.address, self.target, at_end=True)
        fill(self.address, self.source, events, CUSTOMERS)
        began = time.perf_counter()
        with self._running():
            until(lambda: any(each.error() is None for each in client.consume(1, 0.05)), SECONDS_MAX)
            seconds = time.perf_counter() - began
        client.close()
        return seconds

    def decide_until(self, count: int) -> None:
        """Let it decide so many events, and kill it."""
        client = reader(self.address, self.target)
        seen = 0

        def reached() -> bool:
            nonlocal seen
            if process.poll() is not None:
                raise SystemExit((self.folder / "log").read_text(errors="replace")[-3_000:])
            seen += sum(each.error() is None for each in client.consume(10_000, 0.2))
            return seen >= count

        with self._running() as process:
            until(reached, SECONDS_MAX)
        client.close()

    def state_bytes(self) -> int:
        """Return how large the state folder is."""
        return sum(path.stat().st_size for path in (self.folder / "state").rglob("*") if path.is_file())


def python_of(engine: str) -> Path:
    """Return the Python of an engine's environment."""
    return ROOT / f".venv-{engine}" / "bin" / "python"


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    waiting, found = [process.pid], []
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def counted() -> tuple[int, int]:
    """Return how many entities the events before the kill have, and how many decisions, as one program counts them."""
    from counterfoil.config import LimitsConfig, SourceConfig, TopicConfig
    from counterfoil.detector_file import load_detector
    from counterfoil.events.identity import IdentityKey
    from counterfoil.events.record_batch import RecordBatch
    from counterfoil.program import Program
    from counterfoil.runtimes.local.kafka_input import topic_decoder

    detector, key = load_detector("payments"), IdentityKey()
    topic = TopicConfig(name="in")
    decoder = topic_decoder(topic, SourceConfig(type="kafka", topics=(topic,)), LimitsConfig(), detector, key)
    program, decided = Program(detector, key, state_bytes=1 << 34), 0
    for lines, _ in payments(KILLED_AFTER, CUSTOMERS):
        decided += len(program.process(decoder.decode_records(RecordBatch.of(lines), time.time_ns() // 1000).batch))
    return sum(program.entities().values()), decided


def main(engines: str = "spark,flink") -> list[Result]:
    """Kill a job on its way, start it again, and wait for a decision."""
    results: list[Result] = []
    entities, decided = counted()
    with broker() as address, tempfile.TemporaryDirectory(prefix="counterfoil-restart-") as name:
        for engine in engines.split(","):
            if not python_of(engine).exists():
                if os.environ.get("CI") == "true":
                    raise SystemExit(f"the environment of {engine} is required; run: make .venv-{engine}")
                print(f"skipped: no .venv-{engine}; run: make .venv-{engine}", file=sys.stderr)
                continue
            empty = Job(engine, address, Path(name) / f"{engine}-empty").first_decision(MORE)
            job = Job(engine, address, Path(name) / engine)
            fill(address, job.source, EVENTS, CUSTOMERS)
            job.decide_until(decided)
            size = job.state_bytes() / 1e6
            seconds = job.first_decision(MORE)
            note = f"{entities:,} entities, {size:,.0f} MB in the checkpoint; {empty:.1f} s with an empty state"
            told = f"{engine.capitalize()}, kill -9 of everything to the first new decision"
            results.append(Result(told, seconds, "s", "", note))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--engines", default="spark,flink", help="which are measured")
    wanted = parser.parse_known_args()[0].engines
    report(lambda: main(wanted))
