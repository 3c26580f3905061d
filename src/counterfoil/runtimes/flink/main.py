"""The program of a job on a cluster: ``flink run … --python main.py CONFIG``; see ``counterfoil submit flink``."""

from __future__ import annotations

import sys

from counterfoil.config import load_config
from counterfoil.errors import CounterfoilError
from counterfoil.observability import configure_logs
from counterfoil.runtimes.flink.runtime import FlinkRuntime


def main(words: list[str]) -> int:
    """Submit what a file of settings says; return the exit code."""
    if len(words) != 1:
        sys.stderr.write("usage: flink run … --python main.py CONFIG\n")
        return 2
    try:
        config = load_config(words[0])
        configure_logs(config.log.level, config.log.format)
        FlinkRuntime(config).submit()
    except CounterfoilError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
