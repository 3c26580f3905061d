"""All features of a definition, planned: each one's type and place, the stages, and the derived expressions.

The compiled program, the features as SQL and their costs are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import Schema
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Entity, Feature
from counterfoil.features.planner import Inputs, StagePlanner
from counterfoil.features.typing import result_type
from counterfoil.rules.definition import ValueList
from counterfoil.rules.expression import Expression, ExpressionCompiler, Source, Variable
from counterfoil.rules.types import TIME, ValueType


class FeaturePlan:
    """Plans features one after the other, in the order of the definition.

    Parameters
    ----------
    schema
        The event kinds.
    entities
        What features are kept for.
    features
        Aggregates and derived features.
    lists
        What conditions may ask for.
    lateness
        Microseconds by which an event may be older than its entity's newest.
    key
        Hashes the texts in expressions.

    Raises
    ------
    DefinitionError
        When an expression does not compile.
    """

    def __init__(
        self,
        schema: Schema,
        entities: Sequence[Entity],
        features: Sequence[Feature],
        lists: Sequence[ValueList],
        lateness: int,
        key: IdentityKey,
    ) -> None:
        self._schema = schema
        self._entities = {entity.name: entity for entity in entities}
        self._lists = {each.name: each for each in lists}
        self._lateness = lateness
        self._key = key
        columns = {
            each.name: Variable(ValueType.of(each), Source.EVENT, index) for index, each in enumerate(schema.columns)
        }
        self.names: dict[str, Variable] = {kind.time: Variable(TIME, Source.TIME) for kind in schema.kinds} | columns
        """What expressions may name: every field, and the features planned so far."""
        self._event_compiler = self.compiler()
        self._event_types: dict[str, ValueType] = {}
        required = {(kind.name, each.name) for kind in schema.kinds for each in kind.fields if each.required}
        self.inputs = Inputs(self._event_type, frozenset(required))
        """What the stages read of an event."""
        self.derived: list[tuple[Expression, int]] = []
        """The derived features, each with its row."""
        self.rows: dict[str, int] = {}
        """Every output feature by name, with its row: features of one definition are rows in the order of it."""
        self._types: list[ValueType] = []
        self._stages: dict[tuple[str, tuple[str, ...]], StagePlanner] = {}
        for number, feature in enumerate(features):
            if isinstance(feature, DerivedFeature):
                self._derive(feature, f"features[{number}].expr")
            else:
                self._aggregate(feature)

    @property
    def types(self) -> tuple[ValueType, ...]:
        """The type of every output feature, by row."""
        return tuple(self._types)

    @property
    def stages(self) -> tuple[StagePlanner, ...]:
        """One for each entity under one pair of keys."""
        return tuple(self._stages.values())

    @property
    def input_expressions(self) -> list[tuple[Expression, int]]:
        """What the stages read, each with its row of the inputs."""
        return [(self._event_compiler.compile(text, "features"), row) for text, row in self.inputs.rows.items()]

    def compiler(self, more: Mapping[str, Variable] | None = None) -> ExpressionCompiler:
        """Return a compiler of expressions over the fields, the features planned so far, and other names."""
        return ExpressionCompiler(self.names | dict(more or {}), self._key, self._lists)

    def argument_types(self, feature: AggregateFeature) -> tuple[ValueType, ...]:
        """Return the types of an aggregate's arguments."""
        return tuple(self._event_type(argument) for argument in feature.arguments)

    def stage_of(self, feature: AggregateFeature) -> StagePlanner:
        """Return the stage that an aggregate belongs to."""
        entity = self._entities[feature.by]
        feed_key = feature.via or entity.key
        known = (feature.by, feed_key)
        if known not in self._stages:
            self._stages[known] = StagePlanner(entity, feed_key, self._schema.kind_index, self.inputs, self._lateness)
        return self._stages[known]

    def _event_type(self, text: str) -> ValueType:
        # An argument is asked for many times; parsing it takes a millisecond.
        if text not in self._event_types:
            self._event_types[text] = self._event_compiler.compile(text, "features").type
        return self._event_types[text]

    def _derive(self, feature: DerivedFeature, path: str) -> None:
        expression = self.compiler().compile(feature.expr, path)
        self._name(feature.name, expression.type)
        self.derived.append((expression, self.rows[feature.name]))

    def _aggregate(self, feature: AggregateFeature) -> None:
        arguments = self.argument_types(feature)
        result = result_type(feature, arguments)
        for name, _ in feature.outputs:
            self._name(name, result)
        self.stage_of(feature).add(feature, arguments, self.rows)

    def _name(self, name: str, value_type: ValueType) -> None:
        self.rows[name] = len(self._types)
        self._types.append(value_type)
        self.names[name] = Variable(value_type, Source.WORK, self.rows[name])
