"""When each event is due, and how honestly that was kept."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOLERANCE_SECONDS = 0.5
"""An event that has not arrived so long after it was due is late: room for a producer's batches and for the answer of
a broker that is well."""
_TICK_SECONDS = 0.02
"""Events that are due within so much time go together."""
_HELD = 0.98
"""A rate counts as held when this share of it was reached."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a pace.

    Parameters
    ----------
    events
        How many arrived.
    seconds
        From when the first was due until the last had arrived.
    rate
        Events a second that were wanted; None where nobody said.
    speed
        How many times as fast as they once happened; None where nobody said.
    behind_seconds
        For how long events arrived later than ``TOLERANCE_SECONDS`` after they were due.
    worst_seconds
        The most that an event arrived late.
    late_seconds
        How late the last one was.
    """

    events: int
    seconds: float
    rate: float | None
    speed: float | None
    behind_seconds: float
    worst_seconds: float
    late_seconds: float

    @property
    def reached(self) -> float:
        """Events a second."""
        return self.events / max(self.seconds, 1e-9)

    @property
    def held(self) -> bool:
        """Whether the rate, or the speed, was held to the end; where nobody wanted one it was."""
        if self.speed is not None:
            return self.late_seconds <= TOLERANCE_SECONDS
        return self.rate is None or self.reached >= _HELD * self.rate


class Pace:
    """Lets events go as fast as they are taken, and takes note of how many came when.

    Whoever falls behind catches up as fast as it can, so that a pace is held over the whole time.

    Parameters
    ----------
    stopped
        Ends every wait.
    clock
        Seconds on a clock that never goes back.
    """

    rate: float | None = None
    speed: float | None = None

    def __init__(self, stopped: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._stopped = stopped
        self._clock = clock
        self._started: float | None = None
        self._looked = 0.0
        self._arrived = 0
        self._behind = 0.0
        self._worst = 0.0
        self.released = 0
        """How many events were let go."""
        self.late_seconds = 0.0
        """How late the next event was when ``arrived`` was last called."""

    def release(self, waiting: int) -> int:
        """Wait until some of the waiting events are due; return how many, 0 when stopped. The first call starts it.

        Parameters
        ----------
        waiting
            How many there are, at least one.
        """
        if self._started is None:
            self._started = self._looked = self._clock()
        if self._stopped.is_set():
            return 0
        events = self._together(waiting)
        ahead = self._started + self._due(self.released + events) - self._clock()
        if ahead > 0 and self._stopped.wait(ahead):
            return 0
        self.released += events
        return events

    def arrived(self, events: int) -> None:
        """Take note that so many have arrived in all; to be called after every release."""
        now = self._clock()
        self._arrived = events
        if self._started is None or not self.released:
            return
        # As of now the next one is missing, unless everything that was let go is there.
        late = now - self._started - self._due(min(events + 1, self.released))
        self.late_seconds = late if self._paced else 0.0
        if self.late_seconds > TOLERANCE_SECONDS:
            # Not more than since it crossed the line.
            self._behind += min(now - self._looked, late - TOLERANCE_SECONDS)
            self._worst = max(self._worst, late)
        self._looked = now

    def kept(self) -> Kept:
        """Return what became of it until now."""
        now = self._clock()
        started = now if self._started is None else self._started
        return Kept(self._arrived, now - started, self.rate, self.speed, self._behind, self._worst, self.late_seconds)

    @property
    def _paced(self) -> bool:
        return self.rate is not None or self.speed is not None

    def _together(self, waiting: int) -> int:
        """Return how many of the waiting events go together."""
        return waiting

    def _due(self, number: int) -> float:
        """Return when an event is due, counted from 1, in seconds from the start."""
        del number
        return 0.0


class EvenPace(Pace):
    """Lets so many events go every second.

    Parameters
    ----------
    rate
        Events a second.
    stopped, clock
        As for ``Pace``.

    Examples
    --------
    >>> pace = EvenPace(100.0, threading.Event(), clock=iter([0.0, 0.01, 4.0, 4.0]).__next__)
    >>> pace.release(1)  # due after a hundredth of a second
    1
    >>> pace.arrived(1)  # but it comes after four
    >>> kept = pace.kept()
    >>> kept.held, kept.reached, round(kept.behind_seconds, 2), round(kept.worst_seconds, 2)
    (False, 0.25, 3.49, 3.99)
    """

    def __init__(self, rate: float, stopped: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stopped, clock)
        self.rate = rate
        self._size = max(1, int(rate * _TICK_SECONDS))

    def _together(self, waiting: int) -> int:
        return min(waiting, self._size)

    def _due(self, number: int) -> float:
        assert self.rate is not None
        return number / self.rate


class Timetable(Pace):
    """Lets events go in the intervals in which they once happened, or faster by a factor.

    One that happened before its predecessor goes with it.

    Parameters
    ----------
    speed
        How many times as fast.
    stopped, clock
        As for ``Pace``.

    Examples
    --------
    >>> pace = Timetable(60.0, threading.Event(), clock=iter([0.0, 0.0, 0.1, 1.0, 1.1]).__next__)
    >>> pace.add(np.array([5_000_000, 5_000_000, 65_000_000]))
    >>> pace.release(3)  # the first two at once
    2
    >>> pace.release(1)  # the third, a minute later, one second later
    1
    """

    def __init__(self, speed: float, stopped: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stopped, clock)
        self.speed = speed
        self._first: int | None = None
        self._last = 0
        self._added = 0
        self._due_seconds: deque[tuple[int, npt.NDArray[np.float64]]] = deque()
        """The number of the first event, and when each is due; for those only that have not all arrived."""

    def add(self, times: npt.NDArray[np.int64]) -> None:
        """Take up the next events.

        Parameters
        ----------
        times
            (n,): when each happened, in microseconds.
        """
        if not len(times):
            return
        assert self.speed is not None
        if self._first is None:
            self._first = self._last = int(times[0])
        latest = np.maximum.accumulate(np.maximum(times, self._last))
        self._last = int(latest[-1])
        self._due_seconds.append((self._added + 1, (latest - self._first) / (1e6 * self.speed)))
        self._added += len(times)
        while len(self._due_seconds) > 1 and self._due_seconds[1][0] <= self._arrived:
            self._due_seconds.popleft()

    def _together(self, waiting: int) -> int:
        first, due = self._due_seconds[-1]
        at = self.released + 1 - first
        horizon = max(due[at], self._clock() - (self._started or 0.0)) + _TICK_SECONDS
        return min(waiting, int(np.searchsorted(due, horizon, side="right")) - at)

    def _due(self, number: int) -> float:
        first, due = next(each for each in reversed(self._due_seconds) if each[0] <= number)
        return float(due[number - first])
