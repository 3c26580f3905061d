"""Starts runs between topics and kills them: a warm process that forks a child for each, as ``server.py`` does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import confluent_kafka  # noqa: F401 - loaded before the fork; it starts no thread before the first client

from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.runtimes.local import failpoints, kafka, kafka_input, kafka_metrics  # noqa: F401
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.records import make_records
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.crash.children import serve
from tests.crash.kafka_sample import Numbered, numbered_config, numbered_detector

FRESH = Program(numbered_detector())
"""Compiled once; each child uses its own copy of it."""


def warm() -> None:
    """Load every kernel that does not need polars."""
    detector = numbered_detector()
    decoder = JsonDecoder(detector.schema, DecoderSettings(), IdentityKey(), detector.max_skew)
    lines = b"\n".join(value for _, _, value in Numbered.draw(50, 1).messages())
    decoded = decoder.decode(lines, 0, time.time_ns() // 1000)
    program = Program(detector)
    decided = program.process(decoded.batch)
    columns = tuple(zip(program.feature_names, program.feature_types, strict=True))
    LineEncoder(columns).encode(make_records(decoded.batch, decided, program, with_features=True), 1, "warm")


def work(command: dict[str, Any]) -> None:
    """Do one run, in the child."""
    failpoints.arm(command.get("fail_at"))
    config = numbered_config(
        Path(command["folder"]), command["address"], tuple(command["topics"]), command["group"], **command["limits"]
    )
    with LocalRuntime(config, FRESH.detector, FRESH) as runtime:
        runtime.run()


if __name__ == "__main__":
    serve(warm, work, 0.002)
