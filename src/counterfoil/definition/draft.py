"""A definition that has its shape, and may not make sense yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from counterfoil.detector import DAY, Detector
from counterfoil.events.kinds import EventKind, Schema
from counterfoil.features.definition import Entity, Feature
from counterfoil.models.definition import ModelUse, OutlierUse
from counterfoil.rules.definition import Policy, Rule, ValueList


@dataclass(slots=True)
class Draft:
    """Everything that could be read; each part beside the path at which it stands.

    ``broken`` holds the names of parts that could not be read: what mentions them is not reported a second time.
    """

    name: str = ""
    kinds: list[tuple[str, EventKind]] = field(default_factory=list)
    entities: list[tuple[str, Entity]] = field(default_factory=list)
    features: list[tuple[str, Feature]] = field(default_factory=list)
    rules: list[tuple[str, Rule]] = field(default_factory=list)
    lists: list[tuple[str, ValueList]] = field(default_factory=list)
    models: list[tuple[str, ModelUse]] = field(default_factory=list)
    outliers: list[tuple[str, OutlierUse]] = field(default_factory=list)
    policy: Policy = Policy()
    max_lateness: int = 7 * DAY
    max_skew: int = DAY
    dedupe: int = DAY
    description: str = ""
    broken: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, detector: Detector) -> Draft:
        """Return the draft of a detector that was made in Python, with the paths that its YAML would have."""
        return cls(
            detector.name,
            [(f"events.{kind.name}", kind) for kind in detector.schema.kinds],
            [(f"entities.{entity.name}", entity) for entity in detector.entities],
            [(f"features[{at}]", feature) for at, feature in enumerate(detector.features)],
            [(f"rules[{at}]", rule) for at, rule in enumerate(detector.rules)],
            [(f"lists.{each.name}", each) for each in detector.lists],
            [(f"models.{each.name}", each) for each in detector.models],
            [(f"outliers.{each.name}", each) for each in detector.outliers],
            detector.policy,
            detector.max_lateness,
            detector.max_skew,
            detector.dedupe,
            detector.description,
        )

    def finish(self) -> Detector:
        """Return the detector."""
        return Detector(
            self.name,
            Schema(tuple(kind for _, kind in self.kinds)),
            tuple(entity for _, entity in self.entities),
            tuple(feature for _, feature in self.features),
            tuple(rule for _, rule in self.rules),
            tuple(each for _, each in self.lists),
            self.policy,
            self.max_lateness,
            self.max_skew,
            self.dedupe,
            self.description,
            tuple(use for _, use in self.models),
            tuple(use for _, use in self.outliers),
        )
