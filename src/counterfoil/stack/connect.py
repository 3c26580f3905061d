"""Kafka Connect with Debezium for PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from counterfoil.stack.probes import answers
from counterfoil.stack.service import HOST, SMALL_JAVA, Place, Service, write_recipe


class Connect(Service):
    """A worker of its own (standalone); connectors are given to it through its HTTP interface."""

    name = "connect"
    summary = "Kafka Connect 4.3, Debezium 3.6"
    ports: ClassVar[Mapping[str, int]] = {"connect": 18083}
    needs = ("kafka",)
    java = (17, 99)
    archives = True

    def prepare(self, place: Place) -> Sequence[str]:
        """Write the settings and return the command line."""
        words = {"data": place.data, **place.others, **place.ports}
        settings = write_recipe("connect.properties", place.data / "connect.properties", words)
        logs = write_recipe("log4j2.properties", place.data / "log4j2.properties", {})
        small = ["-Xms64m", "-Xmx256m", *SMALL_JAVA, f"-Dlog4j2.configurationFile={logs}"]
        program = "org.apache.kafka.connect.cli.ConnectStandalone"
        return [place.java, *small, "-cp", f"{place.library}/*", program, str(settings)]

    def serves(self, place: Place) -> bool:
        """Return whether it lists its connectors."""
        return answers(place.ports["connect"], "/connectors")

    def addresses(self, place: Place) -> dict[str, str]:
        """Return its URL."""
        return {"connect": f"http://{HOST}:{place.ports['connect']}"}
