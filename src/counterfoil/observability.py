"""Logs and metrics: what a run says of itself.

Logs go to standard error, as lines for people or as JSON. Metrics are served to Prometheus. Neither ever carries an id,
an amount or a card number.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter as Tally
from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from counterfoil.errors import ConfigurationError

STEPS = ("read", "decode", "decide", "record", "commit", "output")
"""The steps of a batch's way, as ``counterfoil_step_seconds`` names them."""

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SIZES = (1, 8, 64, 512, 4_096, 16_384, 32_768, 65_536, 262_144)
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: str = "info", form: str = "console") -> None:
    """Send logs to standard error.

    Parameters
    ----------
    level
        ``debug``, ``info``, ``warning`` or ``error``: the least severe that is shown.
    form
        ``console`` for people, ``json`` for machines.
    """
    renderer: Any = structlog.processors.JSONRenderer()
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # Looked up for each line, because a test or a daemon may put another file in its place.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


class Logger:
    """A logger that never writes to standard output, which is for data: not even where logs were not configured."""

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, event: str, **values: object) -> None:
        """Log what happens."""
        self._bound().info(event, **values)

    def warning(self, event: str, **values: object) -> None:
        """Log what somebody should look at."""
        self._bound().warning(event, **values)

    def _bound(self) -> Any:
        if not structlog.is_configured():
            configure_logs()
        return structlog.get_logger(self._name)


def get_logger(name: str) -> Logger:
    """Return a logger."""
    return Logger(name)


class Metrics:
    """The metrics of one runtime, in a registry of their own so that several may live in one process."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._server: Any = None
        self._thread: Any = None
        self.events = Counter(
            "counterfoil_events",
            "Records received, by event kind and what became of them.",
            ["kind", "result"],
            registry=registry,
        )
        self.decisions = Counter("counterfoil_decisions", "Decisions by outcome.", ["outcome"], registry=registry)
        self.rule_hits = Counter("counterfoil_rule_hits", "Decisions that a rule hit.", ["rule"], registry=registry)
        self.rule_failures = Counter(
            "counterfoil_rule_failures",
            "Decisions on which a rule failed and was left out.",
            ["rule"],
            registry=registry,
        )
        self.alerts = Counter("counterfoil_alerts", "Alerts opened.", registry=registry)
        self.dead_letters = Counter(
            "counterfoil_dead_letters", "Dead letters by reason.", ["reason"], registry=registry
        )
        self.unknown_fields = Counter(
            "counterfoil_unknown_fields", "Values of fields that the detector does not know.", registry=registry
        )
        self.late = Counter("counterfoil_late_events", "Decided events older than max_lateness.", registry=registry)
        self.step = Histogram(
            "counterfoil_step_seconds", "Time of a batch in each step.", ["step"], buckets=_SECONDS, registry=registry
        )
        self.latency = Histogram(
            "counterfoil_latency_seconds",
            "From the reading of a batch until its decisions are durable.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_events = Histogram(
            "counterfoil_batch_events", "Events in a batch.", buckets=_SIZES, registry=registry
        )
        self.group_events = Histogram(
            "counterfoil_group_events", "Events in a commit.", buckets=_SIZES, registry=registry
        )
        self.state_bytes = Gauge("counterfoil_state_bytes", "Size of the state.", registry=registry)
        self.entities = Gauge("counterfoil_entities", "Entities known.", ["entity"], registry=registry)
        self.journal_lag = Gauge(
            "counterfoil_journal_lag_events", "Events decided and not yet committed.", registry=registry
        )
        self.snapshots = Counter("counterfoil_snapshots", "Snapshots finished.", registry=registry)
        self.model_swaps = Counter(
            "counterfoil_model_swaps",
            "Versions of models that began to serve.",
            ["model", "version"],
            registry=registry,
        )
        self.model_failures = Counter(
            "counterfoil_model_failures",
            "Batches for which a model gave no scores: fenced, raised, overran or refused.",
            ["model", "reason"],
            registry=registry,
        )
        self.model_fenced = Gauge(
            "counterfoil_model_fenced", "1 while a model is left out after a fault.", ["model"], registry=registry
        )
        self.model_seconds = Histogram(
            "counterfoil_model_seconds", "Time of a model for a batch.", ["model"], buckets=_SECONDS, registry=registry
        )
        self.model_scores = Counter(
            "counterfoil_model_scores",
            "Decisions by the model and version that spoke for them, and those without a score.",
            ["model", "version", "arm", "result"],
            registry=registry,
        )
        self.recovery = Gauge("counterfoil_recovery_seconds", "How long it took to get ready.", registry=registry)

    def model_swapped(self, name: str, reference: str) -> None:
        """Note that another version of a model serves."""
        self.model_swaps.labels(name, reference).inc()
        self.model_fenced.labels(name).set(0)

    def model_failed(self, name: str, reason: str, fenced: bool) -> None:
        """Note that a model gave no scores for a batch."""
        self.model_failures.labels(name, reason).inc()
        if fenced:
            self.model_fenced.labels(name).set(1)

    def model_took(self, name: str, seconds: float) -> None:
        """Note how long a model took for a batch."""
        self.model_seconds.labels(name).observe(seconds)
        self.model_fenced.labels(name).set(0)

    def serve(self, host: str, port: int) -> int:
        """Serve the metrics over HTTP until ``stop``; return the port.

        Raises
        ------
        ConfigurationError
            If the address cannot be listened on.
        """
        try:
            self._server, self._thread = start_http_server(port, host, self.registry)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(
                f"metrics.port: {host}:{port} cannot be served: {reason}; choose another"
            ) from error
        return int(self._server.server_port)

    def stop(self) -> None:
        """Stop serving; without ``serve`` it does nothing."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def count_events(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add events by (kind, result)."""
        for (kind, result), count in counts.items():
            if count:
                self.events.labels(kind, result).inc(count)

    def count_dead_letters(self, reasons: list[str]) -> None:
        """Add dead letters by reason."""
        for reason, count in Tally(reasons).items():
            self.dead_letters.labels(reason).inc(count)
            self.events.labels("unknown", "dead").inc(count)
