"""PostgreSQL, ready for change data capture (logical replication)."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from counterfoil.errors import ConfigurationError, StorageError
from counterfoil.stack.processes import not_as_root
from counterfoil.stack.service import HOST, Place, Service, fill, recipe

_USER = "stack"
_DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps each version's programs, on nobody's path."""


class Postgres(Service):
    """A server with one user, who needs no password: it listens on loopback alone."""

    name = "postgres"
    summary = "PostgreSQL, logical replication on"
    ports: ClassVar[Mapping[str, int]] = {"postgres": 15432}
    refuses_root = True
    # Its "fast" stop, which does not wait for clients.
    stop_signal = signal.SIGINT

    def prepare(self, place: Place) -> Sequence[str]:
        """Make the database once, write the settings, and return the command line."""
        programs = _programs()
        database = place.data / "database"
        initial = database / "postgresql.conf.initial"
        if not initial.exists():
            shutil.rmtree(database, ignore_errors=True)
            _initialise(programs, database)
            shutil.copyfile(database / "postgresql.conf", initial)
        settings = initial.read_text("utf-8") + fill(recipe("postgresql.conf"), place.ports)
        (database / "postgresql.conf").write_text(settings, "utf-8")
        return [str(programs / "postgres"), "-D", str(database)]

    def serves(self, place: Place) -> bool:
        """Return whether it takes connections."""
        words = [str(_programs() / "pg_isready"), "-q", "-h", HOST, "-p", str(place.ports["postgres"])]
        return subprocess.run(words, check=False, timeout=30).returncode == 0  # noqa: S603 - its own program

    def addresses(self, place: Place) -> dict[str, str]:
        """Return its URL."""
        return {"postgres": f"postgresql://{_USER}@{HOST}:{place.ports['postgres']}/postgres"}


def _initialise(programs: Path, database: Path) -> None:
    """Make an empty database."""
    words = [str(programs / "initdb"), "-D", str(database), "-U", _USER, "--auth=trust", "-E", "UTF8", "--locale=C"]
    done = subprocess.run(  # noqa: S603 - its own program
        not_as_root([*words, "--no-sync"]), capture_output=True, text=True, check=False, cwd="/", timeout=120
    )
    if done.returncode:
        raise StorageError(f"postgres: {database} could not be made: {(done.stdout + done.stderr).strip()[-1000:]}")


def _programs() -> Path:
    """Return the folder of its programs: Debian's, the path's, or that of the package `pgserver`."""
    found = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    if program := shutil.which("postgres"):
        found.append(Path(program).resolve().parent)
    # Found and not imported: that would start threads and write files.
    spec = find_spec("pgserver")
    found += [Path(folder) / "pginstall" / "bin" for folder in (spec.submodule_search_locations or ())] if spec else []
    for folder in found:
        if all((folder / name).exists() for name in ("initdb", "postgres", "pg_isready")):
            return folder
    raise ConfigurationError(
        "postgres: found no PostgreSQL server; to have one: pip install 'counterfoil[stack]' (Python up to 3.12), or "
        "apt-get install --no-install-recommends postgresql"
    )
