"""The registry's client against a server of the standard library: caching, waiting, refusals, and no secret shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from counterfoil.config import RegistryConfig, Secret
from counterfoil.connectors import schema_registry
from counterfoil.connectors.schema_registry import SchemaRegistry
from counterfoil.errors import ConfigurationError, InputError

NOT_FOUND = (404, {"error_code": 40403, "message": "Schema not found"})


class Server:
    """Answers by path, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked.append((self.path, self.headers.get("Authorization", "")))
                answer = owner.answers.get(self.path, NOT_FOUND)
                status, content = answer.pop(0) if isinstance(answer, list) else answer
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def client(server: Server, clock: Clock | None = None, **settings: Any) -> SchemaRegistry:
    clock = clock or Clock()
    return SchemaRegistry(RegistryConfig(url=server.url + "/", **settings), clock, clock.sleep)


def test_a_schema_is_asked_for_once(server: Server) -> None:
    server.answers["/schemas/ids/7"] = (200, {"schema": '"x"'})
    server.answers["/schemas/ids/8"] = (200, {"schema": "{}", "schemaType": "JSON"})
    registry = client(server)
    for _ in range(2):
        registry.get(7)
        registry.get(8)
    seven, eight = registry.get(7), registry.get(8)
    assert seven is not None
    assert eight is not None
    assert (seven.type, seven.text, eight.type) == ("AVRO", '"x"', "JSON")
    assert len(server.asked) == 2
    registry.close()


def test_an_unknown_number_is_asked_for_again_after_a_while(server: Server) -> None:
    clock = Clock()
    registry = client(server, clock)
    assert registry.get(7) is None
    assert registry.get(7) is None
    assert len(server.asked) == 1
    clock.now += schema_registry.UNKNOWN_SECONDS + 1
    server.answers["/schemas/ids/7"] = (200, {"schema": '"x"'})
    assert registry.get(7) is not None
    registry.close()


def test_what_is_kept_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_registry, "SCHEMAS_MAX", 3)
    monkeypatch.setattr(schema_registry, "UNKNOWN_MAX", 3)
    registry = client(server)
    for number in range(10):
        server.answers[f"/schemas/ids/{number}"] = (200, {"schema": '"x"'})
        registry.get(number)
        registry.get(100 + number)
    assert list(registry._schemas) == [7, 8, 9]
    assert list(registry._unknown) == [107, 108, 109]
    registry.close()


def test_references_come_in_an_order_in_which_each_needs_only_those_before(server: Server) -> None:
    one = {"name": "b.C", "subject": "c/value", "version": 1}
    two = {"name": "b.B", "subject": "b", "version": 2}
    server.answers["/schemas/ids/7"] = (200, {"schema": '"A"', "references": [two, one]})
    server.answers["/subjects/b/versions/2"] = (200, {"schema": '"B"', "references": [one]})
    server.answers["/subjects/c%2Fvalue/versions/1"] = (200, {"schema": '"C"'})
    registry = client(server)
    found = registry.get(7)
    assert found is not None
    assert found.references == ('"C"', '"B"')
    registry.close()


def test_a_server_in_trouble_is_asked_again(server: Server) -> None:
    server.answers["/schemas/ids/7"] = [(500, {}), (429, {}), (200, {"schema": '"x"'})]
    clock = Clock()
    registry = client(server, clock)
    assert registry.get(7) is not None
    assert clock.slept == [0.1, 0.2]
    registry.close()


def test_waiting_ends(server: Server) -> None:
    server.answers["/schemas/ids/7"] = (503, {})
    clock = Clock()
    registry = client(server, clock, wait_seconds=20.0)
    with pytest.raises(InputError, match=r"did not answer for \d+ s: it answers 503; no record was skipped"):
        registry.get(7)
    assert sum(clock.slept) <= 20
    registry.close()


def test_nobody_there() -> None:
    clock = Clock()
    registry = SchemaRegistry(RegistryConfig(url="http://127.0.0.1:1", wait_seconds=1.0), clock, clock.sleep)
    with pytest.raises(InputError, match="no record was skipped"):
        registry.get(7)
    registry.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {}), "refuses us"),
        ((403, b"no"), "refuses us"),
        ((404, b"<html>"), "check the path"),
        ((200, b"[]"), "check the path"),
        ((302, b""), "check the path"),
        ((200, {"id": 7}), "without a schema"),
    ],
)
def test_refusals_are_named_at_once(answer: Any, words: str, server: Server) -> None:
    server.answers["/schemas/ids/7"] = answer
    registry = client(server, user="ann", password=Secret("hunter2"))
    with pytest.raises(ConfigurationError, match=words) as raised:
        registry.get(7)
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(registry)
    assert len(server.asked) == 1
    registry.close()


def test_who_we_are_comes_from_settings_or_files(server: Server, tmp_path: Path) -> None:
    server.answers["/schemas/ids/7"] = (200, {"schema": '"x"'})
    path = tmp_path / "secret"
    path.write_text("hunter2\n")
    ways: list[tuple[dict[str, Any], str]] = [
        ({"user": "ann", "password": Secret("hunter2")}, "Basic YW5uOmh1bnRlcjI="),
        ({"user": "ann", "password_file": str(path)}, "Basic YW5uOmh1bnRlcjI="),
        ({"token": Secret("hunter2")}, "Bearer hunter2"),
        ({"token_file": str(path)}, "Bearer hunter2"),
    ]
    for settings, header in ways:
        registry = client(server, **settings)
        registry.get(7)
        assert server.asked[-1][1] == header
        registry.close()
    with pytest.raises(ConfigurationError, match="token_file"):
        client(server, token_file=str(tmp_path / "none"))


@pytest.mark.parametrize("url", ["", "registry:8081", "ftp://one/x", "http://ann:hunter2@one:8081"])
def test_wrong_addresses_are_named_without_what_they_hold(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"source\.registry\.url") as raised:
        SchemaRegistry(RegistryConfig(url=url))
    assert "hunter2" not in str(raised.value)


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    path.write_text("none")
    with pytest.raises(ConfigurationError, match="PEM"):
        SchemaRegistry(RegistryConfig(url="https://one", authority_file=str(path)))
