"""Flink on this machine or elsewhere: its settings, and the environment that a job is built in."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.flink.routes import GROUPS

if TYPE_CHECKING:
    from counterfoil.config import RunConfig

MODE_VARIABLE = "_python_worker_execution_mode"
"""Flink's own: without it a job on this machine runs Python's workers inside the process that submits it."""


def require_flink() -> None:
    """Refuse to go on without the library.

    Raises
    ------
    ConfigurationError
        If it is not installed.
    """
    try:
        importlib.import_module("pyflink")
    except ImportError as error:
        message = (
            f"flink: {error.name} is not installed; run: pip install 'counterfoil[flink]' in an environment of its own"
            " (in a checkout: make .venv-flink, then .venv-flink/bin/counterfoil)"
        )
        raise ConfigurationError(message) from error


def parallelism_of(config: RunConfig) -> int:
    """Return how many tasks each step has."""
    return config.flink.parallelism or config.limits.threads


def settings(config: RunConfig, jars: Sequence[Path] = (), restore: str | None = None) -> dict[str, str]:
    """Return Flink's settings of a job; the user's own win.

    Parameters
    ----------
    config
        The run.
    jars
        Archives beyond Flink's own.
    restore
        The checkpoint that the job goes on from.
    """
    flink = config.flink
    found = {
        "parallelism.default": str(parallelism_of(config)),
        "pipeline.max-parallelism": str(GROUPS),
        "pipeline.name": f"counterfoil {config.detector}",
        # Nothing is changed after it was handed on.
        "pipeline.object-reuse": "true",
        "execution.checkpointing.interval": f"{flink.checkpoint_ms} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.timeout": "30 min",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        # Else a job that can never run starts again for ever.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": str(flink.restarts),
        "restart-strategy.fixed-delay.delay": "1 s",
        "python.execution-mode": flink.mode,
        # A bundle is a few batches: it must not wait for a thousand.
        "python.fn-execution.bundle.size": "16",
        "python.fn-execution.bundle.time": str(max(flink.linger_ms, 1)),
        "table.dynamic-table-options.enabled": "false",
    }
    if jars:
        found["pipeline.jars"] = ";".join(path.resolve().as_uri() for path in jars)
    if restore is not None:
        found["execution.state-recovery.path"] = restore
    if flink.address is not None:
        host, _, port = flink.address.rpartition(":")
        found |= {"execution.target": "remote", "rest.address": host, "rest.port": port}
    else:
        found |= {"python.executable": sys.executable, "python.client.executable": sys.executable}
    return found | dict(flink.properties)


def open_environment(
    config: RunConfig,
    jars: Sequence[Path] = (),
    restore: str | None = None,
    state: str = "",
    submitted: bool = False,
) -> Any:
    """Return Flink's environment for a job.

    Parameters
    ----------
    config, jars, restore
        See ``settings``.
    state
        The folder of checkpoints and savepoints, as an address.
    submitted
        Whether a cluster runs this process and has its settings already: then only the user's own are added.
    """
    _prepare_process()
    # It logs at length, with tracebacks, what this program tells in a line.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    from pyflink.common import Configuration  # noqa: PLC0415 - an extra
    from pyflink.datastream import StreamExecutionEnvironment  # noqa: PLC0415

    content = dict(config.flink.properties) if submitted else settings(config, jars, restore)
    if state:
        content |= {
            "execution.checkpointing.dir": f"{state}/checkpoints",
            "execution.checkpointing.savepoint-dir": f"{state}/savepoints",
        }
    configuration = Configuration()
    for name, value in content.items():
        configuration.set_string(name, value)
    return StreamExecutionEnvironment.get_execution_environment(configuration)


def _prepare_process() -> None:
    """Tell what Flink starts where Python's packages are; it must happen before there is a JVM."""
    os.environ.setdefault(MODE_VARIABLE, "process")
    # Python within the JVM knows no `.pth` files: where an editable install points to has to be said.
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    here = [path for path in sys.path if path and Path(path).is_dir() and path not in known]
    package = str(Path(__file__).parents[3])
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*filter(None, known), *here, package]))
    # Else every worker would use all cores for each of its small tables.
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
