"""What the detector's definition or a run's settings may ask for and Spark does not do: each with its reason.

A gap that closes is removed here; the conformance suite fails while one stands here that is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from counterfoil.errors import ConfigurationError, Problem
from counterfoil.runtimes.engine.gaps import engine_gaps

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector


def gaps(detector: Detector, config: RunConfig) -> Iterator[Problem]:
    """Yield what this run asks for and does not get."""
    yield from engine_gaps(detector, config)
    if config.source.type == "stdin":
        reason = "a pipe cannot be read again after a crash"
        yield Problem("source.type", '"stdin"', "file, kafka or generator with runtime: spark", reason)


def check_gaps(detector: Detector, config: RunConfig) -> None:
    """Refuse a run that asks for what Spark does not do.

    Raises
    ------
    ConfigurationError
        With every gap, one a line.
    """
    found = list(gaps(detector, config))
    if found:
        raise ConfigurationError("\n".join(str(each) for each in found))
