"""What no engine does: declared once, with reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from counterfoil.errors import Problem

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector


def engine_gaps(detector: Detector, config: RunConfig) -> Iterator[Problem]:
    """Yield what a run on an engine asks for and does not get.

    Parameters
    ----------
    detector, config
        What is to be run.
    """
    if detector.outliers and config.limits.shards > 1:
        names = ", ".join(use.name for use in detector.outliers)
        reason = "online outlier scores learn from all events in one order; with one shard state is in one piece"
        yield Problem("outliers", names, "limits.shards: 1 on an engine", reason)
    for index, sink in enumerate(config.sinks):
        if sink.format == "parquet":
            reason = "a Parquet file is written when a run ends; convert the lines, or run it locally"
            yield Problem(f"sinks[{index}].format", '"parquet"', "json or packed on an engine", reason)
    if config.metrics.port is not None:
        reason = "engines have metrics of their own"
        yield Problem("metrics.port", str(config.metrics.port), "nothing on an engine", reason)
