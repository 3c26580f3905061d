"""`counterfoil topics` against a real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import confluent_kafka.admin
import pytest

from counterfoil.connectors import kafka_topics
from tests.cli.conftest import Command, command
from tests.integration.kafka import SECONDS, Broker

__all__ = ["command"]


admin: Any = confluent_kafka.admin


def partitions(kafka: Broker, topic: str) -> int:
    """Return how many partitions a topic has."""
    return len(kafka.admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions)


def settings(kafka: Broker, topic: str, name: str) -> Any:
    """Return a setting of a topic."""
    client = kafka.admin
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, topic)
    return client.describe_configs([resource])[resource].result(SECONDS)[name].value


def test_topics_are_planned_made_grown_and_set(command: Command, kafka: Broker) -> None:
    first, second = f"{kafka.name}-a", f"{kafka.name}-b"
    url = kafka.url(first, second)
    wanted = (url, "--partitions", 2, "--retention", "12h")
    planned = command("topics", "plan", *wanted)
    assert planned.exit_code == 0, planned.stderr
    assert planned.stdout.count("create") == 2
    assert first not in kafka.admin.list_topics(timeout=SECONDS).topics
    assert command("topics", "apply", *wanted).stdout.count("created") == 2
    assert partitions(kafka, first) == 2
    assert settings(kafka, second, "retention.ms") == "43200000"
    again = [json.loads(line) for line in command("topics", "apply", *wanted, "--json").stdout.splitlines()]
    assert [each["step"] for each in again] == ["keep", "keep"]

    grown = command("topics", "plan", url, "--partitions", 5, "--compact", "--retention", "forever").stdout
    assert "2 to 5 partitions" in grown
    assert "keys move to other partitions" in grown
    assert "cleanup.policy delete to compact" in grown
    assert command("topics", "apply", url, "--partitions", 5, "--compact", "--retention", "forever").exit_code == 0
    assert partitions(kafka, second) == 5
    assert settings(kafka, first, "cleanup.policy") == "compact"
    assert settings(kafka, first, "retention.ms") == "-1"
    # What is not named stays.
    assert command("topics", "apply", kafka.url(first), "--setting", "max.message.bytes=5000").exit_code == 0
    assert settings(kafka, first, "cleanup.policy") == "compact"
    fewer = command("topics", "apply", url, "--partitions", 3)
    assert fewer.exit_code == 2
    assert "5 or more" in fewer.stderr


def test_all_topics_of_a_run(command: Command, kafka: Broker, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        f"""
detector: laundering
source:
  type: kafka
  servers: {kafka.address}
  format: lines
  topics: [{{name: {kafka.name}-in}}]
sinks:
  - {{type: kafka, topic: {kafka.name}-out}}
  - {{type: kafka, topic: {kafka.name}-fraud, content: alerts}}
"""
    )
    made = command("topics", "apply", path, "--partitions", 3)
    assert made.exit_code == 0, made.stderr
    assert [line.split()[1] for line in made.stdout.splitlines()] == [
        f"{kafka.name}-{each}" for each in ("in", "out", "fraud")
    ]
    assert partitions(kafka, f"{kafka.name}-fraud") == 3


def test_wrong_use(command: Command, kafka_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topics, "_SETUP_SECONDS", 1.0)
    path = tmp_path / "run.yaml"
    path.write_text("{detector: laundering, source: {path: x.txt}}")
    url = f"kafka://{kafka_address}/never-made"
    for arguments, code, said in (
        (("kafka://127.0.0.1:1/x",), 1, "is a broker running there?"),
        (("kafka://127.0.0.1:1",), 2, "allowed: kafka://HOST:PORT/TOPIC"),
        (("absent.yaml",), 2, "or the file of a run's settings"),
        ((path,), 2, "has no topics"),
        ((url, "--retention", "soon"), 2, "allowed: a time such as 7d"),
        ((url, "--setting", "retention.mz=1"), 1, "Unknown topic config name: retention.mz"),
        ((url, "--replicas", 9), 1, "cannot be made"),
    ):
        result = command("topics", "plan", *arguments)
        assert result.exit_code == code, result.stderr
        assert said in " ".join(result.stderr.split())
        assert len(result.stderr.splitlines()) == 1
