"""TLS and passwords against the real broker: they work, and what is wrong is one clear error without any secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from counterfoil.stack import Stack
from tests.integration.instance import DEFINITION, Load, decided
from tests.integration.kafka import Broker

WRONG = "wr0ng-passw0rd-that-nobody-may-see"


@dataclass(frozen=True)
class Secured:
    """A broker with TLS and passwords, and topics on it."""

    stack: Stack
    plain: Broker
    tls: str
    sasl: str
    oauth: str
    source: str
    target: str

    @property
    def secrets(self) -> Path:
        return self.stack.secrets("kafka")

    def settings(self, mechanism: str = "SCRAM-SHA-512", authority: str = "authority.pem") -> dict[str, str]:
        """Return what a client of the listener with passwords must say; the password comes from the environment."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "sasl.username": "counterfoil",
            "sasl.password": "${KAFKA_PASSWORD}",
            "ssl.ca.location": str(self.secrets / authority),
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, secure_stack: Callable[[Path], Stack]) -> Secured:
    stack = secure_stack(tmp_path_factory.mktemp("secured"))
    addresses = {name: address for each in stack.status() for name, address in each.addresses.items()}
    plain = Broker(addresses["kafka"])
    source, target = plain.topic("in"), plain.topic("out")
    Load(plain, source, 1).send(200)
    tls, sasl, oauth = (addresses[f"kafka-{each}"] for each in ("tls", "sasl", "oauth"))
    return Secured(stack, plain, tls, sasl, oauth, source, target)


def run(
    folder: Path, secured: Secured, servers: str, properties: Mapping[str, str], password: str = WRONG
) -> subprocess.CompletedProcess[str]:
    """Decide what is there, in a group of its own."""
    (folder / "detector.yaml").write_text(DEFINITION)
    content = {
        "detector": str(folder / "detector.yaml"),
        "source": {
            "type": "kafka", "servers": servers, "topics": [{"name": secured.source, "kind": "payment"}],
            "group": folder.name, "properties": dict(properties), "until_end": True,
        },
        "sinks": [{"type": "kafka", "topic": secured.target, "features": True}],
        "state": {"folder": str(folder / "state")},
        "log": {"level": "debug"},
    }  # fmt: skip
    (folder / "run.yaml").write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, "-m", "counterfoil", "run", str(folder / "run.yaml")],
        capture_output=True, text=True, timeout=180, check=False, env={**os.environ, "KAFKA_PASSWORD": password},
    )  # fmt: skip
    for secret in (WRONG, (secured.secrets / "password").read_text()):
        assert secret not in done.stdout + done.stderr
        assert not any(secret.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return done


def assert_one_error(done: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """See that a run has failed with one error that says all of these."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    errors = [line for line in done.stderr.splitlines() if line.startswith(("failed", "wrong use"))]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in errors[0]


def test_passwords_and_tls_work(secured: Secured, tmp_path: Path) -> None:
    password = (secured.secrets / "password").read_text()
    done = run(tmp_path, secured, secured.sasl, secured.settings(), password)
    assert done.returncode == 0, done.stderr
    assert len(decided(secured.plain, secured.target)) == 200


def test_a_client_shows_its_certificate(secured: Secured, tmp_path: Path) -> None:
    target = secured.plain.topic("tls")
    settings = {
        "security.protocol": "SSL",
        "ssl.ca.location": str(secured.secrets / "authority.pem"),
        "ssl.certificate.location": str(secured.secrets / "client.pem"),
        "ssl.key.location": str(secured.secrets / "client.key"),
    }
    moved = replace(secured, target=target)
    done = run(tmp_path, moved, secured.tls, settings)
    assert done.returncode == 0, done.stderr
    assert len(decided(secured.plain, target)) == 200


def token(secured: Secured, **more: str) -> dict[str, str]:
    """Return what a client of the listener with tokens must say: it makes its own, which nobody has signed."""
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "enable.sasl.oauthbearer.unsecure.jwt": "true",
        "sasl.oauthbearer.config": "principal=counterfoil",
        "ssl.ca.location": str(secured.secrets / "authority.pem"),
    } | {name.replace("_", "."): value for name, value in more.items()}


def test_a_token_is_shown(secured: Secured, tmp_path: Path) -> None:
    moved = replace(secured, target=secured.plain.topic("oauth"))
    done = run(tmp_path, moved, secured.oauth, token(secured))
    assert done.returncode == 0, done.stderr
    assert len(decided(secured.plain, moved.target)) == 200


def test_without_a_token_it_is_one_clear_error(secured: Secured, tmp_path: Path) -> None:
    """Nothing makes one: neither the module for tokens without a signature nor a server that is asked."""
    settings = {name: value for name, value in token(secured).items() if "oauthbearer" not in name}
    assert_one_error(run(tmp_path, secured, secured.oauth, settings), "sasl.oauthbearer.method: oidc", code=2)


def test_a_token_for_nobody_is_one_clear_error(secured: Secured, tmp_path: Path) -> None:
    settings = token(secured, sasl_oauthbearer_config="principalClaimName=other principal=x")
    assert_one_error(run(tmp_path, secured, secured.oauth, settings), secured.oauth, "uthentication")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_a_wrong_password_is_one_clear_error(secured: Secured, tmp_path: Path, mechanism: str) -> None:
    done = run(tmp_path, secured, secured.sasl, secured.settings(mechanism))
    assert_one_error(done, secured.sasl, "uthentication", "check sasl.mechanism, sasl.username and sasl.password")


def test_a_wrong_authority_is_one_clear_error(secured: Secured, tmp_path: Path) -> None:
    done = run(tmp_path, secured, secured.sasl, secured.settings(authority="stranger.pem"))
    assert_one_error(done, secured.sasl, "certificate", "check ssl.ca.location")


def test_a_wrong_host_is_one_clear_error(secured: Secured, tmp_path: Path) -> None:
    """The certificate is good, and of another host."""
    host = secured.sasl.replace("localhost", "127.0.0.1")
    done = run(tmp_path, secured, host, secured.settings())
    assert_one_error(done, host, "certificate names this host")


def test_a_missing_file_is_named(secured: Secured, tmp_path: Path) -> None:
    done = run(tmp_path, secured, secured.sasl, secured.settings(authority="absent.pem"))
    assert_one_error(done, f"{secured.secrets / 'absent.pem'} cannot be read", code=2)
