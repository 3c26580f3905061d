"""From a source's settings to how its records are decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterfoil.errors import ConfigurationError, nearest
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.mapping import detector_names

if TYPE_CHECKING:
    from counterfoil.config import LimitsConfig, SourceConfig
    from counterfoil.detector import Detector
    from counterfoil.events.kinds import EventKind


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
        _check_columns(config, kind, detector)
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


def _check_columns(config: SourceConfig, kind: str | None, detector: Detector) -> None:
    """Refuse columns by which no record can be read; those that no kind knows may stand there, and are left out."""
    if kind is None and config.kind_field not in config.columns:
        raise ConfigurationError(
            f'source.columns (--columns): found no "{config.kind_field}", which names the event kind; allowed: with it,'
            " or with one kind for all (source.kind, --kind)"
        )
    kinds = [each for each in detector.schema.kinds if kind is None or each.name == kind]
    lacking = [(each, _lacking(each, config)) for each in kinds]
    if not lacking or not all(names for _, names in lacking):
        return
    closest, names = min(lacking, key=lambda each: len(each[1]))
    spare = [each for each in config.columns if each not in _sources(closest, config)]
    hint = f"; not known: {', '.join(spare)}" if spare else ""
    raise ConfigurationError(
        f"source.columns (--columns): found {', '.join(config.columns)}; allowed: with what each {closest.name} must"
        f" have: {', '.join(names)} not among them{hint}"
    )


def _lacking(kind: EventKind, config: SourceConfig) -> list[str]:
    """Return the source's names of what an event must have and no column is."""
    required = [*([kind.id] if kind.id else []), kind.time, *(each.name for each in kind.fields if each.required)]
    names = [config.fields.get(name, name) for name in required]
    return [name for name in names if name not in config.columns]


def _sources(kind: EventKind, config: SourceConfig) -> set[str]:
    """Return the source's name of everything that a kind knows."""
    return {config.kind_field} | {config.fields.get(name, name) for name in detector_names(kind)}
