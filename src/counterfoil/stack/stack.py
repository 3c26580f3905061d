"""Servers, brought up and down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from counterfoil.errors import ConfigurationError, CounterfoilError, StorageError, nearest
from counterfoil.stack import processes
from counterfoil.stack.artifacts import library, locked
from counterfoil.stack.java import find_java
from counterfoil.stack.ports import choose_ports
from counterfoil.stack.service import Place, Report, Service
from counterfoil.stack.services import SERVICES

_POLL_SECONDS = 0.1
_SHOWN_LINES = 15
"""Lines of its log that are shown of a server that did not start."""
_STARTS = 3
"""How often a server is started whose port somebody else has taken meanwhile."""
_PORT_TAKEN = ("Address already in use", "already in use")


def default_folder() -> Path:
    """Return where state is kept: ``COUNTERFOIL_STACK``, or in the user's state folder."""
    if given := os.environ.get("COUNTERFOIL_STACK"):
        return Path(given)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "counterfoil" / "stack"


class ServerFailedError(CounterfoilError):
    """A server did not start; the message ends with what it logged last."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a service between two calls.

    Parameters
    ----------
    pid, born
        The process; 0 where it was stopped.
    ports, addresses
        Where it serves, or served.
    secure
        Whether with TLS and passwords, too.
    """

    pid: int = 0
    born: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """What came of starting a service: its addresses by name, and how long it took; None where it ran already."""

    name: str
    addresses: Mapping[str, str]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """How a service is: its addresses while it runs, and its process and memory."""

    name: str
    summary: str
    running: bool
    addresses: Mapping[str, str]
    pid: int = 0
    memory_bytes: int = 0


