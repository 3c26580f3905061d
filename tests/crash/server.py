"""Starts runs and kills them: a process that is warm (imports done, kernels loaded) and forks a child for each.

A fresh interpreter takes a second to be ready, a fork some milliseconds. Polars is imported and not used before the
fork: its threads would not survive it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.runtimes.local import failpoints
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.records import make_records
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.crash.children import serve
from tests.runtimes.sample import sample_config, sample_detector, sample_lines

CLOCK = 1_800_000_000_000_000
FRESH = Program(sample_detector())
"""Compiled once; each child uses its own copy of it."""


def warm() -> None:
    """Load every kernel that does not need polars."""
    detector = sample_detector()
    decoder = JsonDecoder(detector.schema, DecoderSettings(), IdentityKey(), detector.max_skew)
    decoded = decoder.decode(b"\n".join(sample_lines(50)), 0, CLOCK)
    program = Program(detector)
    decided = program.process(decoded.batch)
    LineEncoder().encode(make_records(decoded.batch, decided, program), CLOCK, "warm")
    program.restore({name: np.array(array) for name, array in program.snapshot().items()})


def work(command: dict[str, Any]) -> None:
    """Do one run, in the child."""
    failpoints.arm(command.get("fail_at"))
    folder = Path(command["folder"])
    config = sample_config(
        folder,
        Path(command["input"]),
        batch_events=command["batch_events"],
        features=command["features"],
        parquet=command["features"],
        replay_seconds=0.0 if command["snapshots"] else 1_000.0,
        snapshot_share=1.0,
    )
    with LocalRuntime(config, FRESH.detector, FRESH, clock=lambda: CLOCK) as runtime:
        if command["snapshots"]:
            # One whenever the last is finished, however dear.
            runtime.snapshots._share = math.inf
        runtime.run()


if __name__ == "__main__":
    serve(warm, work, 0.000_5)
