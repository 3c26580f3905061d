"""From a run's settings to a source and the decoder that fits it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import polars as pl

from counterfoil.connectors.source import Chunk, Source
from counterfoil.connectors.standard_input import StandardInputSource
from counterfoil.connectors.text_file import TextFileSource
from counterfoil.errors import ConfigurationError
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig
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


def open_input(config: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey) -> Input:
    """Open the source that the settings name.

    Raises
    ------
    InputError
        If it cannot be read.
    ConfigurationError
        If the settings do not fit the detector.
    """
    if config.type == "generator":
        raise ConfigurationError("source.type: generator is not available here")
    settings = decoder_settings(config, limits)
    decoder = JsonDecoder(detector.schema, settings, key, detector.max_skew)

    def decode(chunk: Chunk, first_position: int, arrival: int) -> Decoded:
        assert not isinstance(chunk.data, pl.DataFrame)
        return decoder.decode(chunk.data, first_position, arrival)

    return Input(_text_source(config, limits, settings.header), decode)


def decoder_settings(config: SourceConfig, limits: LimitsConfig) -> DecoderSettings:
    """Return how the source writes its events."""
    return DecoderSettings(
        mapping=config.fields,
        kind_field=config.kind_field,
        kind=config.kind,
        record_bytes_max=limits.record_bytes,
        delimiter=config.delimiter or (";" if config.format == "lines" else ","),
        quote=None if config.format == "lines" else '"',
        header=config.format == "csv",
        fields=config.columns,
    )


def _text_source(config: SourceConfig, limits: LimitsConfig, header: bool) -> Source:
    bounds = (limits.batch_bytes, limits.batch_events, limits.record_bytes)
    if config.type == "stdin":
        return StandardInputSource(*bounds, header=header)
    assert config.path is not None
    return TextFileSource(Path(config.path), *bounds, header=header)
