"""Children that are killed: what a warm process does that forks one for each command."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from counterfoil.observability import configure_logs

Command = dict[str, Any]


def serve(warm: Callable[[], None], work: Callable[[Command], None], pause: float) -> None:
    """Answer one line of JSON for each line of JSON, until the input ends.

    Parameters
    ----------
    warm
        Loads what every child needs, once.
    work
        What a child does.
    pause
        How long it is waited between two looks at a child that is to be killed.
    """
    configure_logs("error")
    warm()
    print("ready", flush=True)  # noqa: T201 - the parent reads it
    for line in sys.stdin:
        print(json.dumps(run_child(json.loads(line), work, pause)), flush=True)  # noqa: T201


def run_child(command: Command, work: Callable[[Command], None], pause: float) -> dict[str, Any]:
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
            time.sleep(pause)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return answer(status, started)


def answer(status: int, started: float) -> dict[str, Any]:
    """Return how a child ended: ``killed``, ``done`` or ``failed``."""
    ended = "failed"
    if os.WIFSIGNALED(status):
        ended = "killed" if os.WTERMSIG(status) == signal.SIGKILL else "failed"
    elif os.WEXITSTATUS(status) == 0:
        ended = "done"
    return {"ended": ended, "seconds": time.monotonic() - started}
