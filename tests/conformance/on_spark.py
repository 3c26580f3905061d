"""Carries cases out on Spark: ``python -m tests.conformance.on_spark FILE``, with the Python of its environment.

The file holds a list of runs, as JSON; one session carries them all out, one after the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from counterfoil.config import parse_config
from counterfoil.runtimes.spark.runtime import SparkRuntime
from counterfoil.runtimes.spark.session import open_session


def main(path: Path) -> None:
    """Carry out the runs of a file, and write what each did beside it."""
    contents = json.loads(path.read_text())
    configs = [parse_config(content) for content in contents]
    session = open_session(configs[0])
    done = []
    for config in configs:
        session.conf.set("spark.sql.shuffle.partitions", str(max(config.limits.shards, 2)))
        done.append(SparkRuntime(config, session=session).run().as_dict())
        path.with_suffix(".done").write_text(json.dumps(done))
    session.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
