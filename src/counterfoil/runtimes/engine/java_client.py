"""Settings of librdkafka, which runs on one machine use, as Java's Kafka client takes them, which engines use."""

from __future__ import annotations

from collections.abc import Mapping

from counterfoil.errors import ConfigurationError

_SAME = {
    "security.protocol": "security.protocol",
    "sasl.mechanism": "sasl.mechanism",
    "sasl.mechanisms": "sasl.mechanism",
    "ssl.endpoint.identification.algorithm": "ssl.endpoint.identification.algorithm",
    "client.id": "client.id",
    "fetch.max.bytes": "fetch.max.bytes",
    "max.partition.fetch.bytes": "max.partition.fetch.bytes",
}
"""Settings that Java's client has under this name."""
PREFIX = "kafka."
"""``kafka.NAME`` is a setting of Java's client as it is."""


def java_settings(properties: Mapping[str, str], place: str = "source.properties") -> dict[str, str]:
    """Return settings of librdkafka as those of Java's client.

    Parameters
    ----------
    properties
        As a run's settings have them.
    place
        Where they stand, for messages.

    Raises
    ------
    ConfigurationError
        If one has no counterpart.

    Examples
    --------
    >>> java_settings({"security.protocol": "SSL", "ssl.ca.location": "ca.pem"})["ssl.truststore.location"]
    'ca.pem'
    """
    rest = dict(properties)
    found: dict[str, str] = {}
    user, password = rest.pop("sasl.username", None), rest.pop("sasl.password", None)
    if user is not None and password is not None:
        mechanism = rest.get("sasl.mechanism", rest.get("sasl.mechanisms", "PLAIN"))
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        words = "".join(f' {name}="{_quoted(value)}"' for name, value in (("username", user), ("password", password)))
        found["sasl.jaas.config"] = f"org.apache.kafka.common.security.{module} required{words};"
    if (authorities := rest.pop("ssl.ca.location", None)) is not None:
        found |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": authorities}
    for name, value in rest.items():
        if name.startswith(PREFIX):
            found[name.removeprefix(PREFIX)] = value
        elif name in _SAME:
            found[_SAME[name]] = value
        else:
            allowed = ", ".join([*_SAME, "sasl.username", "sasl.password", "ssl.ca.location"])
            raise ConfigurationError(
                f"{place}: {name} is a setting of librdkafka, and engines reach topics with Java's client;"
                f" allowed: {allowed}, or a setting of Java's as kafka.NAME"
            )
    return found


def own_settings(properties: Mapping[str, str]) -> dict[str, str]:
    """Return settings for librdkafka, with those left out that are Java's alone.

    Examples
    --------
    >>> own_settings({"security.protocol": "SSL", "kafka.max.poll.records": "5"})
    {'security.protocol': 'SSL'}
    """
    return {name: value for name, value in properties.items() if not name.startswith(PREFIX)}


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
