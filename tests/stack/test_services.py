"""Servers that are programs of the machine, with small ones in their place: what is found, said and waited for."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.errors import ConfigurationError, StorageError
from counterfoil.stack import postgres, redis
from counterfoil.stack.opensearch import OpenSearch
from counterfoil.stack.ports import free_port
from counterfoil.stack.postgres import Postgres
from counterfoil.stack.redis import Redis
from counterfoil.stack.service import Place
from tests.cli.conftest import Command, command

__all__ = ["command"]

_REDIS = """
import socketserver, sys
words = dict(line.split(maxsplit=1) for line in open(sys.argv[1]) if " " in line)
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"+PONG\\r\\n" if self.rfile.readline() == b"PING\\r\\n" else b"-ERR\\r\\n")
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer((words["bind"].strip(), int(words["port"])), Answer).serve_forever()
"""


def _program(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that is searched for programs before all others."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def stack(tmp_path: Path, command: Command) -> Iterator[Path]:
    """Give a stack's folder; what runs there is stopped after the test."""
    folder = tmp_path / "stack"
    yield folder
    assert command("stack", "down", "--folder", folder).exit_code == 0


def test_a_server_comes_up_is_listed_and_goes(programs: Path, stack: Path, command: Command) -> None:
    _program(programs / "redis-server", _REDIS)
    port = free_port(set())
    up = command("stack", "up", "redis", "--folder", stack, "--port", f"redis={port}", "--json")
    assert up.exit_code == 0, up.stderr
    assert json.loads(up.stdout) == {"redis": f"redis://127.0.0.1:{port}"}
    assert command("stack", "status", "--folder", stack, "--json").stdout == up.stdout
    listed = command("stack", "status", "--folder", stack, env={"COLUMNS": "100"}).stdout
    [line] = [line for line in listed.splitlines() if line.startswith("redis ")]
    assert f"redis://127.0.0.1:{port}" in line
    assert " MB" in line
    again = command("stack", "up", "redis", "--folder", stack)
    assert again.stdout.split() == ["redis", f"redis://127.0.0.1:{port}"]
    assert command("stack", "down", "redis", "--folder", stack).exit_code == 0
    assert json.loads(command("stack", "status", "--folder", stack, "--json").stdout) == {}
    assert "nothing ran" in command("stack", "down", "--folder", stack).stderr
    assert command("stack", "down", "--folder", stack, "--quiet").stderr == ""


def test_a_server_that_ends_is_told_with_its_last_words(programs: Path, stack: Path, command: Command) -> None:
    _program(programs / "redis-server", "print('it has no heart'); raise SystemExit(3)")
    result = command("stack", "up", "redis", "--folder", stack, "--quiet")
    assert result.exit_code == 1
    assert "it has no heart" in result.stderr


@pytest.mark.parametrize("text", ["redis", "=1", "redis=high", "redis=70000"])
def test_a_port_that_is_none(command: Command, tmp_path: Path, text: str) -> None:
    result = command("stack", "up", "redis", "--folder", tmp_path / "stack", "--port", text)
    assert result.exit_code == 2
    assert f'--port: found "{text}"; allowed: SERVICE=PORT' in result.stderr


def test_a_service_that_there_is_not(command: Command, tmp_path: Path) -> None:
    result = command("stack", "up", "reddis", "--folder", tmp_path / "stack")
    assert result.exit_code == 2
    assert "redis" in result.stderr


def _place(folder: Path, **ports: int) -> Place:
    for name in ("data", "secrets", "library"):
        (folder / name).mkdir()
    return Place(
        data=folder / "data", secrets=folder / "secrets", library=folder / "library", log=folder / "log", ports=ports
    )


def test_no_server_of_the_kind_is_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis, "find_spec", lambda name: None)
    monkeypatch.setattr(postgres, "find_spec", lambda name: None)
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    place = _place(tmp_path, redis=1, postgres=1)
    for service in (Redis(), Postgres()):
        with pytest.raises(ConfigurationError, match=f"{service.name}: found n.*pip install 'counterfoil\\[stack\\]'"):
            service.prepare(place)


