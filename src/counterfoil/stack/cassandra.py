"""Cassandra 5, one node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from counterfoil.stack.probes import listens
from counterfoil.stack.service import HOST, Place, Service, write_recipe


class Cassandra(Service):
    """A node without passwords, whose waits for other nodes are set to nothing."""

    name = "cassandra"
    summary = "Cassandra 5.0, one node"
    ports: ClassVar[Mapping[str, int]] = {"cassandra": 19042, "storage": 17000}
    # On 25 it ends at once: it sets a security manager, which there is no more.
    java = (17, 17)
    archives = True

    def prepare(self, place: Place) -> Sequence[str]:
        """Write the settings and return the command line."""
        words = {"data": place.data, **place.ports}
        settings = write_recipe("cassandra.yaml", place.data / "cassandra.yaml", words)
        options = write_recipe("cassandra-jvm.options", place.data / "jvm.options", words)
        logs = write_recipe("cassandra-logback.xml", place.data / "logback.xml", {})
        return [
            place.java,
            f"@{options}",
            f"-Dcassandra.config={settings.as_uri()}",
            f"-Dcassandra.storagedir={place.data}",
            f"-Dlogback.configurationFile={logs}",
            "-cp",
            f"{place.library}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]

    def serves(self, place: Place) -> bool:
        """Return whether it listens for clients: it does so last."""
        return listens(place.ports["cassandra"])

    def addresses(self, place: Place) -> dict[str, str]:
        """Return its contact point."""
        return {"cassandra": f"{HOST}:{place.ports['cassandra']}"}
