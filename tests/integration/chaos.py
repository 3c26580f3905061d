"""The scenarios at length, with time-outs as they are in production: ``python -m tests.integration.chaos``.

A zombie stands still for 45 seconds, past a session of 10 and a transaction of 30; instances come and go for minutes;
the broker is killed again and again. Each ends with every payment decided once, or the command fails and says what is
lost, doubled or wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from counterfoil.stack import Stack
from tests.integration.instance import Instance, compile_kernels
from tests.integration.kafka import Broker
from tests.integration.scenarios import killed_broker, storm, zombie

STANDS_STILL_SECONDS = 45.0


def main() -> int:
    """Play the scenarios and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long instances come and go")
    parser.add_argument("--kills", type=int, default=10, help="how many times the broker is killed")
    parser.add_argument("--only", choices=("zombie", "storm", "kills"), help="one scenario alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="counterfoil-chaos-") as name:
        return play(Path(name), arguments.minutes * 60, arguments.kills, arguments.only)


def play(folder: Path, seconds: float, kills: int, only: str | None) -> int:
    """Play the scenarios in a folder."""
    compile_kernels(folder)
    made: list[Instance] = []

    def make(name: str, source: str, target: str, broker: Broker, **more: Any) -> Instance:
        made.append(Instance(broker, source, target, folder / f"{len(made)}-{name}", **more))
        return made[-1]

    stack = Stack(folder / "stack")
    try:
        [kafka] = stack.up(["kafka"], ports={"kafka": 0})
        broker = Broker(kafka.addresses["kafka"])
        scenarios: dict[str, Callable[[], int]] = {
            "zombie": lambda: zombie(broker, make, STANDS_STILL_SECONDS),
            "storm": lambda: storm(broker, make, seconds),
            "kills": lambda: killed_broker(stack, lambda: stack.up(["kafka"]), make, kills),
        }
        failed = 0
        for name, scenario in scenarios.items():
            if only in {None, name}:
                failed += not _report(name, scenario)
        return 1 if failed else 0
    finally:
        for instance in made:
            instance.ensure_ended()
        stack.down()


def _report(name: str, scenario: Callable[[], int]) -> bool:
    """Play one scenario and print what came of it."""
    started = time.monotonic()
    try:
        sent = scenario()
    except AssertionError as error:
        print(f"{name}: FAILED after {time.monotonic() - started:.0f} s: {error}", flush=True)  # noqa: T201
        return False
    print(f"{name}: {sent} payments in {time.monotonic() - started:.0f} s, lost 0, doubled 0, wrong 0", flush=True)  # noqa: T201
    return True


if __name__ == "__main__":
    sys.exit(main())
