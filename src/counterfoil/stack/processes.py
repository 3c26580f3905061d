"""Starting servers that outlive the program, knowing them again, and ending them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_STOP_SECONDS = 30.0
"""How long a server may take to end in order before it is killed; Cassandra takes eight."""
_POLL_SECONDS = 0.05
_NOBODY = 65_534


def start(command: Sequence[str], folder: Path, log: Path) -> int:
    """Start a server by itself, so that neither Ctrl-C nor the end of the program ends it, and return its process id.

    Parameters
    ----------
    command
        What to start.
    folder
        Where it works.
    log
        Where its output goes; what a former one wrote there is kept beside it.
    """
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # The shell changes the folder and becomes the server. A Popen would want to be waited for; this one is let go.
    words = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]
    return os.posix_spawn(words[0], words, os.environ, file_actions=actions, setsid=True)


def birth(pid: int) -> str:
    """Return what tells a process from another one that had the same id before it; nothing where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "" if Path("/proc/self").exists() else _birth_elsewhere(pid)
    # The state comes third, when it began 22nd. One that has ended and waits for its parent is none.
    return "" if fields[0] == "Z" else fields[19]


def _birth_elsewhere(pid: int) -> str:
    """As `birth`, where there is no /proc."""
    ps = shutil.which("ps") or "/bin/ps"
    done = subprocess.run([ps, "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603
    state, _, began = done.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else began.strip()


def runs(pid: int, born: str) -> bool:
    """Return whether a process still runs, and is the one that was started."""
    with contextlib.suppress(ChildProcessError):
        # Only where it is our own child, and it has ended: nobody else would collect it.
        os.waitpid(pid, os.WNOHANG)
    return bool(born) and birth(pid) == born


def stop(pid: int, born: str, first: signal.Signals = signal.SIGTERM) -> bool:
    """End a process in order, or by force when that takes too long, and return whether it was in order.

    Parameters
    ----------
    pid, born
        Which one.
    first
        The signal that it takes as a request.
    """
    for number, seconds in ((first, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
        if not runs(pid, born):
            return True
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not runs(pid, born):
                return number == first
            time.sleep(_POLL_SECONDS)
    return False


def memory_bytes(pid: int) -> int:
    """Return how much memory a process uses; 0 where that is not known."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace")
    except OSError:
        return 0
    lines = [line.split() for line in text.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0][1]) * 1024 if lines else 0


def not_as_root(command: Sequence[str]) -> list[str]:
    """Return a command that a server which refuses root takes: in a user namespace where root is called nobody.

    It still reads and owns what root does. Other users need nothing of the kind.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return list(command)
    return ["unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", *command]
