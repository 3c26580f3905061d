"""Java archives: fetched once, each held to its size and SHA-256, and kept in a cache outside the state folder.

``recipes/NAME.lock`` lists the archives of a service, one a line: ``group:artifact:version:type[:classifier] bytes
sha256``. Maven fetches them where it is installed, because it knows the user's mirrors, proxies and passwords; else
they are fetched plainly from Maven Central or from the mirror that ``~/.m2/settings.xml`` names. Either way nothing is
used whose checksum is not the listed one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import xml.etree.ElementTree as Tree
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError

from counterfoil.errors import ConfigurationError, CorruptionError, InputError
from counterfoil.stack.service import Report, recipe

CENTRAL = "https://repo.maven.apache.org/maven2"
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_MAVEN_SECONDS = 1_800
_TRIES = 3
_TIMEOUT_SECONDS = 60.0
_BLOCK = 1 << 20
_FETCHED = re.compile(rb"^(?:\[INFO\] )?Downloaded from ")


@dataclass(frozen=True, slots=True)
class Archive:
    """One line of a lock.

    Parameters
    ----------
    coordinates
        As Maven writes them, without the scope.
    size
        Its bytes.
    sha256
        Their checksum.
    """

    coordinates: str
    size: int
    sha256: str

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        """Group, artifact, version, type and classifier; the last may be empty."""
        group, artifact, version, kind, *classifier = self.coordinates.split(":")
        return group, artifact, version, kind, classifier[0] if classifier else ""

    @property
    def file_name(self) -> str:
        """What the archive is called in every repository."""
        _, artifact, version, kind, classifier = self.parts
        return f"{artifact}-{version}{'-' + classifier if classifier else ''}.{kind}"

    @property
    def path(self) -> str:
        """Where it lies in every repository."""
        group, artifact, version, _, _ = self.parts
        return f"{group.replace('.', '/')}/{artifact}/{version}/{self.file_name}"


def read_lock(text: str) -> list[Archive]:
    """Return what a lock lists.

    Examples
    --------
    >>> [archive] = read_lock("org.example:thing:1.0:jar:all 12 ab34")
    >>> archive.path
    'org/example/thing/1.0/thing-1.0-all.jar'
    """
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [Archive(coordinates, int(size), checksum) for coordinates, size, checksum in rows]


def cache_folder() -> Path:
    """Return where archives are kept: ``COUNTERFOIL_CACHE``, or the user's cache folder."""
    if given := os.environ.get("COUNTERFOIL_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "counterfoil"


def library(name: str, report: Report, cache: Path | None = None) -> Path:
    """Return the folder with a service's verified archives; fetch them where they are not there yet.

    Parameters
    ----------
    name
        The service.
    report
        Is told what is being fetched.
    cache
        Where archives are kept.

    Raises
    ------
    InputError
        If they cannot be fetched.
    CorruptionError
        If what came is not what was listed.
    """
    text = recipe(f"{name}.lock")
    archives = read_lock(text)
    # Another list is another folder: a version of this program never disturbs what another one runs.
    folder = (cache or cache_folder()) / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as made:
                new = Path(made) / "new"
                new.mkdir()
                fetch(name, archives, new, report)
                verify(name, archives, new)
                unpack(archives, new)
                new.rename(folder)
        elif all(archive.parts[3] == "jar" for archive in archives):
            verify(name, archives, folder)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that processes share, for as long as the block lasts."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def verify(name: str, archives: Sequence[Archive], folder: Path) -> None:
    """Hold files to their lock.

    Raises
    ------
    CorruptionError
        If one is missing, is another one, or nobody knows it.
    """
    known = {archive.file_name for archive in archives}
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            raise CorruptionError(f"{name}: {path} is not among its archives; remove the folder {folder} and try again")
    for archive in archives:
        path = folder / archive.file_name
        found = _checksum(path) if path.exists() else "nothing"
        if found != archive.sha256:
            raise CorruptionError(
                f"{name}: {path}: found {found}; allowed: SHA-256 {archive.sha256}; "
                f"remove the folder {folder} and try again"
            )


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archives: Sequence[Archive], folder: Path) -> None:
    """Unpack what is no jar, and keep its content alone."""
    for archive in archives:
        path = folder / archive.file_name
        if archive.parts[3] == "zip":
            with zipfile.ZipFile(path) as file:
                file.extractall(folder)  # noqa: S202 - its checksum was held to the list
        elif archive.parts[3] == "tar.gz":
            with tarfile.open(path) as file:
                file.extractall(folder, filter="data")
        else:
            continue
        path.unlink()


