"""The driver's program on a cluster: ``spark-submit … main.py CONFIG``; see ``counterfoil submit spark``."""

from __future__ import annotations

import sys

from counterfoil.config import load_config
from counterfoil.errors import CounterfoilError
from counterfoil.observability import configure_logs
from counterfoil.runtimes.spark.runtime import SparkRuntime


def main(words: list[str]) -> int:
    """Run what a file of settings says; return the exit code."""
    if len(words) != 1:
        sys.stderr.write("usage: spark-submit … main.py CONFIG\n")
        return 2
    try:
        config = load_config(words[0])
        configure_logs(config.log.level, config.log.format)
        summary = SparkRuntime(config).run()
    except CounterfoilError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stderr.write(f"{summary.as_dict()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
