"""Runs on engines: what ``run --on``, ``plan`` and ``submit`` share."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.cli.console import messages
from counterfoil.errors import ConfigurationError
from counterfoil.signals import clean_stop

if TYPE_CHECKING:
    import threading

    from counterfoil.config import RunConfig
    from counterfoil.runtimes.local.summary import RunSummary


def needs_kafka(config: RunConfig) -> bool:
    """Return whether an engine needs its Kafka archives."""
    return config.source.type == "kafka"


def jars_of(engine: str, quiet: bool = False) -> list[Path]:
    """Return an engine's archives beyond its own, fetched once."""
    from counterfoil.stack.artifacts import library

    def report(text: str) -> None:
        if not quiet:
            messages().print(f"[dim]{text}[/]", soft_wrap=True)

    return sorted(library(engine, report).glob("*.jar"))


def tell_first_start(quiet: bool) -> None:
    """Say so where workers have to compile kernels: nothing moves meanwhile."""
    from counterfoil.cli.warming import FIRST_START, first_start
    from counterfoil.compiled import load_compiler

    load_compiler()
    if not quiet and first_start():
        messages().print(f"[dim]{FIRST_START}[/]")


def carry_on_spark(config: RunConfig, stopped: threading.Event, quiet: bool) -> RunSummary:
    """Run on Spark."""
    from counterfoil.runtimes.spark.session import require_spark

    require_spark()
    from counterfoil.observability import configure_logs
    from counterfoil.runtimes.spark.runtime import SparkRuntime

    configure_logs(config.log.level, config.log.format)
    resolved = {"spark.jars", "spark.jars.packages"} & config.spark.properties.keys()
    jars = jars_of("spark", quiet) if needs_kafka(config) and not resolved else []
    tell_first_start(quiet)
    return SparkRuntime(config, jars=jars).run(stopped)


def carry(config: RunConfig, stopped: threading.Event, quiet: bool) -> RunSummary:
    """Run on the engine that the settings name."""
    # A second Ctrl-C ends the program where it stands; the library that talks to the JVM tells it at length, and in
    # the name of nobody in particular.
    logging.getLogger().addFilter(lambda record: "py4j" not in record.pathname)
    with clean_stop(stopped):
        return _carried(config, stopped, quiet)


def _carried(config: RunConfig, stopped: threading.Event, quiet: bool) -> RunSummary:
    if config.runtime == "spark":
        return carry_on_spark(config, stopped, quiet)
    if config.runtime == "flink":
        from counterfoil.cli.engine_flink import carry_on_flink

        return carry_on_flink(config, stopped, quiet)
    raise ConfigurationError(f'runtime: found "{config.runtime}"; allowed: spark, flink')
