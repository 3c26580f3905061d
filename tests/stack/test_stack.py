"""Bringing servers up and down, with one that is small enough for every machine: Python's own."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from counterfoil.errors import ConfigurationError, StorageError
from counterfoil.stack import Stack
from counterfoil.stack.ports import free_port
from counterfoil.stack.probes import answers, listens
from counterfoil.stack.service import Place, Service, fill, recipe
from counterfoil.stack.services import SERVICES
from counterfoil.stack.stack import ServerFailedError, default_folder


class Pages(Service):
    """Serves its data folder."""

    name = "pages"
    summary = "pages"
    ports: ClassVar[Mapping[str, int]] = {"pages": free_port(set())}

    def prepare(self, place: Place) -> Sequence[str]:
        return [sys.executable, "-m", "http.server", str(place.ports["pages"]), "--bind", "127.0.0.1"]

    def serves(self, place: Place) -> bool:
        return listens(place.ports["pages"])

    def addresses(self, place: Place) -> dict[str, str]:
        return {self.name: f"http://127.0.0.1:{place.ports['pages']}"}


class Reader(Pages):
    """Needs the other."""

    name = "reader"
    needs = ("pages",)

    def prepare(self, place: Place) -> Sequence[str]:
        (place.data / "seen").write_text(place.others["pages"])
        return super().prepare(place)


class Broken(Pages):
    """Ends with a word."""

    name = "broken"

    def prepare(self, place: Place) -> Sequence[str]:
        return ["/bin/sh", "-c", "echo it has no heart; exit 3"]


class Deaf(Pages):
    """Never serves."""

    name = "deaf"
    start_seconds = 0.3

    def serves(self, place: Place) -> bool:
        return False


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    services = {service.name: service for service in (Pages(), Reader(), Broken(), Deaf())}
    opened = Stack(tmp_path / "stack", services=services)
    yield opened
    opened.down()
    assert [each.name for each in opened.status() if each.running] == []


def port_of(stack: Stack, name: str) -> int:
    [address] = [each.addresses[name] for each in stack.status() if each.name == name]
    return int(address.rpartition(":")[2])


def test_up_and_down_are_safe_to_repeat(stack: Stack) -> None:
    assert stack.down() == []
    [first] = stack.up(["pages"])
    [again] = stack.up(["pages"])
    assert (first.seconds is None, again.seconds) == (False, None)
    assert first.addresses == again.addresses
    port = port_of(stack, "pages")
    assert answers(port, "/")
    assert not answers(port, "/", "something else")
    assert stack.down() == ["pages"]
    assert stack.down() == []
    assert not listens(port)
    assert not answers(port, "/")


def test_another_program_finds_it_again(stack: Stack, tmp_path: Path) -> None:
    [first] = stack.up(["pages"])
    other = Stack(tmp_path / "stack", services={"pages": Pages()})
    assert other.up(["pages"])[0].addresses == first.addresses
    assert other.process("pages") == stack.process("pages") > 0
    assert other.down() == ["pages"]
    assert stack.process("pages") == 0


def test_what_it_needs_comes_first_and_goes_last(stack: Stack) -> None:
    assert [each.name for each in stack.up(["reader"], ports={"reader": 0})] == ["pages", "reader"]
    assert (stack.folder / "reader" / "data" / "seen").read_text() == f"http://127.0.0.1:{port_of(stack, 'pages')}"
    assert stack.down(["pages"]) == ["reader", "pages"]


def test_it_comes_back_where_it_was(stack: Stack) -> None:
    stack.up(["pages"], ports={"pages": 0})
    port = port_of(stack, "pages")
    (stack.folder / "pages" / "data" / "kept").touch()
    stack.kill("pages")
    assert stack.process("pages") == 0
    stack.kill("pages")
    stack.up(["pages"])
    assert port_of(stack, "pages") == port
    assert answers(port, "/kept")


def test_data_go_only_when_asked_for(stack: Stack) -> None:
    stack.up(["pages"])
    stack.down(["pages"])
    assert (stack.folder / "pages").exists()
    stack.down(["pages"], delete=True)
    assert not (stack.folder / "pages").exists()


def test_a_server_that_ends_shows_its_log(stack: Stack) -> None:
    with pytest.raises(
        ServerFailedError, match=r"broken ended before it served; the end of its log .*\nit has no heart"
    ):
        stack.up(["broken"])


def test_a_server_that_never_serves_is_stopped(stack: Stack) -> None:
    with pytest.raises(ServerFailedError, match=r"deaf did not serve within 0\.3 s; "):
        stack.up(["deaf"])
    assert stack.process("deaf") == 0


def test_a_taken_port_is_replaced_or_refused(stack: Stack) -> None:
    with socket.socket() as other:
        # Connections of an earlier test linger.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", Pages.ports["pages"]))
        other.listen()
        taken = Pages.ports["pages"]
        with pytest.raises(ConfigurationError, match=f"--port pages={taken}: found another program"):
            stack.up(["pages"], ports={"pages": taken})
        stack.up(["pages"])
        assert port_of(stack, "pages") != taken
        with pytest.raises(ConfigurationError, match=r"found it running on .*; first: counterfoil stack down pages"):
            stack.up(["pages"], ports={"pages": taken})


def test_wrong_names_are_refused(stack: Stack) -> None:
    for call in (lambda: stack.up(["pges"]), lambda: stack.down(["pges"]), lambda: stack.up([], ports={"pges": 1})):
        with pytest.raises(ConfigurationError, match=r'service: found "pges"; allowed: .*; did you mean "pages"\?'):
            call()


def test_a_damaged_state_is_named(stack: Stack) -> None:
    folder = stack.folder / "pages"
    folder.mkdir(parents=True)
    for text in ("{", "[]", '{"pid": 1, "colour": "red"}'):
        (folder / "state.json").write_text(text)
        with pytest.raises(StorageError, match=r"state\.json: found something else than the state of pages"):
            stack.status()
    (folder / "state.json").unlink()


def test_a_process_of_before_is_no_server(stack: Stack) -> None:
    """After a restart of the machine ids are given anew."""
    stack.up(["pages"])
    path = stack.folder / "pages" / "state.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"born": "0"}))
    assert stack.process("pages") == 0
    assert stack.down() == []
    path.write_text(json.dumps(kept))
    assert stack.process("pages") > 0


def test_the_folder_is_private_and_can_be_named(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack.up(["pages"])
    assert stack.folder.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("COUNTERFOIL_STACK", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    monkeypatch.delenv("COUNTERFOIL_STACK")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "counterfoil" / "stack"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_what_it_is(name: str) -> None:
    service = SERVICES[name]
    assert service.name == name == next(iter(service.ports))
    assert service.summary
    assert service.__doc__
    assert set(service.needs) <= set(SERVICES)
    assert service.stop_signal in {signal.SIGTERM, signal.SIGINT}


def test_recipes_are_filled_whole() -> None:
    assert "@" not in fill(recipe("redis.conf"), {"redis": 1, "data": "/x"})
    with pytest.raises(KeyError):
        fill("@absent@", {})
