"""Ports: the default, the former, the one that must be, or any that is free."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from counterfoil.errors import ConfigurationError
from counterfoil.stack.ports import choose_ports, free_port, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def test_a_free_default_is_taken() -> None:
    one, other = free_port(set()), free_port(set())
    assert choose_ports({"a": one}, {}, {}) == {"a": one}
    assert choose_ports({"a": one}, {"a": other}, {}) == {"a": other}
    assert choose_ports({"a": one}, {"a": one}, {"a": other}) == {"a": other}


def test_a_taken_one_is_replaced(taken: int) -> None:
    assert not is_free(taken)
    chosen = choose_ports({"a": taken, "b": taken}, {}, {})
    assert taken not in chosen.values()
    assert all(is_free(port) for port in chosen.values())


def test_the_former_one_is_waited_for() -> None:
    """A server that was killed has it for a moment more."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    former = int(server.getsockname()[1])
    threading.Timer(0.3, server.close).start()
    assert choose_ports({"a": free_port({former})}, {"a": former}, {}) == {"a": former}


def test_two_never_get_the_same() -> None:
    port = free_port(set())
    chosen = choose_ports({"a": port, "b": port}, {}, {})
    assert chosen["a"] == port != chosen["b"]


def test_zero_is_any_but_the_default() -> None:
    port = free_port(set())
    assert choose_ports({"a": port}, {}, {"a": 0})["a"] != port


def test_one_that_must_be_and_is_taken_is_an_error(taken: int) -> None:
    with pytest.raises(ConfigurationError, match=f"--port a={taken}: found another program listening there"):
        choose_ports({"a": 1}, {}, {"a": taken})
