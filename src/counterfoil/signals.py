"""What SIGTERM and Ctrl-C do before there is anything to stop, and while there is."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_end(stopped: threading.Event) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the program at once, with 0 and without a word; a second one acts as usual.

    For the time in which libraries are loaded, kernels compiled and state restored: nothing was read yet, so there is
    nothing to bring to its end.

    Parameters
    ----------
    stopped
        Is set too, for the case that a library keeps the end from going through.
    """

    def end(_: int) -> None:
        stopped.set()
        raise SystemExit(0)

    tell = sys.unraisablehook

    def unless_ended(caught: sys.UnraisableHookArgs) -> None:
        # Raised where a library called back, the end goes no further; whoever looks at ``stopped`` ends instead.
        if not isinstance(caught.exc_value, SystemExit):
            tell(caught)

    sys.unraisablehook = unless_ended
    try:
        with _first(end):
            yield
    finally:
        sys.unraisablehook = tell


@contextmanager
def clean_stop(stopped: threading.Event) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C set an event, so that what is under way is brought to its end; a second one acts as usual.

    Parameters
    ----------
    stopped
        Is set by the first signal.
    """
    with _first(lambda _: stopped.set()):
        yield


@contextmanager
def _first(act: Callable[[int], None]) -> Iterator[None]:
    """Call something at the first SIGTERM and the first Ctrl-C; only the main thread has signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former: dict[int, Any] = {}

    def once(number: int, frame: object) -> None:
        del frame
        signal.signal(number, former[number])
        act(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        former[int(number)] = signal.signal(number, once)
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
