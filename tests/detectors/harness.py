"""Carries events through a detector the short way: JSON, decoder, program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from counterfoil.decisions.decided import FAILED, HIT
from counterfoil.detector import Detector
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.rules.types import Base, ValueType

Event = dict[str, Any]

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""A Monday noon."""

ARRIVAL = 4_000_000_000_000_000


@dataclass(frozen=True)
class Decision:
    """One decided event, for people."""

    event: Event
    outcome: str
    score: float
    rules: tuple[str, ...]
    features: Mapping[str, Any]
    alerts: tuple[str, ...]
    opened: tuple[str, ...]


def at(start: datetime = START, **after: float) -> str:
    """Return an instant some time after the start, as text."""
    return (start + timedelta(**after)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decide(detector: Detector, events: Iterable[Event], settings: DecoderSettings | None = None) -> list[Decision]:
    """Return the decisions on some events, in order; every event must be readable and no rule may fail."""
    events = list(events)
    kinds = [kind.name for kind in detector.schema.kinds]
    settings = settings or DecoderSettings(kind=kinds[0] if len(kinds) == 1 else None)
    data = b"\n".join(msgspec.json.encode(event) for event in events)
    return decide_bytes(detector, data, events, settings)


def decide_bytes(detector: Detector, data: bytes, events: list[Event], settings: DecoderSettings) -> list[Decision]:
    """Return the decisions on lines of JSON."""
    key = IdentityKey()
    decoded = JsonDecoder(detector.schema, settings, key, detector.max_skew).decode(data, 0, ARRIVAL)
    assert not decoded.dead, decoded.dead
    assert not decoded.unknown_fields, decoded.unknown_fields
    program = Program(detector, key)
    result = program.process(decoded.batch)
    assert not (result.hits == FAILED).any()
    changes: dict[int, list[tuple[str, bool]]] = {}
    for change in result.alerts:
        changes.setdefault(change.column, []).append((change.alert, change.opened))
    return [
        Decision(
            events[row],
            ("approve", "review", "block")[result.outcome[column]],
            float(result.score[column]),
            tuple(name for name, hit in zip(program.rule_names, result.hits[:, column], strict=True) if hit == HIT),
            dict(_features(program, result.features[:, column], result.feature_nulls[:, column])),
            tuple(alert for alert, _ in changes.get(column, [])),
            tuple(alert for alert, opened in changes.get(column, []) if opened),
        )
        for column, row in enumerate(result.rows.tolist())
    ]


def _features(program: Program, words: Any, nulls: Any) -> Iterator[tuple[str, Any]]:
    for name, type_, word, null in zip(program.feature_names, program.feature_types, words, nulls, strict=True):
        yield name, None if null else _value(type_, np.int64(word))


def _value(type_: ValueType, word: np.int64) -> Any:
    if type_.base is Base.FLOAT:
        return float(word.view(np.float64))
    if type_.base is Base.BOOL:
        return bool(word)
    if type_.base is Base.MONEY:
        return Decimal(int(word)).scaleb(-type_.scale)
    if type_.base is Base.INTERVAL:
        return timedelta(microseconds=int(word))
    return int(word)
