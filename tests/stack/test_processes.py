"""Processes: ended in order, by force when they will not, and never one that merely has the same id."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from counterfoil.stack.processes import birth, memory_bytes, runs, start, stop


def sleeper(tmp_path: Path, body: str = "") -> tuple[int, str]:
    code = f"import signal, time\n{body}\nprint('ready', flush=True)\ntime.sleep(60)"
    log = tmp_path / "log"
    pid = start([sys.executable, "-c", code], tmp_path, log)
    born = birth(pid)
    deadline = time.monotonic() + 30
    while "ready" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return pid, born


def test_a_process_is_started_by_itself_and_ended_in_order(tmp_path: Path) -> None:
    pid, born = sleeper(tmp_path)
    assert runs(pid, born)
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cwd").resolve() == tmp_path.resolve()
    assert memory_bytes(pid) > 1_000_000
    assert stop(pid, born)
    assert not runs(pid, born)
    assert memory_bytes(pid) == 0


def test_one_that_does_not_listen_is_ended_by_force(tmp_path: Path, monkeypatch: object) -> None:
    pid, born = sleeper(tmp_path, "signal.signal(signal.SIGUSR1, signal.SIG_IGN)")
    from counterfoil.stack import processes

    former = processes._STOP_SECONDS
    processes._STOP_SECONDS = 0.2
    try:
        assert not stop(pid, born, signal.SIGUSR1)
    finally:
        processes._STOP_SECONDS = former
    assert not runs(pid, born)


def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    pid, born = sleeper(tmp_path)
    assert not runs(pid, born + "1")
    assert not runs(pid, "")
    assert stop(pid, born + "1")
    assert runs(pid, born)
    stop(pid, born, signal.SIGKILL)


def test_the_former_log_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("former")
    pid, born = sleeper(tmp_path)
    assert (tmp_path / "log.1").read_text() == "former"
    assert log.read_text() == "ready\n"
    stop(pid, born, signal.SIGKILL)
