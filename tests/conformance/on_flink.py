"""Carries cases out on Flink: ``python -m tests.conformance.on_flink FILE``, with the Python of its environment.

The file holds a list of runs, as JSON; one JVM carries them all out, one after the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from counterfoil.config import parse_config
from counterfoil.runtimes.flink.runtime import FlinkRuntime


def main(path: Path) -> None:
    """Carry out the runs of a file, and write what each did beside it."""
    contents = json.loads(path.read_text())
    done = []
    for content in contents:
        # As many tasks as shards could show an order that only one task keeps.
        content["flink"] = {"parallelism": 2 if content.get("limits", {}).get("shards", 1) > 1 else 1}
        done.append(FlinkRuntime(parse_config(content)).run().as_dict())
        path.with_suffix(".done").write_text(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
