"""When each event is due, and how honestly that was kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

TOLERANCE_SECONDS = 0.5
"""An event that has not arrived so long after it was due is late: room for a producer's batches and for the answer of
a broker that is well."""
_HELD = 0.98
"""A rate counts as held when this share of it was reached."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a rate.

    Parameters
    ----------
    events
        How many arrived.
    seconds
        From when the first was due until the last had arrived.
    rate
        Events a second that were wanted; None for as many as possible.
    behind_seconds
        For how long events arrived later than ``TOLERANCE_SECONDS`` after they were due.
    worst_seconds
        The most that an event arrived late.
    """

    events: int
    seconds: float
    rate: float | None
    behind_seconds: float
    worst_seconds: float

    @property
    def reached(self) -> float:
        """Events a second."""
        return self.events / max(self.seconds, 1e-9)

    @property
    def held(self) -> bool:
        """Whether the rate was held to the end; without one it was."""
        return self.rate is None or self.reached >= _HELD * self.rate


class Pace:
    """Lets events go at a rate, and takes note when whoever takes them is slower.

    Whoever falls behind catches up as fast as it can, so that the rate is held over the whole time.

    Parameters
    ----------
    rate
        Events a second; None for as fast as they are taken.
    stopped
        Ends every wait.
    clock
        Seconds on a clock that never goes back.

    Examples
    --------
    >>> pace = Pace(100.0, threading.Event(), clock=iter([0.0, 1.0, 4.0, 4.0]).__next__)
    >>> pace.wait(100)  # the last of them is due one second after the start
    True
    >>> pace.arrived(100)  # but comes at four
    >>> kept = pace.kept()
    >>> kept.reached, kept.held, kept.behind_seconds, kept.worst_seconds
    (25.0, False, 2.5, 3.0)
    """

    def __init__(
        self, rate: float | None, stopped: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate = rate
        self._stopped = stopped
        self._clock = clock
        self._started: float | None = None
        self._looked = 0.0
        self._released = 0
        self._arrived = 0
        self._behind = 0.0
        self._worst = 0.0
        self.late_seconds = 0.0
        """How late the next event was when ``arrived`` was last called."""

    def wait(self, events: int) -> bool:
        """Wait until the next ``events`` are due; return False when stopped. The first call starts the clock."""
        if self._started is None:
            self._started = self._looked = self._clock()
        if self._stopped.is_set():
            return False
        self._released += events
        if self.rate is not None:
            ahead = self._started + self._released / self.rate - self._clock()
            if ahead > 0 and self._stopped.wait(ahead):
                self._released -= events
                return False
        return True

    def arrived(self, events: int) -> None:
        """Take note that so many have arrived in all; to be called often, at least after every wait."""
        now = self._clock()
        self._arrived = events
        if self.rate is None or self._started is None:
            return
        # As of now the next one is missing, unless everything that was let go is there.
        due = self._started + (events + 1 if events < self._released else events) / self.rate
        late = self.late_seconds = now - due
        if late > TOLERANCE_SECONDS:
            # Not more than since it crossed the line.
            self._behind += min(now - self._looked, late - TOLERANCE_SECONDS)
            self._worst = max(self._worst, late)
        self._looked = now

    def kept(self) -> Kept:
        """Return what became of the rate until now."""
        now = self._clock()
        started = now if self._started is None else self._started
        return Kept(self._arrived, now - started, self.rate, self._behind, self._worst)
