"""Kill runs at random instants and at fail-points, let them recover, and compare with a run that nothing disturbed.

``python -m tests.crash.campaign --rounds 2000`` (``make crash``) is the long form of what ``make test`` does with 200
kills.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from counterfoil.runtimes.local.canonical import canonical_lines
from counterfoil.runtimes.local.failpoints import FAIL_POINTS
from counterfoil.runtimes.local.store import Store
from tests.runtimes.sample import sample_detector, sample_lines, write_lines

EVENTS = 240
BATCH_EVENTS = (24, 80)
RECOVERING = ("output.truncate.before", "output.truncate.after", "replay.block")
"""Fail-points that only a run comes to that recovers."""
CRASHES = (1, 1, 1, 2, 3)
"""How many times a run is killed before it may end: double and triple crashes included."""


class CrashServer:
    """The warm process that forks the runs; as a context manager.

    Parameters
    ----------
    module
        What it runs.
    """

    def __init__(self, module: str = "tests.crash.server") -> None:
        self._module = module

    def __enter__(self) -> CrashServer:
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if ready != "ready\n":
            assert self._process.stderr is not None
            raise AssertionError(f"the crash server did not start: {self._process.stderr.read()}")
        return self

    def run(self, **command: Any) -> dict[str, Any]:
        """Do one run; return how it ended and how long it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        if result["ended"] == "failed":
            self._process.stdin.close()
            assert self._process.stderr is not None
            raise AssertionError(
                f"a run failed instead of recovering: {command}\n{self._process.stderr.read()[-8000:]}"
            )
        return result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._process.stderr.close()


@dataclass(slots=True)
class Left:
    """What a run leaves."""

    log: bytes
    lines: bytes
    table: bytes
    """The Parquet file's content, where one was asked for."""


@dataclass(slots=True)
class Plan:
    """How the runs over one state folder are made."""

    folder: Path
    batch_events: int
    features: bool
    snapshots: bool


@dataclass
class Campaign:
    """Many crashes over one input.

    Parameters
    ----------
    folder
        For everything that the runs write.
    seed
        Of the instants and the order of things.
    """

    folder: Path
    seed: int = 1
    kills: int = 0
    reached: set[str] = field(default_factory=set)
    """Fail-points at which a run was killed."""

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._input = write_lines(self.folder / "events.ndjson", sample_lines(EVENTS, self.seed))
        self._server = CrashServer()
        self._expected: dict[bool, Left] = {}
        self._seconds = 0.0

    def __enter__(self) -> Campaign:
        self._server.__enter__()
        for features in (False, True):
            where = self._fresh()
            plan = Plan(where, BATCH_EVENTS[-1], features, snapshots=True)
            # Of the second run: the first may have to wait for numba.
            self._seconds = self._run(plan)["seconds"]
            self._expected[features] = self._left_by(plan)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def at_random(self) -> None:
        """Kill a run at random instants, once, twice or three times, and compare what it leaves in the end."""
        plan = self._plan()
        for _ in range(self._draw.choice(CRASHES)):
            self._kill(plan, kill_after=self._draw.uniform(0.0, self._seconds))
        self._finish(plan)

    def at_fail_point(self, name: str, count: int = 1) -> bool:
        """Kill a run where it comes to a fail-point for the ``count``-th time; return whether one came there.

        Some places are only come to by a run that recovers, so a run that comes to its end is preceded by a crash.
        """
        plan = self._plan()
        if name in RECOVERING:
            plan.snapshots = False
            self._kill(plan, fail_at="output.write.middle:2")
        if name.startswith("snapshot.remove"):
            # Many commits, so that there is time for more snapshots than are kept.
            plan.batch_events = 2
        plan.features = plan.features or name.startswith("export")
        plan.snapshots = plan.snapshots or name.startswith("snapshot")
        killed = self._kill(plan, fail_at=f"{name}:{count}")
        if killed:
            self.reached.add(name)
            # The run that recovers is killed at the same place, where it comes there.
            self._kill(plan, fail_at=f"{name}:1")
        self._finish(plan)
        return killed

    def _kill(self, plan: Plan, **how: Any) -> bool:
        killed = self._run(plan, **how)["ended"] == "killed"
        self.kills += killed
        return killed

    def _run(self, plan: Plan, **how: Any) -> dict[str, Any]:
        return self._server.run(
            folder=str(plan.folder),
            input=str(self._input),
            batch_events=plan.batch_events,
            features=plan.features,
            snapshots=plan.snapshots,
            **how,
        )

    def _finish(self, plan: Plan) -> None:
        assert self._run(plan)["ended"] == "done"
        left, expected = self._left_by(plan), self._expected[plan.features]
        assert left.lines == expected.lines, f"the output differs from an undisturbed run's: {plan}"
        assert left.table == expected.table, f"the table differs from an undisturbed run's: {plan}"
        assert left.log == expected.log, f"the decision log differs from an undisturbed run's: {plan}"
        shutil.rmtree(plan.folder)

    def _left_by(self, plan: Plan) -> Left:
        store = Store(plan.folder / "state", read_only=True)
        try:
            log = b"".join(canonical_lines(store, sample_detector().schema))
        finally:
            store.close()
        table = b""
        if plan.features:
            table = pl.read_parquet(plan.folder / "decisions.parquet").write_ndjson().encode()
        return Left(log, (plan.folder / "decisions.ndjson").read_bytes(), table)

    def _plan(self) -> Plan:
        draw = self._draw
        return Plan(self._fresh(), draw.choice(BATCH_EVENTS), draw.random() < 0.3, snapshots=draw.random() < 0.6)

    def _fresh(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))


def main() -> None:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="how many kills")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the instants; printed")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Campaign(Path(folder), arguments.seed) as campaign:
        print(f"seed {arguments.seed}", flush=True)  # noqa: T201
        for count in range(1, 4):
            for name in FAIL_POINTS:
                if campaign.kills < arguments.rounds:
                    campaign.at_fail_point(name, count)
        while campaign.kills < arguments.rounds:
            campaign.at_random()
            if campaign.kills % 100 == 0:
                print(f"{campaign.kills} kills", flush=True)  # noqa: T201
    seconds = time.monotonic() - started
    print(f"{campaign.kills} kills in {seconds:.0f} s: every log and output as if undisturbed")  # noqa: T201
    missing = sorted(set(FAIL_POINTS) - campaign.reached)
    if missing:
        print(f"never came to: {', '.join(missing)}")  # noqa: T201


if __name__ == "__main__":
    main()
