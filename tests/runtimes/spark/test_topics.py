"""Settings of topics, as Spark's source takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from counterfoil.config import SourceConfig, TopicConfig
from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.spark import topics
from counterfoil.runtimes.spark.topics import kafka_options


def source(**more: Any) -> SourceConfig:
    topics = (TopicConfig(name="a"), TopicConfig(name="b"))
    return SourceConfig(type="kafka", servers="one:9092", topics=topics, **more)


def test_committed_records_of_all_topics_are_read() -> None:
    found = kafka_options(source())
    assert found["subscribe"] == "a,b"
    assert found["kafka.isolation.level"] == "read_committed"
    assert found["startingOffsets"] == "earliest"
    assert found["failOnDataLoss"] == "true"
    assert kafka_options(source(accept_gap=True))["failOnDataLoss"] == "false"


def test_a_time_to_begin_is_milliseconds() -> None:
    assert kafka_options(source(start="1970-01-01T00:00:01Z"))["startingTimestamp"] == "1000"
    with pytest.raises(
        ConfigurationError, match=r"allowed: earliest, latest, a time such as .*, or TOPIC:PARTITION:OFFSET"
    ):
        kafka_options(source(start="soon"))


def test_places_to_begin_are_told_for_every_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {("a", 0): (3, 10), ("a", 1): (2, 9), ("b", 0): (1, 5)}
    monkeypatch.setattr(topics, "bounds_of", lambda _: bounds)
    found = kafka_options(source(start="a:0:5,a:1:40"))["startingOffsets"]
    assert json.loads(found) == {"a": {"0": 5, "1": 9}, "b": {"0": 1}}


def test_a_group_names_what_spark_reads_with() -> None:
    assert kafka_options(source(group="own"))["groupIdPrefix"] == "own"
    assert "groupIdPrefix" not in kafka_options(source())


def test_properties_are_settings_of_java_s_client() -> None:
    found = kafka_options(source(properties={"security.protocol": "SSL", "kafka.max.poll.records": "5"}))
    assert found["kafka.security.protocol"] == "SSL"
    assert found["kafka.max.poll.records"] == "5"
