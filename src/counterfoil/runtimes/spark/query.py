"""The job as Spark sees it: source, pieces, parts with state, join, results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from counterfoil.runtimes.spark.sources import NAME, file_source
from counterfoil.runtimes.spark.topics import kafka_options
from counterfoil.runtimes.spark.workers import PIECES, PartProcessor, joiner, packer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from counterfoil.config import RunConfig
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
