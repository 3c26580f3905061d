"""Topics as Spark's own source reads them: its options, from a run's settings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.engine.java_client import java_settings

if TYPE_CHECKING:
    from counterfoil.config import SourceConfig


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
    return found | {f"kafka.{name}": value for name, value in java_settings(source.properties).items()}


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
