"""Payments from a topic through Spark on two cores, beside the same job with nothing to compute, and the obvious way.

Rates are those of micro-batches behind the second: the first starts workers and compiles Java's half of Spark; what the
whole run reached with them is in the note. The job with an empty kernel reads, decodes, finds duplicates, shuffles and
writes the same; its detector has no features and no rules. The obvious way is a pandas function for each card, with a
list of its payments as state; it gives four of the windows, and ours beside it gives the same four.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from benchmarks.harness import Result, report
from benchmarks.kafka_bench import broker, fill
from counterfoil.connectors.kafka_topics import TopicAdmin, WantedTopic
from counterfoil.definition.writing import write_detector
from counterfoil.detector_file import load_detector
from counterfoil.stack.artifacts import library

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-spark" / "bin" / "python"
EVENTS = 1_200_000
OBVIOUS_EVENTS = 20_000
CUSTOMERS = 20_000
MICRO_BATCH = 200_000
WINDOWS = """
features:
  - {name: card_count, count: transaction, by: card, over: [1h, 24h]}
  - {name: card_spend, sum: amount, by: card, over: [1h, 24h]}
"""


def definition(features: str) -> str:
    """Return the payments detector with other features and no rules."""
    content = yaml.safe_load(write_detector(load_detector("payments")))
    for name in ("features", "rules", "lists", "policy", "description"):
        content.pop(name, None)
    content["entities"] = {"card": "card_id"}
    return yaml.safe_dump(content | (yaml.safe_load(features) if features else {}), sort_keys=False)


class Bench:
    """Runs jobs in Spark's environment, each in a process of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.jars = [str(path) for path in sorted(library("spark", lambda _: None).glob("*.jar"))]

    def settings(
        self, name: str, detector: str, topic: str, shards: int, micro_batch: int, **sink: Any
    ) -> dict[str, Any]:
        """Return the settings of a run of ours."""
        return {
            "detector": detector,
            "runtime": "spark",
            "source": {
                "type": "kafka",
                "servers": self.address,
                "topics": [{"name": topic}],
                "until_end": True,
            },
            "sinks": [{"path": str(self.folder / f"{name}.ndjson"), **sink}],
            "state": {"folder": str(self.folder / f"{name}-state")},
            "limits": {"shards": shards, "threads": 2},
            "spark": {"micro_batch_events": micro_batch},
        }

    def run(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        """Run a job; return what it did."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({**job, "jars": self.jars}))
        done = subprocess.run(
            [str(PYTHON), "-m", "benchmarks.spark_job", str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr[-3_000:])
        found: dict[str, Any] = json.loads(path.with_suffix(".done").read_text())
        return found

    def counterfoil(
        self, name: str, detector: str, topic: str, shards: int = 1, micro_batch: int = MICRO_BATCH, **sink: Any
    ) -> dict[str, Any]:
        """Run one of ours."""
        return self.run(name, {"session": self.settings(name, detector, topic, shards, micro_batch, **sink)})


def rate(done: dict[str, Any]) -> float:
    """Return the events a second of micro-batches behind the second; the last is seldom full and is left out, too."""
    some = done["batches"][2:-1] or done["batches"][1:]
    return sum(events for events, _ in some) / sum(seconds for _, seconds in some)


def same_windows(ours: Path, theirs: Path) -> bool:
    """Return whether both ways gave the same four numbers for every payment."""
    wanted = {row[0]: row[1:] for row in map(json.loads, theirs.read_text().splitlines())}
    found = {}
    for line in map(json.loads, ours.read_text().splitlines()):
        features = line["features"]
        if features["card_count_1h"] is None:
            # A transfer: there is no card.
            continue
        spends = [round(100 * (features[f"card_spend_{window}"] or 0)) for window in ("1h", "24h")]
        counts = [features[f"card_count_{window}"] for window in ("1h", "24h")]
        found[line["id"]] = [counts[0], spends[0], counts[1], spends[1]]
    return bool(wanted) and found == wanted


def main(parts: str = "whole,empty,shards,obvious") -> list[Result]:
    """Measure."""
    if not PYTHON.exists():
        if os.environ.get("CI") == "true":
            raise SystemExit("the environment of spark is required; run: make .venv-spark")
        print("skipped: no .venv-spark; run: make .venv-spark", file=sys.stderr)
        return []
    results: list[Result] = []
    note = f"{EVENTS:,} payments, 2 partitions, {CUSTOMERS:,} customers, local[2], broker beside it"
    with broker() as address, tempfile.TemporaryDirectory(prefix="counterfoil-spark-") as name:
        bench = Bench(address, Path(name))
        admin = TopicAdmin(address, {})
        topics = [f"spark-{uuid4().hex[:8]}" for _ in range(2)]
        admin.apply(admin.plan([WantedTopic(topic, 2, 1) for topic in topics]))
        fill(address, topics[0], EVENTS, CUSTOMERS)
        wanted = parts.split(",")
        whole = bench.counterfoil("whole", "payments", topics[0]) if "whole" in wanted else None
        if whole is not None:
            overall = whole["events"] / whole["seconds"]
            told = f"{note}; {overall:,.0f} with the start of its workers"
            results.append(
                Result("payments through Spark, state in one part", rate(whole), "events/s", "≥ 25,000", told)
            )
        if "empty" in wanted and whole is not None:
            path = bench.folder / "empty.yaml"
            path.write_text(definition(""))
            empty = bench.counterfoil("empty", str(path), topics[0])
            results.append(
                Result(
                    "… its time over that of the same job with an empty kernel", rate(empty) / rate(whole), "×", "≤ 1.3"
                )
            )
        if "shards" in wanted:
            shards = bench.counterfoil("shards", "payments", topics[0], shards=2)
            overall = shards["events"] / shards["seconds"]
            told = f"as above; {overall:,.0f} with the start of its workers"
            results.append(
                Result("payments through Spark, state in two parts", rate(shards), "events/s", "≥ 25,000", told)
            )
        if "obvious" in wanted:
            fill(address, topics[1], OBVIOUS_EVENTS, CUSTOMERS)
            path = bench.folder / "windows.yaml"
            path.write_text(definition(WINDOWS))
            micro = OBVIOUS_EVENTS // 5
            ours = bench.counterfoil("windows", str(path), topics[1], 1, micro, features=True)
            session = bench.settings("obvious", "payments", topics[1], 1, micro)
            job = {"servers": address, "topic": topics[1], "micro_batch_events": micro}
            job |= {"output": str(bench.folder / "theirs"), "checkpoint": str(bench.folder / "obvious-state")}
            theirs = bench.run("obvious", {"session": session, "obvious": job})
            if not same_windows(bench.folder / "windows.ndjson", bench.folder / "theirs"):
                raise SystemExit("the obvious way and ours give different windows")
            told = (
                f"{OBVIOUS_EVENTS:,} payments, {micro:,} a micro-batch, the same results; {rate(theirs):,.0f} events/s"
            )
            results.append(
                Result(
                    "four windows on Spark, over a pandas function for each card",
                    rate(ours) / rate(theirs),
                    "×",
                    "≥ 5",
                    told,
                )
            )
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--parts", default="whole,empty,shards,obvious", help="what is measured")
    chosen = parser.parse_known_args()[0].parts
    report(lambda: main(chosen))
