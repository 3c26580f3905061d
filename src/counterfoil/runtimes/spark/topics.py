"""Topics as Spark's own source reads them: its options, from a run's settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from counterfoil.runtimes.engine.history import bounds_of
from counterfoil.runtimes.engine.java_client import java_settings
from counterfoil.runtimes.engine.places import places_of

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
    if source.start in {"earliest", "latest"}:
        return {"startingOffsets": source.start}
    try:
        time = datetime.fromisoformat(source.start)
    except ValueError:
        places = places_of(source.start)
        # Spark wants a place for every partition, and no place outside it.
        offsets: dict[str, dict[str, int]] = {}
        for (topic, partition), (low, high) in bounds_of(source).items():
            place = places.get((topic, partition), low)
            offsets.setdefault(topic, {})[f"{partition}"] = min(max(place, low), high)
        return {"startingOffsets": json.dumps(offsets)}
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return {
        "startingTimestamp": str(int(time.timestamp() * 1000)),
        "startingOffsetsByTimestampStrategy": "latest",
    }
