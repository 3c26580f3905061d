"""Choosing ports."""

from __future__ import annotations

import random
import socket
import time

from counterfoil.errors import ConfigurationError, LimitError
from counterfoil.stack.service import HOST

# Below what systems hand out to outgoing connections (Linux from 32768 on). A client that keeps trying a port out of
# that range, while its server is down, will one day be given the very port as its own and be connected to itself.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 200
_FORMER_SECONDS = 2.0
"""How long the port that a server had is waited for: one that was killed has it for a moment more."""


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port now."""
    with socket.socket() as trial:
        # As servers do it: connections of a former one that linger do not count.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_free_soon(port: int) -> bool:
    """Return whether a server could listen on a port now, or in a moment."""
    until = time.monotonic() + _FORMER_SECONDS
    while not is_free(port):
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
    return True


def free_port(without: set[int]) -> int:
    """Return a port that nobody listens on, by chance, so that two who look at once seldom find the same."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        if port not in without and is_free(port):
            return port
    raise LimitError(f"no free port was found between {_FIRST} and {_LAST} in {_TRIES} tries")


def choose_ports(wanted: dict[str, int], former: dict[str, int], fixed: dict[str, int]) -> dict[str, int]:
    """Return a port for each name.

    Parameters
    ----------
    wanted
        The default of each: taken where it is free.
    former
        What each had the last time: better than the default, for clients still know it.
    fixed
        What must be, or nothing starts; 0 for any free one.

    Raises
    ------
    ConfigurationError
        If a port that must be is taken.
    """
    chosen: dict[str, int] = {}
    for name, default in wanted.items():
        taken = set(chosen.values())
        if fixed.get(name):
            if not is_free(fixed[name]):
                raise ConfigurationError(
                    f"--port {name}={fixed[name]}: found another program listening there; "
                    f"allowed: a free port, or {name}=0 for any"
                )
            chosen[name] = fixed[name]
            continue
        if name in former and former[name] not in taken and _is_free_soon(former[name]):
            chosen[name] = former[name]
        elif name not in fixed and default not in taken and is_free(default):
            chosen[name] = default
        else:
            chosen[name] = free_port(taken)
    return chosen
