"""The alert rules that ship: every metric in them exists, and one alert stands for all features of a model.

``promtool test rules deploy/prometheus/counterfoil-models.test.yml`` checks them with Prometheus itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from counterfoil.models.drift_metrics import DriftMetrics
from counterfoil.observability import Metrics

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "counterfoil-models.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]


def metrics() -> set[str]:
    """Return the names of all samples, as Prometheus sees them."""
    registry = CollectorRegistry()
    DriftMetrics(registry)
    names = set()
    for family in (*registry.collect(), *Metrics().registry.collect()):
        names |= {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
    return names


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_asks_for_metrics_that_there_are(rule: dict[str, Any]) -> None:
    text = rule["expr"] + rule["annotations"]["description"]
    asked = set(re.findall(r"\bcounterfoil_\w+", text))
    assert asked or rule["alert"] == "CounterfoilDriftNotMeasured"
    assert asked <= metrics()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_waits_and_stands_for_a_model_not_for_a_feature(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert "by (job, model)" in rule["expr"]
    assert "{{ $labels.model }}" in rule["annotations"]["summary"]


def test_the_drift_metrics_all_have_a_reader() -> None:
    drift = {name for name in metrics() if name.startswith("counterfoil_drift_alarm")}
    assert drift
    assert all(any(name in rule["expr"] for rule in RULES) for name in drift)
