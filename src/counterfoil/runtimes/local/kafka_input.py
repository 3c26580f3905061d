"""Topics as an input: the source, and a decoder for each topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from counterfoil.connectors.kafka_source import KafkaSource, KafkaSourceSettings, Observer
from counterfoil.connectors.partitions import PartitionedChunk
from counterfoil.connectors.schema_registry import SchemaRegistry
from counterfoil.connectors.source import Chunk
from counterfoil.errors import ConfigurationError, nearest
from counterfoil.events.batch import Batch
from counterfoil.events.decoding import Decoded
from counterfoil.events.record_batch import RecordBatch, RecordDecoder, TextRecords
from counterfoil.events.schemas import SchemaSource
from counterfoil.runtimes.local.record_decoders import record_decoder

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig, TopicConfig
    from counterfoil.detector import Detector
    from counterfoil.events.identity import IdentityKey


def kafka_source(
    config: SourceConfig, limits: LimitsConfig, detector: Detector, observer: Observer | None = None
) -> KafkaSource:
    """Return the source that the settings name."""
    assert config.servers is not None
    return KafkaSource(
        KafkaSourceSettings(
            config.servers,
            tuple(topic.name for topic in config.topics),
            group_of(config, detector),
            config.start,
            config.until_end,
            config.accept_gap,
            config.linger_ms,
            config.session_ms,
            limits.batch_events,
            limits.batch_bytes,
            config.properties,
        ),
        observer,
    )


def group_of(config: SourceConfig, detector: Detector) -> str:
    """Return the name of the consumer group."""
    return config.group or f"counterfoil-{detector.version.partition('@')[0]}"


def topic_decoders(
    config: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey
) -> dict[str, RecordDecoder]:
    """Return the decoder of each topic; all share one schema registry."""
    registry = SchemaRegistry(config.registry) if config.registry.url else None
    return {topic.name: topic_decoder(topic, config, limits, detector, key, registry) for topic in config.topics}


def topic_decoder(
    topic: TopicConfig,
    source: SourceConfig,
    limits: LimitsConfig,
    detector: Detector,
    key: IdentityKey,
    schemas: SchemaSource | None = None,
) -> RecordDecoder:
    """Return the decoder of one topic: what it leaves out is as the source says it.

    Raises
    ------
    ConfigurationError
        If its settings do not fit the detector.
    """
    kind = topic.kind or source.kind
    if kind is not None and kind not in detector.schema.kind_index:
        hint = nearest(kind, detector.schema.kind_index)
        allowed = ", ".join(detector.schema.kind_index)
        raise ConfigurationError(
            f"source.topics ({topic.name}): found kind {kind!r}; allowed: {allowed}; {hint}".rstrip("; ")
        )
    settled = replace(
        source,
        kind=kind,
        kind_field=topic.kind_field or source.kind_field,
        format=topic.format or source.format,
        fields={**source.fields, **topic.fields},
        columns=topic.columns or source.columns,
        delimiter=topic.delimiter or source.delimiter,
        operations={**source.operations, **topic.operations},
        encodings={**source.encodings, **topic.encodings},
    )
    return record_decoder(settled, limits, detector, key, schemas=schemas)


class TopicsDecoder:
    """Decodes chunks of several topics.

    Parameters
    ----------
    decoders
        The decoder of each topic.
    """

    def __init__(self, decoders: Mapping[str, RecordDecoder]) -> None:
        self._decoders = dict(decoders)

    def __call__(self, chunk: Chunk, first_position: int, arrival: int) -> Decoded:
        """Return the events and dead letters of a chunk."""
        assert isinstance(chunk, PartitionedChunk)
        parts = []
        for topic, values in chunk.records:
            decoder = self._decoders[topic]
            if isinstance(decoder, TextRecords):
                parts.append(decoder.decode_values(values, first_position, arrival))
            else:
                parts.append(decoder.decode_records(RecordBatch.of(values, first_position), arrival))
            first_position += len(values)
        return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Decoded]) -> Decoded:
    """Return what several topics gave as one."""
    unknown: Counter[str] = Counter()
    for part in parts:
        unknown.update(part.unknown_fields)
    return Decoded(
        Batch.concatenate([part.batch for part in parts]),
        [letter for part in parts for letter in part.dead],
        dict(unknown),
        sum(part.consumed for part in parts),
        sum(part.records for part in parts),
    )
