"""Whether features make sense, and what type each has."""

from __future__ import annotations

from counterfoil.definition.columns import column_names
from counterfoil.definition.context import Context
from counterfoil.definition.durations import parse_duration
from counterfoil.definition.limits import MAX_FEATURES
from counterfoil.definition.place import DURATIONS
from counterfoil.errors import nearest
from counterfoil.events.kinds import EventKind, FieldType
from counterfoil.features.aggregations import AGGREGATIONS
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Entity
from counterfoil.features.typing import SIGNATURES, Argument, Signature, result_type
from counterfoil.rules.expression import Source, Variable
from counterfoil.rules.types import Base, ValueType


def check_features(context: Context) -> None:
    """Check all features, in order, and let rules and policy know their types."""
    names = [name for _, feature in context.draft.features for name in _outputs(feature)]
    if len(names) > MAX_FEATURES:
        context.report("features", f"{len(names):,} features", f"at most {MAX_FEATURES:,}, each window counted")
    context.later = set(names)
    compiler = context.compiler(context.variables)
    for path, feature in context.draft.features:
        if isinstance(feature, AggregateFeature):
            type_ = _check_aggregate(context, path, feature)
        else:
            type_ = context.compile(compiler, feature.expr, f"{path}.expr", None)
        for name in _outputs(feature):
            context.take(f"{path}.name", name, "a feature")
            context.later.discard(name)
            if type_ is None:
                context.draft.broken.add(name)
            elif name not in context.variables:
                context.variables[name] = Variable(type_, Source.WORK, len(context.variables))


def _check_aggregate(context: Context, path: str, feature: AggregateFeature) -> ValueType | None:
    """Return the feature's type, or None where that cannot be known."""
    signature = SIGNATURES.get(feature.aggregation)
    kind = context.kinds.get(feature.kind)
    entity = context.entities.get(feature.by)
    if signature is None:
        context.unknown(path, feature.aggregation, "an aggregation", SIGNATURES)
    if kind is None:
        context.unknown(f"{path}.of", feature.kind, "an event kind", context.kinds)
    if entity is None:
        context.unknown(f"{path}.by", feature.by, "an entity", context.entities)
    if kind is not None and entity is not None:
        _check_key_of(context, path, feature, kind, entity)
    if signature is None:
        return None
    _check_options(context, path, feature, signature)
    if kind is None:
        return None
    if feature.where is not None:
        context.compile(context.kind_compiler(kind), feature.where, f"{path}.where", Base.BOOL, kind)
    types = _check_arguments(context, path, feature, signature, kind, entity)
    return None if types is None else result_type(feature, types)


def _check_key_of(context: Context, path: str, feature: AggregateFeature, kind: EventKind, entity: Entity) -> None:
    """Check that the kind feeds the entity, and that some decided event asks it."""
    fields = {field.name for field in kind.fields}
    place, names, what = f"{path}.by", entity.key, f"an entity whose key {kind.name} has"
    if feature.via is not None:
        place, names, what = f"{path}.via", feature.via, f"fields that {kind.name} has"
        _check_via(context, path, feature.via, entity)
    for name in names:
        if name not in fields and name not in context.draft.broken:
            context.report(place, f'"{name}", which {kind.name} has not', what, nearest(name, fields))
    if context.deciding and not context.decided_with(entity.key) and not set(entity.key) & context.draft.broken:
        keys = ", ".join(entity.key)
        context.report(
            f"{path}.by", f"{entity.name}, whose key ({keys}) no deciding kind has", "an entity of decided events"
        )


def _check_via(context: Context, path: str, via: tuple[str, ...], entity: Entity) -> None:
    types = [context.columns[name].type for name in via if name in context.columns]
    wanted = [context.columns[name].type for name in entity.key if name in context.columns]
    if len(via) != len(entity.key):
        context.report(f"{path}.via", f"{len(via)} fields", f"{len(entity.key)}, as many as the key of {entity.name}")
    elif len(types) == len(wanted) == len(via) and list(map(_key_class, types)) != list(map(_key_class, wanted)):
        context.report(f"{path}.via", ", ".join(types), f"{', '.join(wanted)}: the types of the key of {entity.name}")


def _check_options(context: Context, path: str, feature: AggregateFeature, signature: Signature) -> None:
    if not signature.windows:
        allowed = f"nothing: {feature.aggregation} is about the whole past"
        for name, given in (("over", feature.over), ("delay", feature.delay), ("resolution", feature.resolution)):
            if given:
                context.report(f"{path}.{name}", f"{name} beside {feature.aggregation}", allowed)
        return
    for window in feature.over:
        if parse_duration(window.label) != window.length or not window.length:
            context.report(f"{path}.over", f'"{window.label}" of {window.length} microseconds', DURATIONS)
    context.check_length(f"{path}.delay", feature.delay)
    if feature.resolution is not None and not AGGREGATIONS[feature.aggregation].resolvable:
        resolvable = ", ".join(name for name, each in AGGREGATIONS.items() if each.resolvable)
        context.report(f"{path}.resolution", f"resolution beside {feature.aggregation}", f"it beside {resolvable}")
    elif feature.resolution is not None:
        shortest = min((window.length for window in feature.over), default=0)
        if not 0 < feature.resolution <= shortest:
            context.report(f"{path}.resolution", "a resolution", "one no longer than the shortest window of over")


def _check_arguments(
    context: Context,
    path: str,
    feature: AggregateFeature,
    signature: Signature,
    kind: EventKind,
    entity: Entity | None,
) -> list[ValueType] | None:
    place = f"{path}.{feature.aggregation}"
    count = {Argument.KIND: 0, Argument.POSITION: 2}.get(signature.argument, 1)
    if len(feature.arguments) != count:
        context.report(place, f"{len(feature.arguments)} arguments", f"{count}: {signature.argument.value}")
        return None
    expect = Base.BOOL if signature.argument is Argument.CONDITION else None
    types: list[ValueType] = []
    for at, text in enumerate(feature.arguments):
        at_path = f"{place}[{at}]" if count > 1 else place
        type_ = context.compile(context.kind_compiler(kind), text, at_path, expect, kind)
        if type_ is None:
            continue
        if type_.base not in signature.accepts:
            allowed = " or ".join(sorted(signature.accepts))
            context.report(at_path, f"{text}: {type_.base}", f"a value of type {allowed}")
            continue
        types.append(type_)
    if signature.asks_event and entity is not None and len(types) == count:
        _check_asked(context, place, feature, entity)
    return types if len(types) == count else None


def _check_asked(context: Context, path: str, feature: AggregateFeature, entity: Entity) -> None:
    names = set(entity.key).union(*(column_names(text) for text in feature.arguments))
    if context.deciding and not context.decided_with(names):
        found = f"{', '.join(sorted(names))}, which no deciding kind has together"
        context.report(path, found, f"fields of decided events: {feature.aggregation} compares them with the past")


def _outputs(feature: AggregateFeature | DerivedFeature) -> list[str]:
    return [name for name, _ in feature.outputs] if isinstance(feature, AggregateFeature) else [feature.name]


def _key_class(type_: FieldType) -> str:
    """Return what must be equal for two fields to hold the same key: ids and categories hash alike, cards do not."""
    return "text" if type_ in (FieldType.ID, FieldType.CATEGORY) else type_.value
