"""What the detector's definition or a run's settings may ask for and Spark does not do: each with its reason.

A gap that closes is removed here; the conformance suite fails while one stands here that is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from counterfoil.runtimes.engine.gaps import engine_gaps, refuse

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.detector import Detector
    from counterfoil.errors import Problem


def gaps(detector: Detector, config: RunConfig) -> Iterator[Problem]:
    """Yield what this run asks for and does not get."""
    yield from engine_gaps(detector, config, "spark")


def check_gaps(detector: Detector, config: RunConfig) -> None:
    """Refuse a run that asks for what Spark does not do.

    Raises
    ------
    ConfigurationError
        With every gap, one a line.
    """
    refuse(gaps(detector, config))
