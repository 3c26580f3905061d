"""Kafka 4, one broker that is its own controller (KRaft)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from counterfoil.errors import StorageError
from counterfoil.stack.certificates import make_certificates, make_password
from counterfoil.stack.service import HOST, SMALL_JAVA, Place, Service, fill, recipe, write_recipe

_CLUSTER = "kXWTHMM7SlW4y5aNWNhcwA"
"""Any 16 bytes in base64: there is one broker, so nothing else is ever called so."""
USER = "counterfoil"
"""Who may come in by password; its password is in ``secrets/password``."""


class Kafka(Service):
    """A broker on a plain listener, and when asked on one with TLS, one with SCRAM passwords and one with tokens."""

    name = "kafka"
    summary = "Kafka 4.4, one broker (KRaft)"
    ports: ClassVar[Mapping[str, int]] = {"kafka": 19092, "controller": 19093}
    secure_ports: ClassVar[Mapping[str, int]] = {"kafka-tls": 19094, "kafka-sasl": 19095, "kafka-oauth": 19096}
    java = (17, 99)
    archives = True

    def prepare(self, place: Place) -> Sequence[str]:
        """Write the settings, format the log once, and return the command line."""
        if not (place.secrets / "authority.pem").exists():
            make_certificates(place.secrets)
        if not (place.secrets / "password").exists():
            make_password(place.secrets / "password")
        settings = _write_settings(place)
        logs = write_recipe("log4j2.properties", place.data / "log4j2.properties", {})
        common = [place.java, *SMALL_JAVA, f"-Dlog4j2.configurationFile={logs}", "-cp", f"{place.library}/*"]
        if not (place.data / "log" / "meta.properties").exists():
            _format(common, settings, place)
        # The second compiler takes more than a second of both cores at every start.
        compilers = ["-XX:TieredStopAtLevel=1"] if place.brief else []
        memory = ["-Xms128m", "-Xmx512m", "-XX:MaxDirectMemorySize=256m", f"-XX:ErrorFile={place.data}/java-%p.log"]
        return [place.java, *compilers, *memory, *common[1:], "kafka.Kafka", str(settings)]

    def serves(self, place: Place) -> bool:
        """Return whether the broker has said so: it does when its listeners are open."""
        return place.logged("Kafka Server started")

    def addresses(self, place: Place) -> dict[str, str]:
        """Return the bootstrap address of each listener."""
        # The certificate names localhost and no address, as certificates of real brokers do.
        return {
            name: f"{HOST if name == 'kafka' else 'localhost'}:{port}"
            for name, port in place.ports.items()
            if name != "controller"
        }


def _write_settings(place: Place) -> Path:
    """Write the broker's settings."""
    listeners = {"PLAINTEXT": (HOST, place.ports["kafka"])}
    if place.secure:
        listeners |= {
            name.removeprefix("kafka-").upper(): ("localhost", place.ports[name]) for name in Kafka.secure_ports
        }
    words = {
        "data": place.data,
        "secrets": place.secrets,
        "controller": place.ports["controller"],
        "advertised": ",".join(f"{name}://{host}:{port}" for name, (host, port) in listeners.items()),
        "listeners": ",".join(
            [f"{name}://{HOST}:{port}" for name, (_, port) in listeners.items()]
            + [f"CONTROLLER://{HOST}:{place.ports['controller']}"]
        ),
    }
    text = recipe("kafka.properties") + (recipe("kafka-secure.properties") if place.secure else "")
    path = place.data / "kafka.properties"
    path.write_text(fill(text, words), "utf-8")
    return path


def _format(common: Sequence[str], settings: Path, place: Place) -> None:
    """Make the log's folder, with the one user in it."""
    secret = (place.secrets / "password").read_text("utf-8")
    users = [f"SCRAM-SHA-{bits}=[name={USER},password={secret}]" for bits in (256, 512)]
    done = subprocess.run(  # noqa: S603 - our own Java with our own arguments
        [
            common[0],
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            *common[1:],
            "kafka.tools.StorageTool",
            "format",
            "-t",
            _CLUSTER,
            "-c",
            str(settings),
            *(word for user in users for word in ("--add-scram", user)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).replace(secret, "***").strip()
        raise StorageError(f"kafka: its log in {place.data} could not be made: {said[-1000:]}")
