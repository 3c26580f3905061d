"""Modules that import an engine's library are collected where it is installed: in the engine's own environment."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

_RUNTIMES = Path(__file__).parent / "src" / "counterfoil" / "runtimes"


def _needing(engine: str, libraries: str) -> list[str]:
    """Return the modules of an engine's folder that cannot be imported without its libraries."""
    modules = {path.stem: path.read_text("utf-8") for path in (_RUNTIMES / engine).glob("*.py")}
    needing = {name for name, text in modules.items() if re.search(rf"^(?:from|import) (?:{libraries})\b", text, re.M)}
    while True:
        words = "|".join(sorted(needing)) or "-"
        found = re.compile(rf"^from counterfoil\.runtimes\.{engine}\.(?:{words}) import", re.MULTILINE)
        more = {name for name, text in modules.items() if found.search(text)} - needing
        if not more:
            return [str(_RUNTIMES / engine / f"{name}.py") for name in sorted(needing)]
        needing |= more


collect_ignore = [
    path
    for engine, library, libraries in (
        ("spark", "pyspark", "pyspark|pyarrow"),
        ("flink", "pyflink", "pyflink|pyarrow"),
        ("engine", "pyarrow", "pyarrow"),
    )
    if find_spec(library) is None
    for path in _needing(engine, libraries)
]
