"""Topics and folders as Flink's tables: the connectors' own sources and sinks, in their own words.

Free of Flink, so that it can be tested without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from counterfoil.connectors.kafka_start import Start
from counterfoil.runtimes.engine.java_client import java_settings
from counterfoil.runtimes.local.kafka_input import group_of

if TYPE_CHECKING:
    from counterfoil.config import RunConfig, SinkConfig, SourceConfig
    from counterfoil.detector import Detector

TRANSACTION_MS = 600_000
"""How long a cluster keeps a transaction open that nobody ends: longer than a restart takes, and within what brokers
allow by default (15 minutes). Until then a job that never comes back holds up who reads what is committed."""


def quoted(text: str) -> str:
    """Return a text in SQL.

    Examples
    --------
    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def _table(name: str, columns: str, options: Mapping[str, str]) -> str:
    written = ", ".join(f"{quoted(option)} = {quoted(value)}" for option, value in options.items())
    return f"CREATE TEMPORARY TABLE `{name}` ({columns}) WITH ({written})"


def source_table(name: str, topic: str, config: SourceConfig, detector: Detector) -> str:
    """Return the table of a topic: value, partition, offset and timestamp of each record."""
    assert config.servers is not None
    options = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": config.servers,
        "properties.group.id": group_of(config, detector),
        # What was not committed is no event.
        "properties.isolation.level": "read_committed",
        "value.format": "raw",
        **_start(config.start, topic),
        **({"scan.bounded.mode": "latest-offset"} if config.until_end else {}),
        **{f"properties.{name}": value for name, value in java_settings(config.properties).items()},
    }
    columns = (
        "`value` BYTES, `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL,"
        " `timestamp` TIMESTAMP_LTZ(3) METADATA VIRTUAL"
    )
    return _table(name, columns, options)


def _start(setting: str, topic: str) -> dict[str, str]:
    """Return where partitions begin that no checkpoint knows."""
    start = Start.parse(setting)
    if start.word:
        return {"scan.startup.mode": f"{start.word}-offset"}
    if start.places:
        offsets = ";".join(
            f"partition:{partition},offset:{offset}"
            for (name, partition), offset in start.places.items()
            if name == topic
        )
        # A partition without a place begins at its earliest record, as in a local run.
        if not offsets:
            return {"scan.startup.mode": "earliest-offset"}
        return {"scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": offsets}
    return {"scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": str(start.milliseconds)}


def sink_table(name: str, sink: SinkConfig, config: RunConfig, query: str) -> str:
    """Return the table of a topic that is written: key, value and headers of each message.

    Parameters
    ----------
    name
        The table's.
    sink, config
        The settings.
    query
        Whose output it is: transactions of the same name are ended by whoever comes next.
    """
    servers = sink.servers or config.source.servers
    assert servers is not None
    assert sink.topic is not None
    own = sink.properties or (config.source.properties if servers == config.source.servers else {})
    options = {
        "connector": "kafka",
        "topic": sink.topic,
        "properties.bootstrap.servers": servers,
        "properties.compression.type": "lz4",
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        **_delivery(sink, f"counterfoil-{query}-{name}"),
        **{f"properties.{each}": value for each, value in java_settings(own, "sinks[].properties").items()},
    }
    return _table(name, "`key` BYTES, `value` BYTES, `headers` MAP<STRING, BYTES> METADATA", options)


def _delivery(sink: SinkConfig, prefix: str) -> dict[str, str]:
    if sink.delivery != "exactly-once":
        return {"sink.delivery-guarantee": "at-least-once"}
    return {
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": prefix,
        "properties.transaction.timeout.ms": str(TRANSACTION_MS),
    }


def folder_table(name: str, folder: str) -> str:
    """Return the table of a folder of lines."""
    return _table(name, "`value` BYTES", {"connector": "filesystem", "path": folder, "format": "raw"})