class Stack:
    """Real servers on this machine, whose state lies in one folder.

    Every call is safe to repeat, and may come from several processes at once. Servers go on running when the program
    ends; whoever opens the same folder finds them again.

    Parameters
    ----------
    folder
        Where data, logs and secrets are kept.
    cache
        Where archives are kept, for all folders.
    report
        Is told what is being done, for people who wait.
    services
        What can be started; those that others need come first.
    """

    def __init__(
        self,
        folder: Path | None = None,
        cache: Path | None = None,
        report: Report = lambda _: None,
        services: Mapping[str, Service] = SERVICES,
    ) -> None:
        self.folder = (folder or default_folder()).absolute()
        self._services = services
        self._cache = cache
        self._report = report

    def up(
        self, names: Iterable[str], ports: Mapping[str, int] | None = None, secure: bool = False, brief: bool = False
    ) -> list[Started]:
        """Start services and what they need, and wait until they serve.

        Parameters
        ----------
        names
            Which; one that runs already is left as it is.
        ports
            The port of some; 0 for any free one. The others get their default one, or any where that is taken.
        secure
            Whether Kafka serves TLS and passwords, too.
        brief
            Whether they will not live for long, so that a quick start counts more than speed.

        Raises
        ------
        ConfigurationError
            If something is not on this machine, with what to install.
        ServerFailedError
            If a server does not start.
        """
        wanted = self._with_needs(self._checked(names))
        fixed = dict(ports or {})
        self._checked(fixed)
        _private(self.folder)
        with locked(self.folder / "lock"):
            return [self._up(self._services[name], fixed, secure, brief) for name in wanted]

    def down(self, names: Iterable[str] = (), delete: bool = False) -> list[str]:
        """Stop services, and return those that ran.

        Parameters
        ----------
        names
            Which; all when left out. What needs one of them is stopped before it.
        delete
            Whether to remove their data and logs, too.
        """
        wanted = self._checked(names) or list(self._services)
        if not self.folder.is_dir():
            return []
        wanted += [
            name for name in self._services if name not in wanted and set(self._services[name].needs) & set(wanted)
        ]
        with locked(self.folder / "lock"):
            stopped = [
                name for name in reversed(list(self._services)) if name in wanted and self._down(self._services[name])
            ]
            if delete:
                for name in wanted:
                    self._delete(name)
        return stopped

    def kill(self, name: str) -> None:
        """End a service at once, as if the power had failed, and return when it is gone; its data stay."""
        with locked(self.folder / "lock"):
            record = self._record(name)
            if self._running(record):
                processes.stop(record.pid, record.born, signal.SIGKILL)

    def status(self) -> list[Status]:
        """Return how each service is."""
        found = []
        for name, service in self._services.items():
            record = self._record(name)
            if self._running(record):
                memory = processes.memory_bytes(record.pid)
                found.append(Status(name, service.summary, True, record.addresses, record.pid, memory))
            else:
                found.append(Status(name, service.summary, False, {}))
        return found

    def process(self, name: str) -> int:
        """Return the process id of a service; 0 where it does not run."""
        record = self._record(name)
        return record.pid if self._running(record) else 0

    def secrets(self, name: str) -> Path:
        """Return the folder with a service's certificates and password."""
        return self.folder / name / "secrets"

    def log(self, name: str) -> Path:
        """Return where a service logs."""
        return self.folder / name / "log"

    def _up(self, service: Service, fixed: Mapping[str, int], secure: bool, brief: bool) -> Started:
        record = self._record(service.name)
        if self._running(record):
            self._fits(service, record, fixed, secure)
            return Started(service.name, record.addresses, None)
        started = time.monotonic()
        for attempt in range(1, _STARTS + 1):
            place = self._place(service, record, fixed, secure, brief)
            self._report(f"{service.name}: starting")
            command = service.prepare(place)
            if service.refuses_root:
                command = processes.not_as_root(command)
            pid = processes.start(command, place.data, place.log)
            new = Record(pid, processes.birth(pid), place.ports, service.addresses(place), secure)
            # Before it serves: whoever ends this program now still finds what to stop.
            self._write(service.name, new)
            try:
                self._wait(service, place, new)
            except BaseException as error:
                self._down(service)
                lost_port = isinstance(error, ServerFailedError) and any(map(place.logged, _PORT_TAKEN))
                if lost_port and attempt < _STARTS and not fixed.get(service.name):
                    record = Record()
                    continue
                raise
            return Started(service.name, new.addresses, time.monotonic() - started)
        raise AssertionError("the last start either serves or raises")

    def _fits(self, service: Service, record: Record, fixed: Mapping[str, int], secure: bool) -> None:
        """Refuse what a running service cannot become."""
        port = fixed.get(service.name)
        remedy = f"counterfoil stack down {service.name}"
        if port and port != record.ports[service.name]:
            raise ConfigurationError(
                f"--port {service.name}={port}: found it running on {record.ports[service.name]}; first: {remedy}"
            )
        if secure and service.secure_ports and not record.secure:
            raise ConfigurationError(f"--secure: found {service.name} running without it; first: {remedy}")

    def _place(self, service: Service, record: Record, fixed: Mapping[str, int], secure: bool, brief: bool) -> Place:
        """Choose everything that a service is given."""
        java = find_java(service.name, *service.java) if service.java else ""
        own = self.folder / service.name
        for folder in (own, own / "data", own / "secrets"):
            _private(folder)
        wanted = {**service.ports, **(service.secure_ports if secure else {})}
        needed = {name: self._record(name).addresses[name] for name in service.needs}
        jars = library(service.name, self._report, self._cache) if service.archives else own / "data"
        return Place(
            data=own / "data",
            secrets=own / "secrets",
            library=jars,
            log=own / "log",
            ports=choose_ports(wanted, dict(record.ports), dict(fixed)),
            java=java,
            secure=secure,
            brief=brief,
            others=needed,
        )

    def _wait(self, service: Service, place: Place, record: Record) -> None:
        """Wait until a server serves."""
        deadline = time.monotonic() + service.start_seconds
        while not service.serves(place):
            if not self._running(record):
                raise ServerFailedError(f"{service.name} ended before it served; {_end_of(place.log)}")
            if time.monotonic() > deadline or service.failed(place):
                raise ServerFailedError(
                    f"{service.name} did not serve within {service.start_seconds:g} s; {_end_of(place.log)}"
                )
            time.sleep(_POLL_SECONDS)

    def _down(self, service: Service) -> bool:
        record = self._record(service.name)
        if not self._running(record):
            return False
        self._report(f"{service.name}: stopping")
        processes.stop(record.pid, record.born, service.stop_signal)
        self._write(service.name, Record(0, "", record.ports, record.addresses, record.secure))
        return True

    def _delete(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _running(self, record: Record) -> bool:
        return record.pid > 0 and processes.runs(record.pid, record.born)

    def _record(self, name: str) -> Record:
        path = self.folder / name / "state.json"
        try:
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return Record(**content)
        except FileNotFoundError:
            return Record()
        except (ValueError, TypeError):
            raise StorageError(f"{path}: found something else than the state of {name}; remove it") from None

    def _write(self, name: str, record: Record) -> None:
        path = self.folder / name / "state.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(record)), "utf-8")
        new.replace(path)

    def _checked(self, names: Iterable[str]) -> list[str]:
        """Return names without repetition, when all are known."""
        found = list(dict.fromkeys(names))
        for name in found:
            if name not in self._services:
                allowed, hint = ", ".join(self._services), nearest(name, self._services)
                raise ConfigurationError(f'service: found "{name}"; allowed: {allowed}; {hint}'.rstrip("; "))
        return found

    def _with_needs(self, names: Iterable[str]) -> list[str]:
        """Return names with what they need before them."""
        found: list[str] = []
        for name in names:
            needed = (*self._with_needs(self._services[name].needs), name)
            found += [each for each in needed if each not in found]
        return found


def _private(folder: Path) -> None:
    """Make a folder that nobody else looks into."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def _end_of(log: Path) -> str:
    """Return the last lines of a log, for a message."""
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.exists() else []
    if not lines:
        return f"its log is empty ({log})"
    return "\n".join([f"the end of its log ({log}):", *(line[:300] for line in lines[-_SHOWN_LINES:])])
