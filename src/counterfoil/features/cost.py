"""What features cost in memory: bytes an entity, an event and a value, from the plan alone.

Three things take memory. An *entity* has a record, a place in its stage's index, and a first ring for each track that
has an event. An *event* is an entry in a ring for every track it enters; a ring has room for a power of two of them, so
that up to twice as much is reserved. And where values are counted (``distinct``, ``frequency``) each *value* in use has
an entry in a map. Events older than the longest window, the delay and ``max_lateness`` together make room for new ones.

Features of one stage share: the record, the times of events, running totals and the edges of windows. What a feature
costs by itself is therefore what would be saved without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from counterfoil.events.identity import IdentityKey
from counterfoil.features import index, layout, pairs
from counterfoil.features.blocks import block_words
from counterfoil.features.definition import AggregateFeature
from counterfoil.features.plan import FeaturePlan
from counterfoil.features.planner import StagePlanner, TrackPlan

if TYPE_CHECKING:
    from counterfoil.detector import Detector

_WORD = 8


@dataclass(frozen=True, slots=True)
class FeatureCost:
    """What one aggregate costs by itself.

    Parameters
    ----------
    name
        The aggregate.
    outputs
        The features that it makes, one a window.
    stage
        The stage that it belongs to.
    bytes_per_entity
        What an entity of the stage would take less without it.
    bytes_per_event
        What an event of its kind would take less without it.
    bytes_per_value
        What each different value of an entity would take less without it.
    shared_with
        The aggregates that read the same rings: what is not its own it shares with them.
    """

    name: str
    outputs: tuple[str, ...]
    stage: str
    bytes_per_entity: int
    bytes_per_event: int
    bytes_per_value: int
    shared_with: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StageCost:
    """What all aggregates of a stage cost together.

    Parameters
    ----------
    name
        The entity, and where it is not its key the fields under which it is fed.
    features
        The aggregates.
    bytes_per_entity
        Record, index and first rings of an entity with an event of every kind: up to three events each are in it.
    bytes_per_event
        What an event of each kind adds when rings are full; up to twice as much where they have just grown.
    bytes_per_value
        What each different value adds, in each of the maps.
    """

    name: str
    features: tuple[str, ...]
    bytes_per_entity: int
    bytes_per_event: Mapping[str, int]
    bytes_per_value: int
    _tracks: tuple[tuple[str, int, int], ...]
    _record_bytes: int

    def bytes_of(self, events: Mapping[str, int]) -> int:
        """Return the bytes of an entity with so many events of each kind in use, without its values.

        Rings that it has outgrown are left out: other entities take them over.
        """
        rings = sum(
            _ring_words(stride, extremes, 1 << max(events[kind].bit_length(), layout.RING_FIRST))
            for kind, stride, extremes in self._tracks
            if events.get(kind, 0) > 0
        )
        return self._record_bytes + _WORD * rings


@dataclass(frozen=True, slots=True)
class Costs:
    """What the features of a detector cost. Derived features keep nothing and cost no memory."""

    features: tuple[FeatureCost, ...]
    stages: tuple[StageCost, ...]


def feature_costs(detector: Detector) -> Costs:
    """Return what each aggregate of a detector costs, and each stage as a whole.

    The figures are exact for records and entries; a record begins on a cache line, which leaves some words before it
    unused. Index and maps are taken at their fullest, and may be half empty.

    Raises
    ------
    DefinitionError
        When an expression of the definition does not compile.
    """
    plan = FeaturePlan(
        detector.schema, detector.entities, detector.features, detector.lists, detector.max_lateness, IdentityKey()
    )
    aggregates = [each for each in detector.features if isinstance(each, AggregateFeature)]
    found: dict[str, FeatureCost] = {}
    stages = []
    for stage in plan.stages:
        members = [each for each in aggregates if plan.stage_of(each) is stage]
        stages.append(_stage_cost(stage, members))
        for each in members:
            rest = StagePlanner(
                stage.entity, stage.feed_key, detector.schema.kind_index, plan.inputs, detector.max_lateness
            )
            for other in members:
                if other is not each:
                    rest.add(other, plan.argument_types(other), plan.rows)
            found[each.name] = _feature_cost(each, members, stage, rest, plan)
    return Costs(tuple(found[each.name] for each in aggregates), tuple(stages))


def _stage_cost(stage: StagePlanner, members: Sequence[AggregateFeature]) -> StageCost:
    record = _WORD * stage.pack().record_words + round(2 * _WORD / index.FILL_MAX)
    first = sum(_ring_words(each.words, each.extremes, 1 << layout.RING_FIRST) for each in stage.tracks)
    return StageCost(
        stage.name,
        tuple(each.name for each in members),
        record + _WORD * first,
        {kind: _event_bytes(stage, kind) for kind in dict.fromkeys(each.kind for each in stage.tracks)},
        _value_bytes(stage),
        tuple((each.kind, each.words, each.extremes) for each in stage.tracks),
        record,
    )


def _feature_cost(
    feature: AggregateFeature,
    members: Sequence[AggregateFeature],
    stage: StagePlanner,
    rest: StagePlanner,
    plan: FeaturePlan,
) -> FeatureCost:
    outputs = tuple(name for name, _ in feature.outputs)
    rows = {plan.rows[name] for name in outputs}
    beside: set[int] = set()
    for track in stage.tracks:
        asked = {operation.output for operation in (*track.prior, *track.after)}
        beside |= asked if asked & rows else set()
    shared = [each for each in members if any(plan.rows[name] in beside - rows for name, _ in each.outputs)]
    return FeatureCost(
        feature.name,
        outputs,
        stage.name,
        _entity_bytes(stage) - _entity_bytes(rest),
        _event_bytes(stage, feature.kind) - _event_bytes(rest, feature.kind),
        _value_bytes(stage) - _value_bytes(rest),
        tuple(each.name for each in shared),
    )


def _entity_bytes(stage: StagePlanner) -> int:
    """Return the bytes of an entity's tracks: their parts of the record, and their first rings."""
    return _WORD * sum(_record_words(each) + _first_ring(each) for each in stage.tracks)


def _record_words(track: TrackPlan) -> int:
    return layout.PLACES + len(track.edges_at) + 2 * len(track.tallies)


def _first_ring(track: TrackPlan) -> int:
    return _ring_words(track.words, track.extremes, 1 << layout.RING_FIRST)


def _ring_words(stride: int, extremes: int, capacity: int) -> int:
    return stride * capacity + int(block_words(extremes, capacity))


def _event_bytes(stage: StagePlanner, kind: str) -> int:
    """Return the bytes of an event's entries; extremes of blocks come to less than a byte each."""
    return _WORD * sum(each.words for each in stage.tracks if each.kind == kind)


def _value_bytes(stage: StagePlanner) -> int:
    return round(_WORD * pairs.WORDS * stage.pack().pairs / pairs.FILL_MAX)
