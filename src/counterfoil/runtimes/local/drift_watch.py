"""The watch for drift beside a run: every model that serves, held against its training table.

It looks on after each commit, at one decision in sixteen, and touches neither decisions nor log. A version without a
profile of its training table is not watched; one that no longer serves is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from counterfoil.errors import InputError
from counterfoil.models.drift import DriftMonitor, DriftSettings, WindowReport
from counterfoil.models.drift_metrics import DriftMetrics
from counterfoil.models.profile import read_profile
from counterfoil.models.scores import SERVED
from counterfoil.observability import get_logger

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from counterfoil.events.batch import Words
    from counterfoil.models.scores import ModelScores, Served
    from counterfoil.models.serving import ModelHost

_log = get_logger(__name__)
_METRICS: WeakKeyDictionary[CollectorRegistry, DriftMetrics] = WeakKeyDictionary()
"""A name can be registered once, and a process may open one folder after the other."""


class DriftWatch:
    """Watches the models of a run.

    Parameters
    ----------
    registry
        Where metrics are registered.
    models
        Hands over what serves.
    settings
        When a feature has drifted.
    """

    def __init__(self, registry: CollectorRegistry, models: ModelHost, settings: DriftSettings | None = None) -> None:
        if registry not in _METRICS:
            _METRICS[registry] = DriftMetrics(registry)
        self._metrics, self._models, self._settings = _METRICS[registry], models, settings or DriftSettings()
        self._watched: dict[int, tuple[Served, DriftMonitor | None]] = {}

    def observe(self, scores: ModelScores, times: Words) -> None:
        """Look at a batch that is committed.

        Parameters
        ----------
        scores
            What models said of it.
        times
            The event times of its decisions.
        """
        for entry, served in enumerate(scores.served):
            matrix = scores.matrices.get(entry)
            if served.status != SERVED or matrix is None:
                continue
            monitor = self._monitor(entry, served)
            if monitor is None:
                continue
            rows, raw, when = matrix.T, scores.raw[entry], times
            asked = ~np.isnan(raw)
            if not asked.all():
                # An arm sees its own share alone.
                chosen = np.flatnonzero(asked)
                rows, raw, when = matrix[:, chosen].T, raw[chosen], times[chosen]
            report = monitor.observe(rows, raw, when)
            if report is not None:
                self._metrics.take(served.reference, report)
                _tell(served.reference, report)

    def _monitor(self, entry: int, served: Served) -> DriftMonitor | None:
        """Return what watches an entry's version; None where it cannot be watched."""
        known = self._watched.get(entry)
        if known is not None and known[0].sha256 == served.sha256:
            return known[1]
        serving = self._models.lineup()[entry]
        if serving is None or serving.sha256 != served.sha256:
            # Swapped meanwhile: the version that follows is watched from the next batch on.
            return None
        if known is not None:
            self._metrics.forget(known[0].reference)
        monitor = None
        try:
            profile = read_profile(serving.signature.profile)
            if profile is None:
                _log.info("model is not watched for drift: its signature holds no profile", model=served.reference)
            else:
                monitor = DriftMonitor(profile, self._settings)
                if monitor.moving:
                    _log.info(
                        "features that moved within training raise no alarm of drift",
                        model=served.reference,
                        features=monitor.moving,
                    )
        except InputError as error:
            _log.warning("model is not watched for drift", model=served.reference, reason=str(error)[:300])
        self._watched[entry] = served, monitor
        return monitor


def _tell(model: str, report: WindowReport) -> None:
    """Log an episode's beginning and end: a line each."""
    for change in report.changes:
        drift = change.drift
        figures = {"psi": round(drift.psi, 3), "ks": round(drift.ks, 3), "rows": drift.rows}
        if change.opened:
            _log.warning("drift", model=model, feature=drift.name, **figures)
        else:
            _log.info("drift is over", model=model, feature=drift.name, **figures)
