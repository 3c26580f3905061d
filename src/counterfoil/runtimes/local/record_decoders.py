"""From a source's settings to the decoder of single records: those of a topic, of a container file, or dead letters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil.connectors.schema_registry import SchemaRegistry
from counterfoil.errors import ConfigurationError
from counterfoil.events.changes import ChangeKinds
from counterfoil.events.decode_avro import AvroDecoder
from counterfoil.events.decode_debezium import DebeziumDecoder
from counterfoil.events.decode_delimited import DelimitedDecoder
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decode_json_schema import JsonSchemaDecoder
from counterfoil.events.record_batch import RecordDecoder, TextRecords
from counterfoil.events.schemas import OneSchema, RegisteredSchema, SchemaSource
from counterfoil.runtimes.local.decoders import decoder_settings

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig
    from counterfoil.detector import Detector
    from counterfoil.events.identity import IdentityKey

_SCHEMA_BYTES_MAX = 16 << 20


def record_decoder(
    config: SourceConfig,
    limits: LimitsConfig,
    detector: Detector,
    key: IdentityKey,
    schema: str | None = None,
    schemas: SchemaSource | None = None,
) -> RecordDecoder:
    """Return the decoder of single records.

    Parameters
    ----------
    config, limits, detector, key
        The settings, and what is decoded for whom.
    schema
        The one schema of all records, where the caller knows it.
    schemas
        Where other schemas come from, so that several decoders share one registry; None for the configured one.

    Raises
    ------
    ConfigurationError
        If the settings do not fit the detector, or a schema is needed and nobody says where it is.
    """
    if config.format == "debezium":
        return debezium_decoder(config, limits, detector, key)
    if config.format in {"avro", "debezium-avro"}:
        return avro_decoder(config, limits, detector, key, schema, schemas)
    settings = decoder_settings(config, limits, detector)
    arguments = (detector.schema, settings, key, detector.max_skew)
    if config.format == "json-schema":
        inner: RecordDecoder = TextRecords(JsonDecoder(*arguments))
        return JsonSchemaDecoder(detector.schema, settings, schemas or SchemaRegistry(config.registry), inner)
    if config.format == "debezium-json-schema":
        # The schema is that of the change, and says nothing at its top of what an event of the kind needs.
        whole = replace(settings, kind=None)
        inner = debezium_decoder(config, limits, detector, key)
        return JsonSchemaDecoder(detector.schema, whole, schemas or SchemaRegistry(config.registry), inner)
    return TextRecords(JsonDecoder(*arguments) if config.format == "json" else DelimitedDecoder(*arguments))


def debezium_decoder(
    config: SourceConfig, limits: LimitsConfig, detector: Detector, key: IdentityKey
) -> DebeziumDecoder:
    """Return the decoder of changes as JSON."""
    settings = decoder_settings(config, limits, detector)
    return DebeziumDecoder(detector.schema, settings, key, detector.max_skew, _changes(config), config.encodings)


def avro_decoder(
    config: SourceConfig,
    limits: LimitsConfig,
    detector: Detector,
    key: IdentityKey,
    schema: str | None = None,
    schemas: SchemaSource | None = None,
) -> AvroDecoder:
    """Return the decoder of records of Avro: see ``record_decoder``."""
    if schema is None and config.schema_file is not None:
        schema = _schema_of(config.schema_file)
    if schema is not None:
        source: SchemaSource = OneSchema(RegisteredSchema("AVRO", schema))
    else:
        source = schemas or SchemaRegistry(config.registry)
    changes = _changes(config) if config.format == "debezium-avro" else None
    settings = decoder_settings(config, limits, detector)
    return AvroDecoder(detector.schema, settings, key, detector.max_skew, source, changes, framed=schema is None)


def _changes(config: SourceConfig) -> ChangeKinds:
    return ChangeKinds(config.kind, config.operations)


def _schema_of(path: str) -> str:
    """Return the schema in a file.

    Raises
    ------
    ConfigurationError
        If it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(_SCHEMA_BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        message = f"source.schema_file: {path} cannot be read: {reason}; give the path of an Avro schema"
        raise ConfigurationError(message) from error
