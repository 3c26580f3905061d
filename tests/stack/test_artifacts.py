"""Archives: each is held to its checksum, whichever way it came."""

from __future__ import annotations

import hashlib
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from counterfoil.errors import ConfigurationError, CorruptionError, InputError
from counterfoil.stack import artifacts
from counterfoil.stack.artifacts import CENTRAL, Archive, fetch_plainly, library, read_lock, repository, unpack, verify
from counterfoil.stack.service import recipe
from counterfoil.stack.services import SERVICES

CONTENT = b"an archive" * 1_000


def archive(content: bytes = CONTENT, coordinates: str = "org.example:thing:1.0:jar") -> Archive:
    return Archive(coordinates, len(content), hashlib.sha256(content).hexdigest())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """Give a repository with one archive."""
    folder = tmp_path / "repository" / "org" / "example" / "thing" / "1.0"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.jar").write_bytes(CONTENT)
    handler = partial(Quiet, directory=str(tmp_path / "repository"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_archives_come_without_maven(mirror: str, tmp_path: Path) -> None:
    folder, said = new(tmp_path / "new"), list[str]()
    fetch_plainly(mirror, "thing", [archive()], folder, said.append)
    verify("thing", [archive()], folder)
    assert (folder / "thing-1.0.jar").read_bytes() == CONTENT
    assert said == ["thing: fetching archive 1 of 1, 0 MB of 0 MB"]


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b""])
def test_another_archive_is_refused(mirror: str, tmp_path: Path, content: bytes) -> None:
    folder = new(tmp_path / "new")
    wanted = archive(content)
    fetch_plainly(mirror, "thing", [wanted], folder, lambda _: None)
    assert (folder / "thing-1.0.jar").stat().st_size <= len(content)
    if content == CONTENT[: len(content)]:
        # No more is read than was listed, and so much is as it should be.
        verify("thing", [wanted], folder)
        (folder / "thing-1.0.jar").write_bytes(CONTENT)
    with pytest.raises(CorruptionError, match=r"thing-1\.0\.jar: found \w+; allowed: SHA-256 \w+; remove the folder"):
        verify("thing", [wanted], folder)


def test_what_nobody_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thing-1.0.jar").write_bytes(CONTENT)
    (tmp_path / "other.jar").write_bytes(b"")
    with pytest.raises(CorruptionError, match=r"other\.jar is not among its archives"):
        verify("thing", [archive()], tmp_path)
    with pytest.raises(CorruptionError, match="found nothing"):
        verify("thing", [archive(coordinates="org.example:absent:1.0:jar")], new(tmp_path / "empty"))


def test_what_is_absent_is_said_at_once(mirror: str, tmp_path: Path) -> None:
    wanted = archive(coordinates="org.example:absent:2.0:jar")
    with pytest.raises(
        InputError, match=r"absent-2\.0\.jar could not be fetched .*404.*; install Maven, or name a mirror"
    ):
        fetch_plainly(mirror, "thing", [wanted], new(tmp_path / "new"), lambda _: None)
    with pytest.raises(ConfigurationError, match=r'found "file:///etc"; allowed: an address that starts with https://'):
        fetch_plainly("file:///etc", "thing", [wanted], tmp_path, lambda _: None)


SETTINGS = """<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors>
<mirror><id>other</id><mirrorOf>jcenter</mirrorOf><url>https://other.example/</url></mirror>
<mirror><id>ours</id><mirrorOf>{of}</mirrorOf><url>https://mirror.example/maven/</url></mirror>
</mirrors></settings>"""


@pytest.mark.parametrize(
    ("of", "expected"),
    [("central", "https://mirror.example/maven"), ("*", "https://mirror.example/maven"), ("apache", CENTRAL),
     ("external:*, !inner", "https://mirror.example/maven"), ("*,!central", CENTRAL)],
)  # fmt: skip
def test_the_mirror_of_the_settings_is_used(tmp_path: Path, of: str, expected: str) -> None:
    path = tmp_path / "settings.xml"
    assert repository(path) == CENTRAL
    path.write_text(SETTINGS.format(of=of))
    assert repository(path) == expected
    path.write_text("<settings>")
    with pytest.raises(ConfigurationError, match="found no XML"):
        repository(path)


def test_a_library_is_fetched_once_and_checked_each_time(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = f"{archive().coordinates} {archive().size} {archive().sha256}\n"
    monkeypatch.setattr(artifacts, "recipe", lambda name: lock)
    monkeypatch.setattr(artifacts, "repository", lambda: mirror)
    monkeypatch.setattr("shutil.which", lambda name: None)
    said: list[str] = []
    folder = library("thing", said.append, tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["thing-1.0.jar"]
    assert library("thing", said.append, tmp_path / "cache") == folder
    assert len(said) == 1
    (folder / "thing-1.0.jar").write_bytes(b"tampered")
    with pytest.raises(CorruptionError):
        library("thing", said.append, tmp_path / "cache")


def test_what_does_not_fit_is_not_kept(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "recipe", lambda name: f"org.example:thing:1.0:jar {len(CONTENT)} {'0' * 64}\n")
    monkeypatch.setattr(artifacts, "repository", lambda: mirror)
    monkeypatch.setattr("shutil.which", lambda name: None)
    for _ in range(2):
        with pytest.raises(CorruptionError):
            library("thing", lambda _: None, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_packed_archives_are_unpacked(tmp_path: Path) -> None:
    inside = tmp_path / "inside.txt"
    inside.write_text("inside")
    folder = new(tmp_path / "new")
    with zipfile.ZipFile(folder / "a-1.zip", "w") as packed:
        packed.write(inside, "a/inside.txt")
    with tarfile.open(folder / "b-1-all.tar.gz", "w:gz") as packed_too:
        packed_too.add(inside, "b/inside.txt")
    unpack([Archive("g:a:1:zip", 0, ""), Archive("g:b:1:tar.gz:all", 0, "")], folder)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "a/inside.txt",
        "b/inside.txt",
    ]


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.archives])
def test_locks_list_what_poms_want(name: str) -> None:
    archives = read_lock(recipe(f"{name}.lock"))
    assert len({each.file_name for each in archives}) == len(archives) > 0
    assert all(len(each.sha256) == 64 and each.size > 0 for each in archives)
    pom = recipe(f"{name}.pom.xml")
    listed = {each.parts[1] for each in archives}
    wanted = [line.split(">")[1].split("<")[0] for line in pom.splitlines() if "<artifactId>" in line]
    assert {each for each in wanted if each not in {name, "*"}} <= listed
