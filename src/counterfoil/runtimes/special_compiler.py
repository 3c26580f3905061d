"""The process that compiles kernels for stages: stages on standard input, a line of JSON a stage on standard output.

It steps back behind everything else that runs, and holds each kernel against the one that reads tables before it is
kept. Where another process is at it already, it waits, and takes what that has made.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import sys
import time

import msgspec

from counterfoil.compiled import stages_folder
from counterfoil.features import special
from counterfoil.features.special_check import Trial
from counterfoil.runtimes.special_kernels import StageText, find, keep

_NICE = 19
_SECONDS = 1_800
"""Seconds of a processor after which the system ends it."""


def main() -> None:
    """Compile the stages that standard input names."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    stages = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[StageText])
    folder = stages_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stage in stages:
            started = time.monotonic()
            error = _compile(stage)
            told = {"stage": stage.name, "seconds": round(time.monotonic() - started, 1), "error": error}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()


def _compile(stage: StageText) -> str | None:
    """Compile a stage; return why there is no kernel for it, or None."""
    plan, keys = stage.plan(), stage.keys
    if find(plan, keys) is not None:
        return None
    # First what the other kernel makes of it: were that compiled after the limits are raised, it would be kept so.
    trial = Trial(plan, keys)
    code = special.machine_code(plan, keys)
    if not trial.passes(special.load(code)):
        return "its answers are not those of the kernel that reads tables; please report this"
    keep(plan, keys, code)
    return None


if __name__ == "__main__":
    main()
