"""What every runtime must decide alike: detectors, events and settings."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector
from tests.runtimes.engine.in_process import sample_records
from tests.runtimes.local.models_sample import WITH_MODELS as MODELS_DEFINITION
from tests.runtimes.local.models_sample import add_versions
from tests.runtimes.sample import DEFINITION, sample_lines

CLOCK = 1_800_000_000_000_000
"""What decisions are stamped with: files can be compared byte by byte."""


@dataclass(frozen=True)
class Case:
    """Events for a detector.

    Parameters
    ----------
    name
        In a word or two.
    detector
        A built-in one, or a definition's text.
    lines
        Makes the events.
    settings
        Of the run, beside source and sinks.
    """

    name: str
    detector: str
    lines: Callable[[], list[bytes]]
    settings: dict[str, Any] = field(default_factory=dict)

    def definition(self, folder: Path) -> str:
        """Return what a run calls the detector: a text is written to a file first."""
        if "\n" not in self.detector:
            return self.detector
        path = folder / "detector.yaml"
        path.write_text(self.detector)
        return str(path)

    def load(self) -> Detector:
        """Return the detector."""
        from counterfoil.detector_file import read_detector

        return read_detector(self.detector) if "\n" in self.detector else load_detector(self.detector)


def shuffled(lines: list[bytes], seed: int = 2, reach: int = 300) -> list[bytes]:
    """Return lines out of order: many come long after their time."""
    draw = random.Random(seed)
    keys = [number + (draw.randrange(reach) if draw.random() < 0.2 else 0) for number in range(len(lines))]
    return [line for _, line in sorted(zip(keys, lines, strict=True), key=lambda each: each[0])]


def repeated(lines: list[bytes], seed: int = 4) -> list[bytes]:
    """Return lines of which many come again, some long after, some with another content."""
    draw = random.Random(seed)
    found: list[bytes] = []
    for number, line in enumerate(lines):
        found.append(line)
        if draw.random() < 0.1:
            again = lines[draw.randrange(max(0, number - 400), number + 1)]
            if draw.random() < 0.3:
                event = json.loads(again)
                event[_time_of(event)] = datetime.fromtimestamp(1_767_225_600 + 86_400 * 30 + number, UTC).isoformat()
                again = json.dumps(event).encode()
            found.append(again)
    return found


def _time_of(event: dict[str, Any]) -> str:
    return next(name for name in ("event_time", "changed_at", "known_at", "at", "time") if name in event)


def ties(lines: list[bytes]) -> list[bytes]:
    """Return lines of which many share one instant."""
    found = []
    for line in lines:
        event = json.loads(line)
        name = _time_of(event)
        time = datetime.fromisoformat(event[name])
        event[name] = time.replace(minute=0, second=0, microsecond=0).isoformat()
        found.append(json.dumps(event).encode())
    return found


def poison(lines: list[bytes], seed: int = 6) -> list[bytes]:
    """Return lines with others among them that are no events."""
    draw = random.Random(seed)
    bad = [b"{", b"[]", b"\xff\xfe", b"", b'{"kind": "nothing"}', b"null", b'{"kind": 1}']
    found: list[bytes] = []
    for line in lines:
        if draw.random() < 0.05:
            found.append(draw.choice(bad))
        found.append(line)
    return found


def payments(count: int = 3_000, pool: int = 12, seed: int = 3) -> list[bytes]:
    """Return random events of every kind of the payments detector."""
    return sample_records(load_detector("payments"), count, seed, pool)


def _late(definition: str) -> str:
    return definition + "max_lateness: 10m\n"


CASES = (
    Case("in order", "payments", payments),
    Case("out of order", "payments", lambda: shuffled(payments())),
    Case("hot key", "payments", lambda: payments(pool=1)),
    Case("ties", "payments", lambda: ties(payments())),
    Case("late beyond the limit", _late(DEFINITION), lambda: shuffled(sample_lines(2_000), reach=900)),
    Case("duplicates", "payments", lambda: repeated(payments())),
    Case("poison", "payments", lambda: poison(payments())),
    Case("two kinds and a change", DEFINITION, lambda: sample_lines(2_000)),
    Case("no ids", "laundering", lambda: sample_records(load_detector("laundering"), 3_000)),
    Case("one kind", "handbook", lambda: sample_records(load_detector("handbook"), 3_000)),
    Case("lists of values", "profile-change", lambda: sample_records(load_detector("profile-change"), 3_000)),
    Case("another secret", "payments", lambda: payments(1_000), {"secret": "quite another"}),
    Case("every feature", DEFINITION, lambda: sample_lines(1_000), {"features": True}),
    Case("a table", "payments", lambda: payments(1_000), {"features": True, "table": True}),
)
"""What is decided alike."""

WITH_MODELS = Case("models", MODELS_DEFINITION, lambda: sample_lines(1_500), {"models": True})
"""Needs the libraries for models."""


@dataclass(frozen=True)
class Gap:
    """What an engine refuses.

    Parameters
    ----------
    name
        In a word or two.
    settings
        Of a run that asks for it.
    definition
        Of the detector.
    """

    name: str
    settings: dict[str, Any]
    definition: str = DEFINITION


_FILE = {"source": {"type": "file", "path": "in.ndjson"}}
GAPS = (
    Gap("outlier scores in shards", {**_FILE, "limits": {"shards": 2}}, DEFINITION + "outliers: {odd: [count_1h]}\n"),
    Gap("features in some outputs", {**_FILE, "sinks": [{"path": "a.ndjson", "features": True}, {"path": "b.ndjson"}]}),
    Gap("a device as an output", {**_FILE, "sinks": [{"path": os.devnull}]}),
    Gap("own metrics", {**_FILE, "metrics": {"port": 0}}),
)
"""Gaps of all engines; each has some of its own."""
SPARK_GAPS = (Gap("standard input", {"source": {"type": "stdin"}}),)


def run_content(case: Case, folder: Path, output: Path, shards: int = 1, batch: int = 256) -> dict[str, Any]:
    """Return the settings of a run of a case; its events are written to the folder where they are not there yet."""
    source = folder / "in.ndjson"
    if not source.exists():
        source.write_bytes(b"".join(line + b"\n" for line in case.lines()))
    loaded = case.load()
    content: dict[str, Any] = {
        "detector": case.definition(folder),
        "source": {"path": str(source)},
        "sinks": [{"path": str(output), "features": bool(case.settings.get("features"))}],
        "limits": {"batch_events": batch, "shards": shards, "threads": 2},
        "spark": {"micro_batch_events": 4 * batch},
    }
    if len(loaded.schema.kinds) == 1:
        content["source"]["kind"] = loaded.schema.kinds[0].name
    if case.settings.get("table"):
        content["sinks"].append({**content["sinks"][0], "path": f"{output}.parquet", "format": "parquet"})
    if "secret" in case.settings:
        content["secret"] = case.settings["secret"]
    if case.settings.get("models"):
        content["models"] = {"registry": str(folder / "registry")}
        if not (folder / "registry").exists():
            add_versions(folder / "registry")
    return content


_TOPICS = {"type": "kafka", "servers": "localhost:9092", "topics": [{"name": "in"}]}
FLINK_GAPS = (
    Gap("standard input", {"source": {"type": "stdin"}}),
    Gap("a generator's rate", {"source": {"type": "generator", "rate": 10.0}}),
    Gap("files without an end", {"source": _TOPICS, "sinks": [{"path": "out.ndjson"}]}),
    Gap("gaps in topics", {"source": {**_TOPICS, "accept_gap": True}}),
)
"""What Flink alone does not do."""
