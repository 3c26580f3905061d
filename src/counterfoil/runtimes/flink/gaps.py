"""What the detector's definition or a run's settings may ask for and Flink does not do: each with its reason.

A gap that closes is removed here; the conformance suite fails while one stands here that is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from counterfoil.errors import Problem
from counterfoil.runtimes.engine.gaps import engine_gaps, refuse

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector


def gaps(detector: Detector, config: RunConfig) -> Iterator[Problem]:
    """Yield what this run asks for and does not get."""
    yield from engine_gaps(detector, config, "flink")
    if config.source.type == "generator" and config.source.rate is not None:
        reason = "Flink reads what the generator makes as fast as it can"
        yield Problem("source.rate", str(config.source.rate), "nothing with runtime: flink", reason)
    endless = config.source.type == "kafka" and not config.source.until_end
    for index, sink in enumerate(config.sinks):
        if endless and sink.type != "kafka":
            reason = "a file is put together when the run ends, and this one does not"
            allowed = "kafka, or source.until_end: true, with runtime: flink"
            yield Problem(f"sinks[{index}].type", f'"{sink.type}"', allowed, reason)
    if config.source.accept_gap:
        reason = "Flink begins a partition whose position is gone as auto.offset.reset says, and does not ask"
        yield Problem("source.accept_gap", "true", "false with runtime: flink", reason)


def check_gaps(detector: Detector, config: RunConfig) -> None:
    """Refuse a run that asks for what Flink does not do.

    Raises
    ------
    ConfigurationError
        With every gap, one a line.
    """
    refuse(gaps(detector, config))
