"""Settings of topics, as Spark's source takes them."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.config import SourceConfig, TopicConfig
from counterfoil.errors import ConfigurationError
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
    with pytest.raises(ConfigurationError, match="allowed on Spark: earliest, latest, or a time"):
        kafka_options(source(start="a:0:5"))


def test_properties_are_settings_of_java_s_client() -> None:
    found = kafka_options(source(properties={"security.protocol": "SSL", "kafka.max.poll.records": "5"}))
    assert found["kafka.security.protocol"] == "SSL"
    assert found["kafka.max.poll.records"] == "5"