def fetch(name: str, archives: Sequence[Archive], folder: Path, report: Report) -> None:
    """Fetch archives into an empty folder, with Maven where it is installed."""
    maven = shutil.which("mvn")
    if maven is not None:
        fetch_with_maven(maven, name, archives, folder, report)
    else:
        fetch_plainly(repository(), name, archives, folder, report)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def fetch_with_maven(maven: str, name: str, archives: Sequence[Archive], folder: Path, report: Report) -> None:
    """Let Maven fetch the archives of a service."""
    about = f"{name}: fetching {len(archives)} archives ({_megabytes(sum(each.size for each in archives))}) with Maven"
    report(about)
    # Outside: what Maven says of itself must not lie among the archives.
    pom = folder.parent / "pom.xml"
    pom.write_text(recipe(f"{name}.pom.xml"), "utf-8")
    words = [
        maven,
        "--batch-mode",
        "--file",
        str(pom),
        _PLUGIN,
        f"-DoutputDirectory={folder}",
        "-DincludeScope=runtime",
    ]
    said: list[bytes] = []
    count, shown = 0, time.monotonic()
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = [*said[-40:], line] if b"ERROR" in line else said
                count += bool(_FETCHED.match(line))
                if count and time.monotonic() - shown > 2:
                    shown = time.monotonic()
                    report(f"{about}: {count} files")
            process.wait(_MAVEN_SECONDS)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        reason = b"".join(said[:8]).decode("utf-8", "replace").strip() or f"exit code {process.returncode}"
        raise InputError(f"{name}: Maven could not fetch its archives; see that it reaches Maven Central\n{reason}")


def repository(settings: Path | None = None) -> str:
    """Return where archives come from when Maven is not there: the mirror in the user's settings, or Maven Central."""
    path = settings or Path.home() / ".m2" / "settings.xml"
    if not path.exists():
        return CENTRAL
    try:
        root = Tree.parse(path).getroot()  # noqa: S314 - the user's own settings
    except Tree.ParseError as error:
        raise ConfigurationError(f"{path}: found no XML ({error}); allowed: Maven's settings") from None
    for mirror in root.iter():
        if mirror.tag.rpartition("}")[2] != "mirror":
            continue
        values = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in mirror}
        of = {word.strip() for word in values.get("mirrorOf", "").split(",")}
        if of & {"*", "central", "external:*"} and "!central" not in of and values.get("url"):
            return values["url"].rstrip("/")
    return CENTRAL


def fetch_plainly(root: str, name: str, archives: Sequence[Archive], folder: Path, report: Report) -> None:
    """Fetch archives one by one.

    Parameters
    ----------
    root
        The repository's address.
    name, archives, folder, report
        As in `library`.

    Raises
    ------
    InputError
        If one cannot be had.
    """
    if not root.startswith(("https://", "http://")):
        raise ConfigurationError(f'the Maven mirror: found "{root}"; allowed: an address that starts with https://')
    total = sum(archive.size for archive in archives)
    done, shown = 0, 0.0
    for count, archive in enumerate(archives, 1):
        if time.monotonic() - shown > 1 or count == len(archives):
            shown = time.monotonic()
            report(f"{name}: fetching archive {count} of {len(archives)}, {_megabytes(done)} of {_megabytes(total)}")
        _fetch_one(f"{root}/{archive.path}", name, archive, folder / archive.file_name)
        done += archive.size


def _fetch_one(address: str, name: str, archive: Archive, path: Path) -> None:
    """Fetch one archive, again where the network failed."""
    for attempt in range(1, _TRIES + 1):
        try:
            with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer, path.open("wb") as file:  # noqa: S310 - its scheme is checked
                left = archive.size
                while left > 0 and (block := answer.read(min(left, _BLOCK))):
                    file.write(block)
                    left -= len(block)
        except OSError as error:
            refused = isinstance(error, HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            if refused or attempt == _TRIES:
                raise InputError(
                    f"{name}: {address} could not be fetched ({error}); install Maven, or name a mirror that this "
                    f"machine reaches in ~/.m2/settings.xml"
                ) from None
            time.sleep(attempt)
        else:
            return
