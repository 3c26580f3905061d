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
from counterfoil.runtimes.special_kernels import LOCK, StageText, find, forget, keep

_NICE = 19
_SECONDS = 1_800
"""Seconds of a processor after which the system ends it."""


def main() -> None:
    """Compile the stages that standard input names."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    stages = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[StageText])
    folder = stages_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("ab")
    except OSError as error:
        reason = f"{folder} cannot be written to ({error.strerror}); NUMBA_CACHE_DIR names another folder"
        _tell("every stage", 0.0, reason)
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for stage in stages:
            started = time.monotonic()
            refusal = _compile(stage)
            _tell(stage.name, time.monotonic() - started, refusal)
        forget()


def _tell(stage: str, seconds: float, error: str | None) -> None:
    sys.stdout.write(json.dumps({"stage": stage, "seconds": round(seconds, 1), "error": error}) + "\n")
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
    try:
        keep(plan, keys, code)
    except OSError as error:
        return f"it cannot be kept in {stages_folder()}: {error.strerror}"
    return None


if __name__ == "__main__":
    main()
