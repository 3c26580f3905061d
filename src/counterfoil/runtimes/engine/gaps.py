"""What no engine does: declared once, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.connectors.stream_output import is_stream
from counterfoil.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector


def engine_gaps(detector: Detector, config: RunConfig, runtime: str) -> Iterator[Problem]:
    """Yield what a run on an engine asks for and does not get.

    Parameters
    ----------
    detector, config
        What is to be run.
    runtime
        The engine's name.
    """
    if config.source.type == "stdin":
        reason = "a pipe cannot be read again after a crash"
        yield Problem("source.type", '"stdin"', f"file, kafka or generator with runtime: {runtime}", reason)
    if detector.outliers and config.limits.shards > 1:
        names = ", ".join(use.name for use in detector.outliers)
        reason = "online outlier scores learn from all events in one order; with one shard state is in one piece"
        yield Problem("outliers", names, "limits.shards: 1 on an engine", reason)
    if len({sink.features for sink in config.sinks if sink.content == "decisions"}) > 1:
        reason = "a decision is written once, for all outputs"
        yield Problem("sinks[].features", "true and false", "one of them for all outputs on an engine", reason)
    for index, sink in enumerate(config.sinks):
        if sink.path is not None and is_stream(Path(sink.path)):
            reason = "a device or a pipe cannot be cut back after a crash"
            yield Problem(f"sinks[{index}].path", sink.path, "a file on an engine, or type: stdout (-)", reason)
    if config.metrics.port is not None:
        reason = "engines have metrics of their own"
        yield Problem("metrics.port", str(config.metrics.port), "nothing on an engine", reason)


def refuse(gaps: Iterable[Problem]) -> None:
    """Refuse a run that asks for what its engine does not do.

    Raises
    ------
    ConfigurationError
        With every gap, one a line.
    """
    found = list(gaps)
    if found:
        raise ConfigurationError("\n".join(str(each) for each in found))
