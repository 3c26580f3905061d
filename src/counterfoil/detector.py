"""Read this first: the frozen definition of a detector, and its version.

A detector is data. ``detector_file.py`` reads it from YAML and checks it, ``program.py`` compiles it into the pure,
deterministic program that every runtime carries its batches through.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import cached_property

import msgspec

from counterfoil.events.kinds import Schema
from counterfoil.features.definition import Entity, Feature
from counterfoil.models.definition import ModelUse, OutlierUse
from counterfoil.rules.definition import Policy, Rule, ValueList

DAY = 86_400_000_000
"""A day in microseconds."""


@dataclass(frozen=True)
class Detector:
    """Everything that decides how events become decisions.

    Parameters
    ----------
    name
        Its name.
    schema
        The event kinds, in the order of the definition.
    entities
        What features are kept for.
    features
        Aggregates and derived features; a derived feature may use those before it.
    rules
        Conditions with consequences.
    lists
        Values that conditions may ask for.
    policy
        How a score becomes an outcome.
    max_lateness
        Microseconds by which an event may be older than the newest of its entity and still see exact windows.
    max_skew
        Microseconds by which an event's time may lie ahead of its arrival; beyond it is a dead letter.
    dedupe
        Microseconds of event time within which an id seen again is a duplicate; 0 for never.
    description
        For people.
    models
        Models whose scores rules and policy may use.
    outliers
        Online outlier scores that rules and policy may use.
    """

    name: str
    schema: Schema
    entities: tuple[Entity, ...] = ()
    features: tuple[Feature, ...] = ()
    rules: tuple[Rule, ...] = ()
    lists: tuple[ValueList, ...] = ()
    policy: Policy = Policy()
    max_lateness: int = 7 * DAY
    max_skew: int = DAY
    dedupe: int = DAY
    description: str = ""
    models: tuple[ModelUse, ...] = ()
    outliers: tuple[OutlierUse, ...] = ()

    @cached_property
    def version(self) -> str:
        """``name@`` and the first 16 hex digits of the SHA-256 of the content (the description left out)."""
        content = asdict(self)
        del content["description"]
        if not self.models:
            # A definition without models keeps the version that it had before there were any.
            del content["models"]
        if not self.outliers:
            del content["outliers"]
        canonical = msgspec.json.encode(content, order="deterministic")
        return f"{self.name}@{hashlib.sha256(canonical).hexdigest()[:16]}"

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Every feature's name, in the order of the definition, one for each window."""
        names: list[str] = []
        for feature in self.features:
            outputs = getattr(feature, "outputs", ((feature.name, None),))
            names.extend(name for name, _ in outputs)
        return tuple(names)
