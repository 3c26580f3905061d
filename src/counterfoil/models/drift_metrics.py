"""Drift as Prometheus sees it: gauges of the last closed window, and whether an alarm's episode is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from counterfoil.models.drift import SCORE

if TYPE_CHECKING:
    from counterfoil.models.drift import WindowReport


class DriftMetrics:
    """The metrics of every watched model.

    Parameters
    ----------
    registry
        Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["model", "feature"]
        self.psi = Gauge(
            "counterfoil_drift_psi", "Population stability index of the last window.", labels, registry=registry
        )
        self.ks = Gauge(
            "counterfoil_drift_ks", "Kolmogorov-Smirnov statistic of the last window.", labels, registry=registry
        )
        self.missing = Gauge(
            "counterfoil_drift_missing_share", "Rows of the last window without a value.", labels, registry=registry
        )
        self.alarm = Gauge("counterfoil_drift_alarm", "1 while an episode of drift is open.", labels, registry=registry)
        self.episodes = Counter("counterfoil_drift_episodes", "Episodes of drift begun.", labels, registry=registry)
        self.windows = Counter("counterfoil_drift_windows", "Windows closed.", ["model"], registry=registry)
        self.rows = Gauge("counterfoil_drift_window_rows", "Rows of the last window.", ["model"], registry=registry)
        self._features: dict[str, set[str]] = {}
        self._episodes: set[tuple[str, str]] = set()

    def take(self, model: str, report: WindowReport) -> None:
        """Show what a closed window of a model has shown.

        Parameters
        ----------
        model
            The model and its version.
        report
            The window.
        """
        self._features.setdefault(model, set()).update(each.name for each in report.drifts)
        for each in report.drifts:
            self.psi.labels(model, each.name).set(each.psi)
            self.ks.labels(model, each.name).set(each.ks)
            self.missing.labels(model, each.name).set(each.missing)
            self.alarm.labels(model, each.name).set(each.name in report.alarms)
        for change in report.changes:
            if change.opened:
                self.episodes.labels(model, change.drift.name).inc()
                self._episodes.add((model, change.drift.name))
        self.windows.labels(model).inc()
        self.rows.labels(model).set(report.rows)

    def forget(self, model: str) -> None:
        """Take a model that no longer serves off the page: its alarms would never end.

        Parameters
        ----------
        model
            The model and its version.
        """
        for feature in self._features.pop(model, set()):
            for metric in (self.psi, self.ks, self.missing, self.alarm):
                metric.remove(model, feature)
            if (model, feature) in self._episodes:
                self.episodes.remove(model, feature)
                self._episodes.remove((model, feature))
            if feature == SCORE:
                self.windows.remove(model)
                self.rows.remove(model)
