"""Payments from topic to topic through Flink on two cores, exactly once, beside the obvious ways.

A rate is that of the events by which a large run is larger than a small one, over the time by which it takes longer:
what Java needs to start and to compile itself is in both.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.harness import Result, report
from benchmarks.kafka_bench import broker, fill
from benchmarks.spark_payments import WINDOWS, definition
from counterfoil.connectors.kafka_topics import TopicAdmin, WantedTopic
from counterfoil.stack.artifacts import library

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-flink" / "bin" / "python"
SMALL, LARGE = 500_000, 2_500_000
OBVIOUS = {"function": (20_000, 60_000), "sql": (50_000, 250_000)}
CUSTOMERS = 20_000


class Bench:
    """Runs jobs in Flink's environment, each in a process of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.jars = [str(path) for path in sorted(library("flink", lambda _: None).glob("*.jar"))]
        self._admin = TopicAdmin(address, {})
        self._topics: dict[int, str] = {}

    def topic(self, events: int = 0) -> str:
        """Return a topic with so many payments."""
        if events and events in self._topics:
            return self._topics[events]
        name = f"flink-{uuid4().hex[:8]}"
        # One partition where windows are compared: between two there is no order of times.
        self._admin.apply(self._admin.plan([WantedTopic(name, 1 if 0 < events <= 250_000 else 2, 1)]))
        if events:
            fill(self.address, name, events, CUSTOMERS)
            self._topics[events] = name
        return name

    def ours(
        self, events: int, shards: int = 1, detector: str = "payments", checkpoint: int = 1_000, **sink: Any
    ) -> float:
        """Return the seconds of a run of ours."""
        path = self.folder / f"{uuid4().hex[:8]}.json"
        sinks = [sink] if sink else [{"type": "kafka", "topic": self.topic()}]
        source = {"type": "kafka", "servers": self.address, "topics": [{"name": self.topic(events)}], "until_end": True}
        content = {"detector": detector, "runtime": "flink", "source": source, "sinks": sinks}
        content |= {"flink": {"checkpoint_ms": checkpoint}}
        path.write_text(json.dumps({**content, "limits": {"shards": shards, "threads": 2}}))
        done = path.with_suffix(".done")
        self._call(["-m", "counterfoil", "run", str(path), "--summary-json", str(done), "--quiet"])
        return float(json.loads(done.read_text())["seconds"])

    def obvious(self, way: str, events: int, output: Path) -> float:
        """Return the seconds of one of the obvious ways."""
        path = self.folder / f"{uuid4().hex[:8]}.json"
        job = {"way": way, "topic": self.topic(events), "servers": self.address, "jars": self.jars}
        path.write_text(json.dumps({**job, "output": output.as_uri()}))
        self._call(["-m", "benchmarks.flink_job", str(path)])
        return float(json.loads(path.with_suffix(".done").read_text())["seconds"])

    def _call(self, words: list[str]) -> None:
        done = subprocess.run([str(PYTHON), *words], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit((done.stdout + done.stderr)[-3_000:])


def same_windows(ours: Path, theirs: Path) -> bool:
    """Return whether both ways gave the same four numbers for every payment with a card."""
    wanted = {}
    for part in theirs.glob("part-*"):
        with part.open(newline="") as file:
            for row in csv.reader(file):
                wanted[row[0]] = [int(row[1]), round(100 * float(row[2])), int(row[3]), round(100 * float(row[4]))]
    found = {}
    for line in map(json.loads, ours.read_text().splitlines()):
        of = line["features"]
        if of["card_count_1h"] is not None:
            spends = [round(100 * of[f"card_spend_{window}"]) for window in ("1h", "24h")]
            found[line["id"]] = [of["card_count_1h"], spends[0], of["card_count_24h"], spends[1]]
    return bool(wanted) and found == wanted


def main(parts: str = "whole,seldom,shards,function,sql") -> list[Result]:
    """Measure."""
    if not PYTHON.exists():
        if os.environ.get("CI") == "true":
            raise SystemExit("the environment of flink is required; run: make .venv-flink")
        print("skipped: no .venv-flink; run: make .venv-flink", file=sys.stderr)
        return []
    results: list[Result] = []
    chosen = parts.split(",")
    with broker() as address, tempfile.TemporaryDirectory(prefix="counterfoil-flink-") as name:
        bench = Bench(address, Path(name))
        for part, shards, checkpoint in (("whole", 1, 1_000), ("seldom", 1, 10_000), ("shards", 2, 1_000)):
            if part in chosen:
                small, large = (bench.ours(events, shards, checkpoint=checkpoint) for events in (SMALL, LARGE))
                start = small - SMALL * (large - small) / (LARGE - SMALL)
                note = f"{LARGE - SMALL:,} payments, 2 partitions, exactly once; {start:.0f} s to start"
                words = f"state in {shards} part{'s' * (shards > 1)}, a checkpoint every {checkpoint // 1000} s"
                rate = (LARGE - SMALL) / (large - small)
                results.append(Result(f"payments through Flink, {words}", rate, "events/s", "≥ 35,000", note))
        windows = bench.folder / "windows.yaml"
        windows.write_text(definition(WINDOWS))
        for way, told in (("function", "a keyed process function an event"), ("sql", "OVER windows of Flink's SQL")):
            if way not in chosen:
                continue
            few, many = OBVIOUS[way]
            seconds = [bench.obvious(way, events, bench.folder / f"{way}-{events}") for events in (few, many)]
            theirs = (many - few) / (seconds[1] - seconds[0])
            output = bench.folder / f"{way}.ndjson"
            bench.ours(few, detector=str(windows), path=str(output), features=True)
            if not same_windows(output, bench.folder / f"{way}-{few}"):
                raise SystemExit(f"{way} and ours give different windows")
            small, large = (bench.ours(events, detector=str(windows)) for events in (SMALL, LARGE))
            ratio = (LARGE - SMALL) / (large - small) / theirs
            note = f"the same results; {theirs:,.0f} events/s there"
            results.append(Result(f"four windows on Flink, over {told}", ratio, "×", "", note))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--parts", default="whole,seldom,shards,function,sql", help="what is measured")
    wanted = parser.parse_known_args()[0].parts
    report(lambda: main(wanted))
