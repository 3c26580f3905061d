"""What a run on an engine has in common, whatever the engine: its job from its settings, and its summary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from counterfoil.events.identity import IdentityKey
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.models import pinned_models
from counterfoil.runtimes.local.runtime import FIXED_CLOCK_VARIABLE
from counterfoil.runtimes.local.summary import RunSummary

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, RunConfig, SourceConfig
    from counterfoil.detector import Detector


def job_of(config: RunConfig, detector: Detector, source: SourceConfig, limits: LimitsConfig) -> Job:
    """Return what workers are told of a run.

    Parameters
    ----------
    config
        The run.
    detector
        What is computed.
    source, limits
        Those of the run, as the engine's workers are to see them; settings of clients stay behind.
    """
    fixed = os.environ.get(FIXED_CLOCK_VARIABLE)
    key = IdentityKey(config.secret.value.encode()) if config.secret else IdentityKey()
    return Job(
        detector,
        key,
        config.limits.shards,
        replace(source, properties={}),
        limits,
        pinned_models(detector, key, config.models.registry),
        any(sink.features for sink in config.sinks),
        any(sink.content == "alerts" for sink in config.sinks),
        int(fixed) if fixed else None,
    )


def ends(config: RunConfig) -> bool:
    """Return whether a run comes to an end by itself."""
    return config.source.until_end if config.source.type == "kafka" else True


def summary_of(counts: Mapping[str, int], seconds: float, recovery: float, stopped: bool) -> RunSummary:
    """Return a run's summary.

    Parameters
    ----------
    counts
        Of results, and under ``opened`` of alerts; what is missing is 0.
    seconds, recovery
        How long the job ran, and how long it took until it did.
    stopped
        Whether it was told to stop.
    """
    return RunSummary(
        counts.get("records", 0),
        counts.get("decided", 0),
        counts.get("observed", 0),
        counts.get("duplicates", 0),
        counts.get("dead", 0),
        counts.get("opened", 0),
        seconds,
        total_events=counts.get("records", 0),
        recovery_seconds=recovery,
        stopped=stopped,
    )
