"""A schema registry that speaks Confluent's protocol (Apicurio)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from counterfoil.stack.probes import answers
from counterfoil.stack.service import HOST, SMALL_JAVA, Place, Service

_PATH = "/apis/ccompat/v7"


class Registry(Service):
    """A registry in memory: what it holds is gone when it ends."""

    name = "registry"
    summary = "schema registry (Apicurio 3.3)"
    ports: ClassVar[Mapping[str, int]] = {"registry": 18081, "management": 18082}
    java = (21, 99)
    archives = True

    def prepare(self, place: Place) -> Sequence[str]:
        """Return the command line."""
        options = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": place.ports["registry"],
            "quarkus.management.host": HOST,
            "quarkus.management.port": place.ports["management"],
        }
        program = next(place.library.glob("**/quarkus-run.jar"))
        small = ["-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", *SMALL_JAVA]
        return [place.java, *small, *(f"-D{name}={value}" for name, value in options.items()), "-jar", str(program)]

    def serves(self, place: Place) -> bool:
        """Return whether it lists its subjects."""
        return answers(place.ports["registry"], f"{_PATH}/subjects")

    def addresses(self, place: Place) -> dict[str, str]:
        """Return the URL that Confluent's clients want."""
        return {"registry": f"http://{HOST}:{place.ports['registry']}{_PATH}"}
