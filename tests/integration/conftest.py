"""Real servers for tests, started through `counterfoil.stack`; absent ones skip their tests by name, and fail in CI.

The broker is one for the whole session, shared by all workers of pytest-xdist: whoever needs it first starts it,
whoever is last stops it. ``COUNTERFOIL_TEST_KAFKA=HOST:PORT`` names one that runs already, to save its start when
tests are run again and again.
"""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.stack import Stack
from counterfoil.stack.artifacts import locked
from tests.conftest import absent
from tests.integration.instance import compile_kernels
from tests.integration.kafka import Broker


@contextmanager
def provisioned() -> Iterator[None]:
    """Skip a test (in CI: fail it) where a server cannot be had; one that does not start is a failure everywhere."""
    try:
        yield
    except (ConfigurationError, InputError) as error:
        absent(str(error))


def guard(stack: Stack, name: str, owner: int) -> None:
    """Stop a server when a process has gone that was not asked: tests that are killed leave nothing running."""
    pid = stack.process(name)
    script = f"while kill -0 {owner} && kill -0 {pid}; do sleep 1; done; kill {pid}"
    words = ["/bin/sh", "-c", script]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    # It outlives us on purpose: nobody waits for it.
    process.returncode = 0


@pytest.fixture(scope="session")
def kafka_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a broker that all tests share."""
    if given := os.environ.get("COUNTERFOIL_TEST_KAFKA"):
        yield given
        return
    shared = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if shared else folder) / "kafka"
    folder.mkdir(exist_ok=True)
    users = folder / "users"
    users.mkdir(exist_ok=True)
    # Its own name, not the process alone: a worker may hold this fixture twice, for tests in two folders.
    mine = users / f"{os.getpid()}-{uuid.uuid4().hex}"
    stack = Stack(folder / "stack")
    with locked(folder / "lock"):
        with provisioned():
            [started] = stack.up(["kafka"], ports={"kafka": 0}, brief=True)
        if started.seconds is not None:
            # A worker's parent is the session itself.
            guard(stack, "kafka", os.getppid() if shared else os.getpid())
        mine.touch()
    yield started.addresses["kafka"]
    with locked(folder / "lock"):
        mine.unlink()
        if not any(users.iterdir()):
            stack.down(["kafka"])


@pytest.fixture
def kafka(kafka_address: str, request: pytest.FixtureRequest) -> Broker:
    """Give the shared broker, with names of topics and groups that only this test has."""
    pytest.importorskip("confluent_kafka")
    words = re.sub(r"\W+", "-", request.node.name).strip("-")[:60]
    return Broker(kafka_address, f"{words}-{uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """See that all kernels are compiled: no test waits for that while a time-out of the cluster runs."""
    compile_kernels(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def secure_stack(compiled: None) -> Iterator[Callable[[Path], Stack]]:
    """Give what starts a broker with TLS and passwords in a folder; it is stopped after the module's tests."""
    started: list[Stack] = []

    def start(folder: Path) -> Stack:
        stack = Stack(folder / "stack")
        started.append(stack)
        with provisioned():
            stack.up(["kafka"], ports={"kafka": 0}, secure=True, brief=True)
        guard(stack, "kafka", os.getpid())
        return stack

    yield start
    for each in started:
        each.down()


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Give what starts servers for one test alone, which may kill them; they are stopped after it."""
    stack = Stack(tmp_path / "stack")

    def start(*names: str, secure: bool = False) -> Stack:
        with provisioned():
            started = stack.up(names, ports=dict.fromkeys(names, 0), secure=secure, brief=True)
        for each in started:
            guard(stack, each.name, os.getpid())
        return stack

    yield start
    stack.down()
