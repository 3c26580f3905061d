"""What one more server has to say about itself."""

from __future__ import annotations

import re
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import ClassVar

Report = Callable[[str], None]
"""Takes a line about what is being done, for people who wait."""

_WORD = re.compile(r"@([a-z_]+)@")
HOST = "127.0.0.1"
"""Where everything listens: no server of a stack is reachable from outside."""
SMALL_JAVA = ("-XX:+UseSerialGC", "-XX:ReservedCodeCacheSize=96m")
"""Flags that keep a Java server small; the serial collector needs neither threads nor headroom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a service lives, and what it was given.

    Parameters
    ----------
    data
        Its own folder, which survives a restart.
    secrets
        A folder that only this user can read.
    library
        Its verified archives; the data folder where it has none.
    log
        What it prints.
    ports
        Its ports by name.
    java
        The Java that fits it; empty where it needs none.
    secure
        Whether listeners with TLS and passwords are wanted.
    brief
        Whether it will not live for long: what makes it fast in the end, and slow to start, is left out.
    others
        The addresses of the services that it needs.
    """

    data: Path
    secrets: Path
    library: Path
    log: Path
    ports: Mapping[str, int]
    java: str = ""
    secure: bool = False
    brief: bool = False
    others: Mapping[str, str] = field(default_factory=dict)

    def logged(self, text: str) -> bool:
        """Return whether the log holds a text."""
        return text in self.log.read_text("utf-8", errors="replace")


class Service(ABC):
    """A server: what it needs, how it is started, when it serves."""

    name: ClassVar[str]
    summary: ClassVar[str]
    ports: ClassVar[Mapping[str, int]]
    """The ports that it takes where they are free, its own first."""
    secure_ports: ClassVar[Mapping[str, int]] = {}
    """Those it takes beside them when TLS and passwords are wanted."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Services that must run first."""
    java: ClassVar[tuple[int, int] | None] = None
    """The oldest and the newest Java that it runs on."""
    archives: ClassVar[bool] = False
    """Whether it comes as Java archives."""
    refuses_root: ClassVar[bool] = False
    """Whether it does not start for root."""
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float] = 120.0
    """When to give up waiting."""

    @abstractmethod
    def prepare(self, place: Place) -> Sequence[str]:
        """Write what the server reads and return its command line."""

    @abstractmethod
    def serves(self, place: Place) -> bool:
        """Return whether it serves; asked every tenth of a second."""

    @abstractmethod
    def addresses(self, place: Place) -> dict[str, str]:
        """Return where it serves, by name; its own name first."""

    def failed(self, place: Place) -> bool:
        """Return whether it will never serve, though its process still runs."""
        del place
        return False


def recipe(name: str) -> str:
    """Return the text of a recipe that ships with the package."""
    return resources.files("counterfoil.stack").joinpath("recipes", name).read_text("utf-8")


def fill(text: str, words: Mapping[str, object]) -> str:
    """Put values where a recipe names them.

    Examples
    --------
    >>> fill("port=@port@", {"port": 9092})
    'port=9092'
    """
    return _WORD.sub(lambda found: str(words[found[1]]), text)


def write_recipe(name: str, path: Path, words: Mapping[str, object]) -> Path:
    """Write a filled-in recipe and return where it is."""
    path.write_text(fill(recipe(name), words), "utf-8")
    return path
