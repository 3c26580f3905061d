from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.connectors.pace import TOLERANCE_SECONDS, EvenPace, Pace, Timetable


class Clock:
    """A clock that stands still until somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Waits(threading.Event):
    """An event that nobody sets: waiting for it moves the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if not self.is_set():
            self.clock.now += timeout
        return self.is_set()


def test_a_rate_that_is_held_is_said_to_be() -> None:
    clock = Clock()
    pace = EvenPace(1_000.0, Waits(clock), clock)
    sent = 0
    while sent < 5_000:
        due = pace.release(700)
        assert due == 20
        sent += due
        pace.arrived(sent)
    kept = pace.kept()
    assert kept.events == 5_000
    assert kept.seconds == pytest.approx(5.0)
    assert kept.held
    assert kept.behind_seconds == 0.0


def test_a_slow_reader_is_told_of_with_its_time() -> None:
    clock = Clock()
    pace = EvenPace(100.0, Waits(clock), clock)
    sent = 0
    for _ in range(500):
        sent += pace.release(1)
        clock.now += 0.02  # it takes twice as long as it may
        pace.arrived(sent)
    kept = pace.kept()
    assert not kept.held
    assert kept.reached == pytest.approx(50.0, rel=0.01)
    assert kept.worst_seconds == pytest.approx(5.0, rel=0.01)
    # It was beyond the tolerance from the first second on.
    assert kept.behind_seconds == pytest.approx(10.0 - 2 * TOLERANCE_SECONDS, abs=0.05)


def test_who_fell_behind_catches_up() -> None:
    clock = Clock()
    pace = EvenPace(1_000.0, Waits(clock), clock)
    sent = pace.release(20)
    clock.now += 2.0
    pace.arrived(sent)
    while sent < 10_000:
        sent += pace.release(20)
        pace.arrived(sent)
    kept = pace.kept()
    assert kept.held
    assert kept.seconds == pytest.approx(10.0)
    assert kept.behind_seconds == pytest.approx(2.0 - TOLERANCE_SECONDS, abs=0.1)
    assert kept.worst_seconds == pytest.approx(2.0, abs=0.1)


def test_what_is_on_its_way_is_not_there() -> None:
    clock = Clock()
    pace = EvenPace(100.0, Waits(clock), clock)
    for _ in range(300):
        pace.release(1)
        pace.arrived(10)
    assert pace.late_seconds == pytest.approx(3.0 - 0.11, abs=0.02)
    assert pace.kept().events == 10


def test_without_a_rate_nobody_is_late() -> None:
    clock = Clock()
    pace = Pace(Waits(clock), clock)
    assert pace.release(1_000_000) == 1_000_000
    clock.now += 10
    pace.arrived(1_000_000)
    kept = pace.kept()
    assert (kept.held, kept.behind_seconds, kept.reached) == (True, 0.0, 100_000.0)


def test_stopped_ends_a_wait_at_once() -> None:
    stopped = threading.Event()
    pace = EvenPace(0.001, stopped)
    timer = threading.Timer(0.05, stopped.set)
    timer.start()
    started = time.monotonic()
    assert pace.release(1) == 0
    assert time.monotonic() - started < 5
    assert pace.released == 0
    assert pace.release(1) == 0


def slow_timetable(times: list[int], speed: float) -> list[float]:
    """Return when each event is due, in seconds from the first."""
    due: list[float] = []
    latest = times[0]
    for each in times:
        latest = max(latest, each)
        due.append((latest - times[0]) / 1e6 / speed)
    return due


@given(
    st.lists(st.integers(0, 2_000_000), min_size=1, max_size=60),
    st.sampled_from([0.5, 1.0, 60.0]),
    st.lists(st.integers(1, 20), min_size=1, max_size=60),
)
def test_a_timetable_lets_go_when_it_happened(gaps: list[int], speed: float, sizes: list[int]) -> None:
    times = [1_700_000_000_000_000 + int(each) - 300_000 for each in np.cumsum(gaps)]
    times[len(times) // 2] -= 1_000_000  # one is late
    due = slow_timetable(times, speed)
    clock = Clock()
    pace = Timetable(speed, Waits(clock), clock)
    at, released = 0, 0
    for size in [*sizes, *[1] * len(times)]:
        portion = times[at : at + size]
        if not portion:
            break
        at += len(portion)
        pace.add(np.array(portion))
        left = len(portion)
        while left:
            count = pace.release(left)
            assert count > 0
            released += count
            left -= count
            # Never before its time, and no later than a tick after it.
            assert due[released - 1] - 1e-6 <= clock.now - 100.0 <= due[released - count] + 0.021
            pace.arrived(released)
    assert released == len(times)
    assert pace.kept().held
    assert pace.kept().behind_seconds == 0.0


def test_a_timetable_knows_that_it_is_late() -> None:
    clock = Clock()
    pace = Timetable(10.0, Waits(clock), clock)
    pace.add(np.arange(11) * 1_000_000)
    released = 0
    while released < 11:
        count = pace.release(11 - released)
        released += count
        clock.now += 0.3 * count
        pace.arrived(released)
    kept = pace.kept()
    assert kept.speed == 10.0
    assert not kept.held
    assert kept.late_seconds == pytest.approx(11 * 0.3 - 1.0, abs=0.1)
    pace.add(np.array([1_000_000_000]))
    assert pace.release(1) == 1
    pace.arrived(12)
    assert pace.kept().held
