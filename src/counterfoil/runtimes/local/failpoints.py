"""Named places at which a test may kill the process: before and after each write, sync, rename and commit.

``COUNTERFOIL_FAIL_AT=commit.before:3`` kills the process with SIGKILL when it comes to ``commit.before`` for the third
time. Without it a fail-point costs one comparison.
"""

from __future__ import annotations

import os
import signal

from counterfoil.errors import ConfigurationError, nearest

VARIABLE = "COUNTERFOIL_FAIL_AT"

FAIL_POINTS = (
    "store.create.before",
    "store.create.after",
    "commit.before",
    "commit.blocks",
    "commit.identities",
    "commit.counters",
    "commit.after",
    "head.write.before",
    "head.write.after",
    "output.write.before",
    "output.write.middle",
    "output.write.after",
    "output.sync.before",
    "output.sync.after",
    "output.truncate.before",
    "output.truncate.after",
    "snapshot.folder.after",
    "snapshot.write.before",
    "snapshot.write.after",
    "snapshot.sync.before",
    "snapshot.sync.after",
    "snapshot.rename.before",
    "snapshot.rename.after",
    "snapshot.record.before",
    "snapshot.record.after",
    "snapshot.remove.before",
    "snapshot.remove.after",
    "replay.block",
    "export.write.before",
    "export.write.after",
    "close.before",
    "close.after",
)
"""Every fail-point, in the order in which a run comes to them for the first time."""

KAFKA_FAIL_POINTS = (
    "delivery.begin.before",
    "delivery.write.middle",
    "delivery.commit.before",
    "delivery.commit.after",
    "delivery.reopen.before",
    "delivery.reopen.after",
)
"""Fail-points that only a run with a topic as output comes to."""

_armed: str | None = None
_remaining = 0


def arm(target: str | None) -> None:
    """Arm one fail-point, as ``name:count``, or none.

    Raises
    ------
    ConfigurationError
        If there is no such fail-point.
    """
    global _armed, _remaining  # noqa: PLW0603 - one process, one fail-point
    if not target:
        _armed = None
        return
    name, _, count = target.partition(":")
    if name not in (*FAIL_POINTS, *KAFKA_FAIL_POINTS) or not (count or "1").isdigit():
        raise ConfigurationError(
            f"{VARIABLE}: found {target!r}; allowed: name:count with a name of runtimes/local/failpoints.py"
            f" {nearest(name, (*FAIL_POINTS, *KAFKA_FAIL_POINTS))}"
        )
    _armed, _remaining = name, int(count or "1")


def reach(name: str) -> None:
    """Mark a place at which a crash must do no harm."""
    global _remaining  # noqa: PLW0603
    if _armed is None or name != _armed:
        return
    _remaining -= 1
    if _remaining <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE))
