"""Settings of librdkafka, as Java's client takes them."""

from __future__ import annotations

import pytest

from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.engine.java_client import java_settings


def test_passwords_are_java_s() -> None:
    properties = {
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": 'a"b',
        "sasl.password": "p",
        "ssl.ca.location": "/c",
    }
    found = java_settings(properties)
    assert found["sasl.jaas.config"] == (
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="a\\"b" password="p";'
    )
    assert found["ssl.truststore.location"] == "/c"
    assert found["sasl.mechanism"] == "SCRAM-SHA-512"


def test_what_java_s_client_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"queued\.min\.messages is a setting of librdkafka"):
        java_settings({"queued.min.messages": "5"})
    assert java_settings({"kafka.max.poll.records": "5"}) == {"max.poll.records": "5"}
