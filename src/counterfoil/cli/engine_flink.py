"""Runs on Flink."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from counterfoil.config import RunConfig
    from counterfoil.runtimes.local.summary import RunSummary


def uses_kafka(config: RunConfig) -> bool:
    """Return whether Flink needs its Kafka connector."""
    return config.source.type == "kafka" or any(sink.type == "kafka" for sink in config.sinks)


def carry_on_flink(config: RunConfig, stopped: threading.Event, quiet: bool) -> RunSummary:
    """Run on Flink."""
    from counterfoil.runtimes.flink.session import require_flink

    require_flink()
    from counterfoil.cli.engines import jars_of, tell_first_start
    from counterfoil.observability import configure_logs
    from counterfoil.runtimes.flink.runtime import FlinkRuntime

    configure_logs(config.log.level, config.log.format)
    own = "pipeline.jars" in config.flink.properties
    jars = jars_of("flink", quiet) if uses_kafka(config) and not own else []
    tell_first_start(quiet)
    return FlinkRuntime(config, jars=jars).run(stopped)
