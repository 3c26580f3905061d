"""What a Python worker of Flink needs before anything else is imported, and its end with Flink's."""

from __future__ import annotations

import builtins
import os
import threading
import time
from pathlib import Path

_STARTER = b"pyflink-udf-runner"
"""PyFlink's script that starts a worker: the worker's parent, and a child of the task manager's JVM."""
_LOOK_SECONDS = 1.0


def ready() -> None:
    """Make this process ready to import kernels; a second call does nothing."""
    # Workers put a method in the place of `print`, and numba cannot be imported with that.
    own = getattr(getattr(builtins.print, "__self__", None), "_print", None)
    if own is not None:
        builtins.print = own
    _end_with_starter()
    from counterfoil.compiled import keep_kernels  # noqa: PLC0415 - must come before numba

    keep_kernels()


def _end_with_starter() -> None:
    """See to it that a worker ends where the JVM that has started it is gone: PyFlink's own waits for it for ever."""
    starter = os.getppid()
    machine = starter_of(starter)
    if machine is None or any(thread.name == _WATCH for thread in threading.enumerate()):
        return
    threading.Thread(target=_watch, args=(starter, machine), name=_WATCH, daemon=True).start()


_WATCH = "counterfoil-watch"


def starter_of(process: int) -> int | None:
    """Return the parent of a process that is PyFlink's starter of workers; None where it is no such thing."""
    folder = Path("/proc", str(process))
    try:
        if _STARTER not in (folder / "cmdline").read_bytes():
            return None
        return int((folder / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        # Where there is no such folder there is no such help.
        return None


def _watch(starter: int, machine: int) -> None:
    while os.getppid() == starter and starter_of(starter) == machine:
        time.sleep(_LOOK_SECONDS)
    # In no order: nobody is there any more to whom anything could be said.
    os._exit(1)
