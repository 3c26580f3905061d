"""Topics as Spark's own source reads them: its options, from a run's settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from counterfoil.connectors.kafka_start import Start
from counterfoil.runtimes.engine.history import bounds_of
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
        **_start(source),
    }
    if source.group is not None:
        # Spark keeps positions itself, and each query has a group of its own under this name.
        found["groupIdPrefix"] = source.group
    return found | {f"kafka.{name}": value for name, value in java_settings(source.properties).items()}


def _start(source: SourceConfig) -> dict[str, str]:
    start = Start.parse(source.start)
    if start.word:
        return {"startingOffsets": start.word}
    if start.places:
        # Spark wants a place for every partition, and no place outside it.
        offsets: dict[str, dict[str, int]] = {}
        for (topic, partition), (low, high) in bounds_of(source).items():
            place = start.places.get((topic, partition), low)
            offsets.setdefault(topic, {})[f"{partition}"] = min(max(place, low), high)
        return {"startingOffsets": json.dumps(offsets)}
    return {
        "startingTimestamp": str(start.milliseconds),
        "startingOffsetsByTimestampStrategy": "latest",
    }
