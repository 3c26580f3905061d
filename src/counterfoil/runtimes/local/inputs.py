"""From a run's settings to a source and the decoder that fits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import polars as pl

from counterfoil.connectors.parquet_file import ParquetFileSource
from counterfoil.connectors.source import Chunk, Source
from counterfoil.connectors.standard_input import PipeSource, StandardInputSource
from counterfoil.connectors.text_file import TextFileSource, closed_object
from counterfoil.events.decode_delimited import DelimitedDecoder
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decode_table import TableDecoder
from counterfoil.events.decoding import Decoded, Decoder
from counterfoil.events.record_batch import RecordBatch
from counterfoil.runtimes.local.decoders import decoder_settings

__all__ = ["ChunkDecoder", "Input", "decoder_settings", "open_input"]

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig
    from counterfoil.connectors.kafka_source import Observer
    from counterfoil.detector import Detector
    from counterfoil.events.identity import IdentityKey


class ChunkDecoder(Protocol):
    """Decodes whatever kind of chunk its source gives."""

    def __call__(self, chunk: Chunk, first_position: int, arrival: int) -> Decoded:
        """Return the events and dead letters of a chunk."""
        ...


@dataclass(frozen=True, slots=True)
class Input:
    """A source with its decoder."""

    source: Source
    decode: ChunkDecoder


def open_input(
    config: SourceConfig,
    limits: LimitsConfig,
    detector: Detector,
    key: IdentityKey,
    growing: bool = False,
    observer: Observer | None = None,
) -> Input:
    """Open the source that the settings name.

    Parameters
    ----------
    config, limits, detector, key
        The settings, and what is decoded for whom.
    growing
        Whether a later run goes on in the same file: a last line without a newline is left for it, unless it is one
        whole JSON object. A delimited line never shows that it is whole.
    observer
        ``type: kafka``: who wants to know of the group.

    Raises
    ------
    InputError
        If it cannot be read.
    ConfigurationError
        If the settings do not fit the detector.
    """
    if config.type == "generator":
        config = replace(config, format="json" if config.generate == "payments" else "lines")
        generated = (config.generate, config.count, config.rate, config.seed, config.customers, limits.batch_events)
        from counterfoil.connectors.generator import GeneratorSource  # noqa: PLC0415

        return Input(GeneratorSource(*generated), _text_decoder(config, limits, detector, key, b""))
    if config.type == "kafka":
        # Here, because a run that has nothing to do with Kafka need not know of it.
        from counterfoil.runtimes.local.kafka_input import TopicsDecoder, kafka_source, topic_decoders  # noqa: PLC0415

        decoders = topic_decoders(config, limits, detector, key)
        return Input(kafka_source(config, limits, detector, observer), TopicsDecoder(decoders))
    if config.format in {"avro", "debezium-avro"}:
        return _avro_input(config, limits, detector, key)
    if config.format == "parquet":
        assert config.path is not None
        table = TableDecoder(detector.schema, decoder_settings(config, limits, detector), key, detector.max_skew)
        return Input(ParquetFileSource(Path(config.path), limits.batch_events), _table_decoder(table))
    source = _text_source(config, limits, growing)
    return Input(source, _text_decoder(config, limits, detector, key, source.header))


def _avro_input(config: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey) -> Input:
    assert config.path is not None
    from counterfoil.connectors.avro_file import AvroFileSource  # noqa: PLC0415
    from counterfoil.runtimes.local.record_decoders import avro_decoder  # noqa: PLC0415

    source = AvroFileSource(Path(config.path), limits.batch_events)
    decoder = avro_decoder(config, limits, detector, key, source.schema)
    source.split_with(decoder.split)

    def decode(chunk: Chunk, first_position: int, arrival: int) -> Decoded:
        assert isinstance(chunk.data, RecordBatch)
        records = replace(chunk.data, position=chunk.data.position + (first_position - chunk.position))
        return decoder.decode_records(records, arrival)

    return Input(source, decode)


def _text_source(config: SourceConfig, limits: LimitsConfig, growing: bool) -> TextFileSource | StandardInputSource:
    bounds = (limits.batch_bytes, limits.batch_events, limits.record_bytes)
    header = config.format == "csv"
    if config.type == "stdin":
        return StandardInputSource(*bounds, header=header)
    assert config.path is not None
    path = Path(config.path)
    if path.is_fifo():
        return PipeSource(path, *bounds, header=header)
    whole = None if not growing else closed_object if config.format in {"json", "debezium"} else _never
    return TextFileSource(path, *bounds, header=header, whole=whole)


def _never(line: bytes) -> bool:
    del line
    return False


def _text_decoder(
    config: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey, header: bytes
) -> ChunkDecoder:
    settings = decoder_settings(config, limits, detector)
    arguments = (detector.schema, settings, key, detector.max_skew)
    decoder: Decoder
    if config.format == "debezium":
        from counterfoil.runtimes.local.record_decoders import debezium_decoder  # noqa: PLC0415

        decoder = debezium_decoder(config, limits, detector, key)
    else:
        decoder = JsonDecoder(*arguments) if config.format == "json" else DelimitedDecoder(*arguments)
    if isinstance(decoder, DelimitedDecoder) and settings.header:
        decoder.read_header(header)

    def decode(chunk: Chunk, first_position: int, arrival: int) -> Decoded:
        assert not isinstance(chunk.data, pl.DataFrame | RecordBatch)
        return decoder.decode(chunk.data, first_position, arrival)

    return decode


def _table_decoder(decoder: TableDecoder) -> ChunkDecoder:
    def decode(chunk: Chunk, first_position: int, arrival: int) -> Decoded:
        assert isinstance(chunk.data, pl.DataFrame)
        return decoder.decode(chunk.data, first_position, arrival)

    return decode
