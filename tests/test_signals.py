from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from counterfoil.signals import clean_stop, quiet_end

PROGRAM = Path(sys.executable).parent / "counterfoil"
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_ends_and_the_second_acts_as_before(number: signal.Signals) -> None:
    seen: list[int] = []
    former = signal.signal(number, lambda found, frame: seen.append(found))
    stopped = threading.Event()
    try:
        with pytest.raises(SystemExit) as ended, quiet_end(stopped):
            os.kill(os.getpid(), number)
        assert ended.value.code == 0
        assert stopped.is_set()
        assert seen == []
        os.kill(os.getpid(), number)
        assert seen == [number]
    finally:
        signal.signal(number, former)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_clean_stop_goes_on_and_the_second_signal_acts_as_before(number: signal.Signals) -> None:
    seen: list[int] = []
    former = signal.signal(number, lambda found, frame: seen.append(found))
    stopped = threading.Event()
    try:
        with clean_stop(stopped):
            os.kill(os.getpid(), number)
            assert (stopped.is_set(), seen) == (True, [])
            os.kill(os.getpid(), number)
            assert seen == [number]
        with clean_stop(threading.Event()):
            pass
        os.kill(os.getpid(), number)
        assert seen == [number, number]
    finally:
        signal.signal(number, former)


@pytest.mark.parametrize("handling", [quiet_end, clean_stop])
def test_other_threads_have_no_signals(handling: Callable[[threading.Event], AbstractContextManager[None]]) -> None:
    found: list[object] = []

    def look() -> None:
        former = signal.getsignal(signal.SIGINT)
        with handling(threading.Event()):
            found.append(signal.getsignal(signal.SIGINT) is former)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [True]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.5])
def test_a_signal_at_the_start_ends_it_without_a_traceback(
    number: signal.Signals, seconds: float, tmp_path: Path
) -> None:
    run = subprocess.Popen(
        [PROGRAM, "run", "--detector", "payments", "--input", "/dev/zero", "--output", tmp_path / "decisions.ndjson"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    try:
        # The interpreter itself takes a moment until it runs the program's first line.
        time.sleep(0.15 + seconds)
        run.send_signal(number)
        _, words = run.communicate(timeout=120)
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()
    # On a busy machine the interpreter itself is still being loaded: what it says then has nothing of ours in it.
    assert "Traceback" not in words or ", in main" not in words
    # While the commands are still being loaded it ends as programs do.
    assert run.returncode in {0, 130, -signal.SIGTERM, -signal.SIGINT}, words
    if run.returncode == 0:
        assert not list(tmp_path.glob("counterfoil-*"))
