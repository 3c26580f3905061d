from __future__ import annotations

import json
import urllib.request

import pytest
import structlog

from counterfoil.errors import ConfigurationError
from counterfoil.observability import Metrics, configure_logs


def test_metrics_are_served_on_loopback() -> None:
    metrics = Metrics()
    metrics.count_events({("payment", "decided"): 3, ("payment", "duplicate"): 0})
    metrics.count_dead_letters(["bad_time", "bad_time", "missing_id"])
    metrics.decisions.labels("block").inc(2)
    port = metrics.serve("127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        metrics.stop()
        metrics.stop()
    assert 'counterfoil_events_total{kind="payment",result="decided"} 3.0' in text
    assert "duplicate" not in text
    assert 'counterfoil_dead_letters_total{reason="bad_time"} 2.0' in text
    assert 'counterfoil_decisions_total{outcome="block"} 2.0' in text


def test_a_port_that_is_taken_is_named() -> None:
    one, other = Metrics(), Metrics()
    port = one.serve("127.0.0.1", 0)
    try:
        with pytest.raises(ConfigurationError, match=f"metrics.port: 127.0.0.1:{port} cannot be served"):
            other.serve("127.0.0.1", port)
    finally:
        one.stop()


def test_two_runtimes_do_not_share_metrics() -> None:
    one, other = Metrics(), Metrics()
    one.alerts.inc()
    assert one.registry.get_sample_value("counterfoil_alerts_total") == 1.0
    assert other.registry.get_sample_value("counterfoil_alerts_total") == 0.0


def test_logs_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        configure_logs("info", "json")
        structlog.get_logger("test").info("ready", blocks=3)
        structlog.get_logger("test").debug("not shown")
        configure_logs("warning", "console")
        structlog.get_logger("test").warning("look", at="this")
    finally:
        structlog.reset_defaults()
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert json.loads(first)["event"] == "ready"
    assert json.loads(first)["blocks"] == 3
    assert "look" in second
