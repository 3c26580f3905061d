"""How a run is tied to Kafka: which ledger goes with which source, and what an instance must know of its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from counterfoil.connectors.kafka_settings import require_kafka
from counterfoil.connectors.kafka_sink import KafkaWriter
from counterfoil.connectors.kafka_source import KafkaSource
from counterfoil.observability import get_logger
from counterfoil.runtimes.local.delivery import CommitProgress, Delivery, TopicSink
from counterfoil.runtimes.local.kafka_input import group_of
from counterfoil.runtimes.local.ledgers import GroupLedger, Ledger, OwnLedger

if TYPE_CHECKING:
    from counterfoil.config import SinkConfig
    from counterfoil.connectors.partitions import Partition
    from counterfoil.connectors.source import Source
    from counterfoil.runtimes.local.lines import LineEncoder
    from counterfoil.runtimes.local.runtime import LocalRuntime
    from counterfoil.runtimes.local.store import SourceRecord

_log = get_logger(__name__)


def open_delivery(
    runtime: LocalRuntime,
    sinks: Sequence[SinkConfig],
    encoders: Sequence[LineEncoder],
    source: Source,
    record: SourceRecord,
) -> Delivery:
    """Connect what is written to topics; all of them are written in one transaction.

    Parameters
    ----------
    runtime
        The run.
    sinks, encoders
        The topics, and what writes the decisions of each.
    source
        What is read.
    record
        Where reading it goes on.
    """
    config, first = runtime.config, sinks[0]
    same = isinstance(source, KafkaSource) and first.servers in (None, config.source.servers)
    servers = first.servers or config.source.servers or ""
    properties = first.properties or (config.source.properties if same else {})
    log = runtime.log_name()
    transactional = first.delivery == "exactly-once"
    writer = KafkaWriter(servers, properties, f"counterfoil-{log}" if transactional else None)
    ledger: Ledger
    if same and isinstance(source, KafkaSource):
        ledger = GroupLedger(source, log)
    else:
        ledger = OwnLedger(servers, properties, first.topic or "", log)
    topics = [
        TopicSink(sink.topic or "", sink.content, encoder, sink.format == "packed")
        for sink, encoder in zip(sinks, encoders, strict=True)
    ]
    name = f"kafka://{servers}"
    delivery = Delivery(runtime.folder, name, writer, ledger, topics, runtime.kafka_metrics(), first.retry_seconds)
    known = runtime.store.outputs().get(name)
    begin = known.first_block if known is not None else runtime.store.first_block_of(record.source)
    try:
        delivery.start(begin, known.blocks if known is not None else begin, record.record)
    except BaseException:
        delivery.close()
        raise
    return delivery


def join_group(
    runtime: LocalRuntime, source: Source, record: SourceRecord, delivery: Delivery | None
) -> CommitProgress | None:
    """Join the group that shares the partitions; return who tells it what is durable, where no topic is written."""
    assert isinstance(source, KafkaSource)
    config = runtime.config.source
    _tell_of_spanning(runtime, source)
    member = f"counterfoil-{group_of(config, runtime.detector)}-{runtime.log_name()}"
    progress = None
    if delivery is None or not delivery.by_partition:
        place = require_kafka().TopicPartition

        def commit(moved: Mapping[Partition, int]) -> None:
            source.commit([place(*partition, offset) for partition, offset in moved.items()])

        progress = CommitProgress(commit, record.record)
    owner = delivery if progress is None else progress
    assert owner is not None
    source.resume(runtime.store.positions(record.source), member, owner)
    return progress


def _tell_of_spanning(runtime: LocalRuntime, source: KafkaSource) -> None:
    """Say so where entities may have events in several partitions: each instance sees only its own."""
    topics: dict[str, int] = {}
    for topic, _ in source.partitions:
        topics[topic] = topics.get(topic, 0) + 1
    keys = {entity.key for entity in runtime.detector.entities}
    if max(topics.values()) < 2 or not keys:
        return
    if len(keys) > 1:
        names = ", ".join(entity.name for entity in runtime.detector.entities)
        _log.warning(
            "entities span partitions: with several instances in the group each sees only the events of its own"
            " partitions. Ways out: one instance; a topic keyed by the entity for each detector; Spark or Flink",
            entities=names,
            partitions=max(topics.values()),
        )
