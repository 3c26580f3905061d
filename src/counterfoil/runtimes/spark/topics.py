"""Topics as Spark's own source reads them: its options, from a run's settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from counterfoil.config import SourceConfig

_SAME = {
    "security.protocol": "security.protocol",
    "sasl.mechanism": "sasl.mechanism",
    "sasl.mechanisms": "sasl.mechanism",
    "ssl.endpoint.identification.algorithm": "ssl.endpoint.identification.algorithm",
    "client.id": "client.id",
    "fetch.max.bytes": "fetch.max.bytes",
    "max.partition.fetch.bytes": "max.partition.fetch.bytes",
}
"""Settings of librdkafka that Java's client has under this name."""


def kafka_options(source: SourceConfig) -> dict[str, str]:
    """Return the options of Spark's Kafka source.

    Raises
    ------
    ConfigurationError
        If a setting of librdkafka has no counterpart there.
    """
    assert source.servers is not None
    found = {
        "kafka.bootstrap.servers": source.servers,
        "subscribe": ",".join(topic.name for topic in source.topics),
        "failOnDataLoss": "false" if source.accept_gap else "true",
        # What was not committed is no event.
        "kafka.isolation.level": "read_committed",
        **_start(source.start),
    }
    return found | java_properties(source.properties)


def _start(start: str) -> dict[str, str]:
    if start in {"earliest", "latest"}:
        return {"startingOffsets": start}
    try:
        time = datetime.fromisoformat(start)
    except ValueError:
        message = f'source.start (--from): found "{start}"; allowed on Spark: earliest, latest, or a time'
        raise ConfigurationError(message) from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return {
        "startingTimestamp": str(int(time.timestamp() * 1000)),
        "startingOffsetsByTimestampStrategy": "latest",
    }


def java_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """Return settings of librdkafka as Spark takes those of Java's client.

    Raises
    ------
    ConfigurationError
        If one has no counterpart.

    Examples
    --------
    >>> java_properties({"security.protocol": "SSL"})
    {'kafka.security.protocol': 'SSL'}
    """
    rest = dict(properties)
    found: dict[str, str] = {}
    user, password = rest.pop("sasl.username", None), rest.pop("sasl.password", None)
    if user is not None and password is not None:
        mechanism = rest.get("sasl.mechanism", rest.get("sasl.mechanisms", "PLAIN"))
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        words = "".join(f' {name}="{_quoted(value)}"' for name, value in (("username", user), ("password", password)))
        found["kafka.sasl.jaas.config"] = f"org.apache.kafka.common.security.{module} required{words};"
    if (authorities := rest.pop("ssl.ca.location", None)) is not None:
        found |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": authorities}
    for name, value in rest.items():
        if name.startswith("kafka."):
            found[name] = value
        elif name in _SAME:
            found[f"kafka.{_SAME[name]}"] = value
        else:
            allowed = ", ".join([*_SAME, "sasl.username", "sasl.password", "ssl.ca.location"])
            message = (
                f"source.properties: {name} is a setting of librdkafka, and Spark reads topics with Java's client;"
                f" allowed: {allowed}, or a setting of Java's as kafka.NAME"
            )
            raise ConfigurationError(message)
    return found


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