def test_nobody_answers(tmp_path: Path) -> None:
    port = free_port(set())
    assert not Redis().serves(_place(tmp_path, redis=port))
    place = _place(tmp_path / "data", opensearch=port)
    assert not OpenSearch().serves(place)
    assert OpenSearch().addresses(place) == {"opensearch": f"http://127.0.0.1:{port}"}


_INITDB = """
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("-D") + 1])
folder.mkdir()
(folder / "postgresql.conf").write_text("max_connections = 100\\n")
(folder / "made").write_text("once")
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the programs of the newest of two versions of PostgreSQL."""
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path / "debian")
    for version in ("9", "17"):
        folder = tmp_path / "debian" / version / "bin"
        folder.mkdir(parents=True)
        for name, text in (("initdb", _INITDB), ("postgres", ""), ("pg_isready", "raise SystemExit(2)")):
            _program(folder / name, text)
    monkeypatch.setattr(postgres, "not_as_root", list)
    return tmp_path / "debian" / "17" / "bin"


def test_a_database_is_made_once_and_its_settings_each_time(tmp_path: Path, debian: Path) -> None:
    place, service = _place(tmp_path, postgres=15_999), Postgres()
    database = place.data / "database"
    assert service.prepare(place) == [str(debian / "postgres"), "-D", str(database)]
    (database / "made").write_text("kept")
    service.prepare(place)
    assert (database / "made").read_text() == "kept"
    settings = (database / "postgresql.conf").read_text()
    assert settings.startswith("max_connections = 100\n")
    assert settings.count("port = 15999\n") == 1
    assert not service.serves(place)
    _program(debian / "pg_isready", "")
    assert service.serves(place)
    assert service.addresses(place) == {"postgres": "postgresql://stack@127.0.0.1:15999/postgres"}


def test_a_database_that_cannot_be_made_is_told_and_tried_again(tmp_path: Path, debian: Path) -> None:
    place = _place(tmp_path, postgres=1)
    _program(debian / "initdb", _INITDB + "print('no locale'); raise SystemExit(1)")
    with pytest.raises(StorageError, match=r"postgres: .*database could not be made: no locale"):
        Postgres().prepare(place)
    _program(debian / "initdb", _INITDB)
    Postgres().prepare(place)
    # A version whose programs are not all there is passed over.
    (debian / "pg_isready").unlink()
    assert "/debian/9/bin/" in Postgres().prepare(place)[0]


def test_a_search_node_gets_the_modules_that_it_needs_and_no_more(tmp_path: Path) -> None:
    place = _place(tmp_path, opensearch=19_999, transport=19_998)
    source = place.library / "opensearch-3.6.0"
    for name in ("lib/core.jar", "agent/opensearch-agent.jar", "modules/geo/geo.jar", "modules/unwanted/it.jar"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    wanted = ("transport-netty4", "lang-painless", "reindex", "mapper-extras", "ingest-common", "parent-join")
    for name in wanted:
        (source / "modules" / name).mkdir()
    words = OpenSearch().prepare(place)
    program = place.data / "program"
    assert sorted(each.name for each in (program / "modules").iterdir()) == sorted([*wanted, "geo"])
    # Hard links: the archive takes its space once.
    assert (program / "lib" / "core.jar").samefile(source / "lib" / "core.jar")
    assert f"-Dopensearch.path.home={program}" in words
    assert "19999" in (place.data / "config" / "opensearch.yml").read_text()
    # It is laid out once; what a killed run has left half way is made anew.
    (program / "lib" / "core.jar").unlink()
    OpenSearch().prepare(place)
    assert not (program / "lib" / "core.jar").exists()
    shutil.rmtree(program)
    (place.data / "program.new").mkdir()
    (place.data / "program.new" / "half").touch()
    OpenSearch().prepare(place)
    assert (program / "lib" / "core.jar").exists()
    assert not (program / "half").exists()
