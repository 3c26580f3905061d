"""The job as Spark sees it: source, pieces, parts with state, join, results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.spark.sources import NAME, file_source
from counterfoil.runtimes.spark.workers import PIECES, PartProcessor, joiner, packer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from counterfoil.config import RunConfig, SourceConfig
    from counterfoil.runtimes.engine.job import Job


def results(session: SparkSession, config: RunConfig, job: Job, partitions: int) -> DataFrame:
    """Return the stream of results, and of alerts where they are wanted.

    Parameters
    ----------
    session
        Spark.
    config
        The run.
    job
        What workers are told.
    partitions
        How many tasks a shuffle ends in.
    """
    data = job.encode()
    stream = _pieces(session, config, job, data, partitions)
    if job.whole:
        return _step(stream, data, "whole", partitions)
    if job.dedupes:
        stream = _step(stream, data, "duplicates", partitions)
    stream = _step(stream, data, "shards", partitions)
    stream = stream.repartition(partitions, "batch").mapInArrow(joiner(data), PIECES)
    return _step(stream, data, "episodes", partitions) if job.alerts else stream


def _step(stream: DataFrame, data: bytes, step: str, partitions: int) -> DataFrame:
    processor = PartProcessor(data, step, partitions)
    found: DataFrame = stream.groupBy("key").transformWithState(processor, PIECES, "append", "none")
    return found


def _pieces(session: SparkSession, config: RunConfig, job: Job, data: bytes, partitions: int) -> DataFrame:
    if config.source.type != "kafka":
        source = file_source(job, partitions, config.spark.micro_batch_events)
        session.dataSource.register(source)
        found: DataFrame = session.readStream.format(NAME).load()
        return found
    reader: Any = session.readStream.format("kafka")
    for name, value in kafka_options(config.source).items():
        reader = reader.option(name, value)
    reader = reader.option("maxOffsetsPerTrigger", str(config.spark.micro_batch_events))
    records = reader.load().select("topic", "partition", "offset", "timestamp", "value")
    packed: DataFrame = records.mapInArrow(packer(data, partitions), PIECES)
    return packed


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
