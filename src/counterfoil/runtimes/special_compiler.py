"""The process that compiles kernels for stages: stages on standard input, what becomes of them on standard output.

It steps back behind everything else that runs. Each stage is compiled in a fork of its own, with limits on time and
memory, and its kernel is held against the one that reads tables before it is kept. The small ones come first: each is
of use as soon as it is there. Where another process is at a stage already, it waits, and takes what that has made. When
the process that asked for it is gone, it ends.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from counterfoil.compiled import stages_folder
from counterfoil.features import special
from counterfoil.features.special_check import Trial
from counterfoil.runtimes.special_kernels import (
    Order,
    StageText,
    Told,
    find,
    forget,
    keep,
    path_of,
    refusal,
    refuse,
)

_NICE = 19
_SECONDS = 180
"""Seconds of a processor that a stage may take."""
_BYTES = 6 << 30
"""Address space that compiling a stage may take; what states reserve is in it."""
_GLANCE = 0.05
"""Seconds between two looks at what one waits for."""
_KEPT, _REFUSED, _NOT_NOW = 0, 3, 4
"""How a fork ends: with a kernel, with a reason that will stand, with one that may pass."""
_WRONG = "its answers are not those of the kernel that reads tables; please report this"


def main() -> None:
    """Compile the stages that standard input names."""
    os.nice(_NICE)
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    asked_by, stages = order.asked_by, order.stages
    try:
        stages_folder().mkdir(parents=True, exist_ok=True)
        for number in sorted(range(len(stages)), key=lambda number: stages[number].size):
            with _alone(number, stages[number], asked_by):
                _carry(number, stages[number], asked_by)
        forget()
    except OSError as error:
        _tell(Told(-1, "", "failed", 0.0, _unwritable(error)))


def _tell(told: Told) -> None:
    os.write(1, msgspec.json.encode(told) + b"\n")


def _unwritable(error: OSError) -> str:
    place = error.filename or stages_folder()
    return f"{place} cannot be written ({error.strerror}); set NUMBA_CACHE_DIR to another folder"


def _look_up(asked_by: int, fork: int | None = None) -> None:
    """Rest a moment, and end with the process that asked."""
    time.sleep(_GLANCE)
    if os.getppid() != asked_by:
        if fork is not None:
            os.kill(fork, signal.SIGKILL)
        sys.exit(1)


@contextmanager
def _alone(number: int, stage: StageText, asked_by: int) -> Iterator[None]:
    """Hold the lock of a stage."""
    with path_of(stage.plan(), stage.keys).with_suffix(".lock").open("ab") as lock:
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    _tell(Told(number, stage.name, "waiting"))
                    said = True
            _look_up(asked_by)
        yield


def _carry(number: int, stage: StageText, asked_by: int) -> None:
    """See to the kernel of a stage, and tell of it."""
    plan, keys = stage.plan(), stage.keys
    if find(plan, keys) is not None:
        _tell(Told(number, stage.name, "there"))
        return
    if (known := refusal(plan, keys)) is not None:
        _tell(Told(number, stage.name, "failed", 0.0, known))
        return
    _tell(Told(number, stage.name, "compiling"))
    started = time.monotonic()
    code, reason = _fork(stage, asked_by)
    if code == _REFUSED:
        refuse(plan, keys, reason)
    seconds = round(time.monotonic() - started, 1)
    _tell(Told(number, stage.name, "compiled" if code == _KEPT else "failed", seconds, reason))


def _fork(stage: StageText, asked_by: int) -> tuple[int, str]:
    """Compile a stage in a process of its own; return how it ended, and why there is no kernel."""
    # What the other kernel makes of it. Here, because the fork raises limits of the compiler.
    trial = Trial(stage.plan(), stage.keys)
    reading, writing = os.pipe()
    fork = os.fork()
    if fork == 0:
        os._exit(_compile(stage, trial, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        while (ended := os.waitpid(fork, os.WNOHANG)) == (0, 0):
            _look_up(asked_by, fork)
        code = os.waitstatus_to_exitcode(ended[1])
        if code >= 0:
            return code, said.read().decode(errors="replace")
    if code == -signal.SIGXCPU:
        return _REFUSED, f"it has too many features: {_SECONDS} seconds of a processor are not enough to compile it"
    # Whoever kills from outside does not mean the stage; any other signal would come again.
    return _NOT_NOW if code == -signal.SIGKILL else _REFUSED, f"the compiler was ended by signal {-code}"


def _compile(stage: StageText, trial: Trial, writing: int) -> int:
    """Compile a stage within limits, and write why there is no kernel; return the code to end with."""
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = special.machine_code(stage.plan(), stage.keys)
        if trial.passes(special.load(code)):
            keep(stage.plan(), stage.keys, code)
            return _KEPT
        reason, end = _WRONG, _REFUSED
    except OSError as error:
        reason, end = _unwritable(error), _NOT_NOW
    except Exception as error:
        reason, end = f"{type(error).__name__}: {error}"[:500], _REFUSED
    os.write(writing, reason.encode())
    return end


if __name__ == "__main__":
    main()
