"""Settings of topics, as Spark's source takes them."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.config import SourceConfig, TopicConfig
from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.spark.topics import java_properties, kafka_options


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


def test_passwords_are_java_s() -> None:
    properties = {
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": 'a"b',
        "sasl.password": "p",
        "ssl.ca.location": "/c",
    }
    found = java_properties(properties)
    assert found["kafka.sasl.jaas.config"] == (
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="a\\"b" password="p";'
    )
    assert found["kafka.ssl.truststore.location"] == "/c"
    assert found["kafka.sasl.mechanism"] == "SCRAM-SHA-512"


def test_what_java_s_client_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"queued\.min\.messages is a setting of librdkafka"):
        java_properties({"queued.min.messages": "5"})
    assert java_properties({"kafka.max.poll.records": "5"}) == {"kafka.max.poll.records": "5"}
