"""From a source's settings to how its records are decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.errors import ConfigurationError, nearest
from counterfoil.events.decoding import DecoderSettings

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig
    from counterfoil.detector import Detector


def decoder_settings(config: SourceConfig, limits: LimitsConfig, detector: Detector) -> DecoderSettings:
    """Return how the source writes its events."""
    kind = config.kind
    if kind is None and config.format == "lines" and len(detector.schema.kinds) == 1:
        kind = detector.schema.kinds[0].name
    return DecoderSettings(
        mapping=config.fields,
        kind_field=config.kind_field,
        kind=kind,
        record_bytes_max=limits.record_bytes,
        naive_utc=config.naive_utc,
        delimiter=config.delimiter or (";" if config.format == "lines" else ","),
        quote=None if config.format == "lines" else '"',
        header=config.format == "csv",
        fields=_line_fields(config, kind, detector) if config.format == "lines" else (),
    )


def _line_fields(config: SourceConfig, kind: str | None, detector: Detector) -> tuple[str, ...]:
    """Return the names of a line's values: as configured, or the kind's id, time and fields in their order."""
    if config.columns:
        return config.columns
    if kind is None:
        raise ConfigurationError("source.columns: found nothing; allowed: the names of a line's values, in order")
    if kind not in detector.schema.kind_index:
        hint = nearest(kind, detector.schema.kind_index)
        allowed = ", ".join(detector.schema.kind_index)
        raise ConfigurationError(f"source.kind: found {kind!r}; allowed: {allowed}; {hint}".rstrip("; "))
    found = detector.schema.kinds[detector.schema.kind_index[kind]]
    names = [*([found.id] if found.id else []), found.time, *(field.name for field in found.fields)]
    return tuple(config.fields.get(name, name) for name in names)
