"""Runs on Flink."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    import threading

    from counterfoil.config import RunConfig
    from counterfoil.runtimes.local.summary import RunSummary


def carry_on_flink(config: RunConfig, stopped: threading.Event, quiet: bool) -> RunSummary:
    """Run on Flink."""
    del config, stopped, quiet
    raise ConfigurationError("runtime: Flink is not supported yet; allowed: local, spark")
