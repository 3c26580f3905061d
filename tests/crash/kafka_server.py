"""Starts runs between topics and kills them: a warm process that forks a child for each, as ``server.py`` does."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import confluent_kafka  # noqa: F401 - loaded before the fork; it starts no thread before the first client

from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.observability import configure_logs
from counterfoil.program import Program
from counterfoil.runtimes.local import failpoints, kafka, kafka_input, kafka_metrics  # noqa: F401
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.records import make_records
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.crash.kafka_sample import Numbered, numbered_config, numbered_detector
from tests.crash.server import answer

FRESH = Program(numbered_detector())
"""Compiled once; each child uses its own copy of it."""


def main() -> None:
    """Answer one line of JSON for each line of JSON, until the input ends."""
    configure_logs("error")
    warm()
    print("ready", flush=True)  # noqa: T201 - the parent reads it
    for line in sys.stdin:
        print(json.dumps(run_child(json.loads(line))), flush=True)  # noqa: T201


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


def run_child(command: dict[str, Any]) -> dict[str, Any]:
    """Run in a child, kill it when told to, and return how it ended."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            work(command)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    if command.get("kill_after") is not None:
        deadline = started + command["kill_after"]
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return answer(status, started)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return answer(status, started)


def work(command: dict[str, Any]) -> None:
    """Do one run, in the child."""
    failpoints.arm(command.get("fail_at"))
    config = numbered_config(
        Path(command["folder"]), command["address"], tuple(command["topics"]), command["group"], **command["limits"]
    )
    with LocalRuntime(config, FRESH.detector, FRESH) as runtime:
        runtime.run()


if __name__ == "__main__":
    main()
