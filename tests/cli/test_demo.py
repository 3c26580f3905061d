from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import Command

PROGRAM = Path(sys.executable).parent / "counterfoil"
SUMMARY = {
    "events", "decided", "observed", "duplicates", "dead_letters", "alerts", "seconds", "events_per_second",
    "latency_ms",
}  # fmt: skip


def test_json_has_what_scripts_rely_on(command: Command) -> None:
    result = command("demo", "--seconds", 2, "--rate", 1000, "--customers", 100, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert set(found) >= SUMMARY
    assert set(found["latency_ms"]) == {"p50", "p99"}
    assert found["decided"] + found["observed"] + found["duplicates"] + found["dead_letters"] == found["events"] > 0
    assert found["dead_letters"] == 0
    assert sum(found["outcomes"].values()) == found["decided"]
    assert sum(story["payments"] for story in found["stories"].values()) >= found["frauds"]


def test_without_a_terminal_it_writes_lines(command: Command) -> None:
    result = command("demo", "--seconds", 3, "--rate", 3000, "--customers", 200)
    assert result.exit_code == 0
    assert "events/s" in result.stdout
    assert "Try next" in result.stdout
    assert "its innocent twin" in result.stdout
    assert "warming up" in result.stderr or "first start" in result.stderr


def on_a_terminal(*arguments: str, columns: int, interrupt_after: float | None = None) -> tuple[int, str]:
    """Run the demo on a pseudo-terminal; return its exit code and everything that it wrote."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"}
    run = subprocess.Popen(
        [PROGRAM, "demo", *arguments], stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    written = bytearray()
    started = time.monotonic()
    try:
        while True:
            try:
                data = os.read(leader, 65_536)
            except OSError:
                break
            if not data:
                break
            written += data
            if interrupt_after is not None and b"latest alerts" in written:
                time.sleep(interrupt_after)
                interrupt_after = None
                run.send_signal(signal.SIGINT)
            assert time.monotonic() - started < 240
        return run.wait(timeout=60), written.decode(errors="replace")
    finally:
        os.close(leader)
        if run.poll() is None:
            run.kill()
            run.wait()


def test_on_a_terminal_it_draws_a_screen() -> None:
    code, text = on_a_terminal("--seconds", "3", "--customers", "200", columns=120)
    assert code == 0
    for part in ("latest alerts", "what was really fraud", "durable", "Try next"):
        assert part in text


def test_ctrl_c_ends_it_with_its_summary() -> None:
    code, text = on_a_terminal("--seconds", "600", "--customers", "200", columns=80, interrupt_after=1.0)
    assert code == 0
    assert "Try next" in text
