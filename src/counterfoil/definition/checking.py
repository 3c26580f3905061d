"""Whether a definition makes sense: names, types, keys and expressions. Every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from counterfoil.definition.columns import column_names
from counterfoil.definition.draft import Draft
from counterfoil.definition.durations import LONGEST, parse_duration
from counterfoil.definition.limits import MAX_FEATURES, MAX_LIST_VALUES
from counterfoil.definition.place import DURATIONS, NAMES, TITLES, is_name, is_title
from counterfoil.definition.reasons import reason_names
from counterfoil.errors import DefinitionError, Problem, nearest
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Entity
from counterfoil.features.typing import SIGNATURES, Argument, Signature, result_type
from counterfoil.rules.definition import Rule, ValueList
from counterfoil.rules.expression import ExpressionCompiler, Source, Variable
from counterfoil.rules.types import FLOAT, TIME, Base, ValueType

RESERVED = ("score",)
"""Names that the policy uses itself."""

KEY_TYPES = (FieldType.ID, FieldType.CATEGORY, FieldType.CARD, FieldType.INTEGER)
"""What may identify an entity."""


def check(draft: Draft) -> list[Problem]:
    """Return everything in a draft that makes no sense, in the order of the definition."""
    return _Checker(draft).run()


class _Checker:
    """One check of one draft: each step adds what it learns for the steps after it."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.problems: list[Problem] = []
        self.schema = Schema(tuple(kind for _, kind in draft.kinds))
        self.kinds: dict[str, EventKind] = {kind.name: kind for _, kind in draft.kinds}
        self.deciding = [kind for _, kind in draft.kinds if kind.decide]
        self.columns: dict[str, Field] = {each.name: each for each in self.schema.columns}
        self.entities: dict[str, Entity] = {entity.name: entity for _, entity in draft.entities}
        self.lists: dict[str, ValueList] = {each.name: each for _, each in draft.lists}
        self.key = IdentityKey()
        self.taken: dict[str, str] = {}
        """Names in lower case, each with what has it."""
        self.variables: dict[str, Variable] = {}
        """What expressions on a deciding event may name."""
        self.later: set[str] = set()
        """Features that are defined, but not yet."""
        self.kind_compilers: dict[str, ExpressionCompiler] = {}

    def run(self) -> list[Problem]:
        if self.draft.name and not is_title(self.draft.name):
            self.report("detector", f'"{self.draft.name}"', TITLES)
        for name in ("max_lateness", "max_skew", "dedupe"):
            self.check_length(name, getattr(self.draft, name))
        self.check_kinds()
        self.check_lists()
        self.check_entities()
        self.check_features()
        self.check_rules()
        self.check_policy()
        # What is wrong with a list is found again by every rule that asks it.
        return list(dict.fromkeys(self.problems))

    def report(self, path: str, found: str, allowed: str, hint: str = "") -> None:
        self.problems.append(Problem(path, found, allowed, hint))

    def unknown(self, path: str, name: str, what: str, known: Iterable[str]) -> None:
        """Report a name that nothing has, unless the thing that should have it is reported already."""
        known = list(known)
        if name not in self.draft.broken:
            allowed = f"{what}: {', '.join(known[:60])}" if known else f"{what}; there is none"
            self.report(path, f'"{name}"', allowed, nearest(name, known))

    def check_length(self, path: str, length: int | None, least: int = 0) -> None:
        if length is not None and not least <= length <= LONGEST:
            self.report(path, f"{length} microseconds", DURATIONS)

    def take(self, path: str, name: str, what: str) -> None:
        """Give a name to one thing; expressions must not have to guess."""
        if not is_name(name):
            self.report(path, f'"{name}"', NAMES)
        elif name.lower() in RESERVED:
            self.report(path, f'"{name}"', "another name", f"{name} is what the policy calls the score")
        elif name.lower() in self.taken:
            self.report(path, f'"{name}"', "a name of its own (case does not count)", self.taken[name.lower()])
        else:
            self.taken[name.lower()] = f"{what} has this name already"

    # --- event kinds -------------------------------------------------------------------------------------------------

    def check_kinds(self) -> None:
        if not self.draft.kinds and not self.draft.broken:
            self.report("events", "no event kind", "at least one event kind")
        if self.draft.kinds and not self.deciding and not self.draft.broken:
            self.report("events", "no kind with decide: true", "at least one kind whose events get a decision")
        times: set[str] = set()
        seen: set[str] = set()
        for path, kind in self.draft.kinds:
            if not is_title(kind.name):
                self.report(path, f'"{kind.name}"', TITLES)
            if kind.name in seen:
                self.report(path, f'"{kind.name}" again', "each event kind once")
            seen.add(kind.name)
            self.check_kind(path, kind)
            times.add(kind.time)
        for time in sorted(times):
            if time in self.columns:
                path, kind = next(pair for pair in self.draft.kinds if pair[1].time == time)
                self.report(f"{path}.time", f'"{time}", a field of another kind', "a name that no field has")
            else:
                self.take(f"{self.path_of_time(time)}.time", time, "the time of an event")
        self.variables = self.variables_of(self.deciding)

    def path_of_time(self, time: str) -> str:
        return next(path for path, kind in self.draft.kinds if kind.time == time)

    def check_kind(self, path: str, kind: EventKind) -> None:
        roles = {kind.time: "the kind's time"}
        if kind.id is not None:
            if not is_name(kind.id):
                self.report(f"{path}.id", f'"{kind.id}"', NAMES)
            if kind.id == kind.time:
                self.report(f"{path}.id", f'"{kind.id}", the kind\'s time too', "a field of its own")
            roles.setdefault(kind.id, "the kind's id")
        for field in kind.fields:
            place = f"{path}.fields.{field.name}"
            if field.name in roles:
                self.report(place, f'"{field.name}", {roles[field.name]} too', "each field once")
            roles.setdefault(field.name, "another field")
            self.check_field(place, field)
        for at, name in enumerate(kind.ignore):
            if name in roles:
                self.report(f"{path}.ignore[{at}]", f'"{name}", {roles[name]}', "fields that the kind does not use")

    def check_field(self, path: str, field: Field) -> None:
        first = self.columns[field.name]
        if first is field:
            self.take(path, field.name, "a field")
        elif ValueType.of(first) != ValueType.of(field) or (
            (FieldType.CARD in (first.type, field.type)) and (first.type is not field.type)
        ):
            self.report(path, _written_type(field), f"{_written_type(first)}, as in the kind before")

    def variables_of(self, kinds: Iterable[EventKind]) -> dict[str, Variable]:
        """Return what expressions over the fields of some kinds may name."""
        variables: dict[str, Variable] = {}
        for kind in kinds:
            for field in kind.fields:
                index = self.schema.column_index[field.name]
                variables[field.name] = Variable(ValueType.of(field), Source.EVENT, index)
            variables[kind.time] = Variable(TIME, Source.TIME, 0)
        return variables

    # --- lists and entities ------------------------------------------------------------------------------------------

    def check_lists(self) -> None:
        total = 0
        for path, each in self.draft.lists:
            self.take(path, each.name, "a list")
            total += len(each.values)
            if each.of not in self.columns:
                self.unknown(f"{path}.of", each.of, "a field", self.columns)
            elif self.columns[each.of].type is FieldType.CARD:
                self.report(
                    f"{path}.of", f'"{each.of}": card', "a field of another type: no file may hold card numbers"
                )
        if total > MAX_LIST_VALUES:
            self.report("lists", f"{total:,} values", f"at most {MAX_LIST_VALUES:,} in all lists together")

    def check_entities(self) -> None:
        seen: set[str] = set()
        for path, entity in self.draft.entities:
            if not is_name(entity.name):
                self.report(path, f'"{entity.name}"', NAMES)
            if entity.name in seen:
                self.report(path, f'"{entity.name}" again', "each entity once")
            seen.add(entity.name)
            if not entity.key:
                self.report(path, "no key", "a field, or a list of fields")
            if len(set(entity.key)) < len(entity.key):
                self.report(path, "a field twice", "each field of a key once")
            for name in entity.key:
                self.check_key_field(path, name)

    def check_key_field(self, path: str, name: str) -> None:
        if name not in self.columns:
            fitting = [each.name for each in self.columns.values() if each.type in KEY_TYPES]
            self.unknown(path, name, "a field", fitting)
        elif self.columns[name].type not in KEY_TYPES:
            self.report(
                path, f'"{name}": {_written_type(self.columns[name])}', "a field of type id, category, card or int"
            )

    def decided_with(self, names: Iterable[str]) -> bool:
        """Whether some deciding kind has all of these fields."""
        wanted = set(names)
        return any(wanted <= _names_of(kind) for kind in self.deciding)

    # --- features ----------------------------------------------------------------------------------------------------

    def check_features(self) -> None:
        names = [name for _, feature in self.draft.features for name in _outputs(feature)]
        if len(names) > MAX_FEATURES:
            self.report("features", f"{len(names):,} features", f"at most {MAX_FEATURES:,}, each window counted")
        self.later = set(names)
        compiler = self.compiler(self.variables)
        for path, feature in self.draft.features:
            if isinstance(feature, AggregateFeature):
                type_ = self.check_aggregate(path, feature)
            else:
                type_ = self.check_derived(path, feature, compiler)
            for name in _outputs(feature):
                self.take(f"{path}.name", name, "a feature")
                self.later.discard(name)
                if type_ is None:
                    self.draft.broken.add(name)
                elif name not in self.variables:
                    self.variables[name] = Variable(type_, Source.WORK, len(self.variables))

    def check_aggregate(self, path: str, feature: AggregateFeature) -> ValueType | None:
        """Return the feature's type, or None where that cannot be known."""
        signature = SIGNATURES.get(feature.aggregation)
        kind = self.kinds.get(feature.kind)
        entity = self.entities.get(feature.by)
        if signature is None:
            self.unknown(path, feature.aggregation, "an aggregation", SIGNATURES)
        if kind is None:
            self.unknown(f"{path}.of", feature.kind, "an event kind", self.kinds)
        if entity is None:
            self.unknown(f"{path}.by", feature.by, "an entity", self.entities)
        if kind is not None and entity is not None:
            self.check_key_of(path, feature, kind, entity)
        if signature is None:
            return None
        self.check_options(path, feature, signature)
        if kind is None:
            return None
        if feature.where is not None:
            self.compile(self.kind_compiler(kind), feature.where, f"{path}.where", Base.BOOL, kind)
        types = self.check_arguments(path, feature, signature, kind, entity)
        return None if types is None else result_type(feature, types)

    def check_key_of(self, path: str, feature: AggregateFeature, kind: EventKind, entity: Entity) -> None:
        """Check that the kind feeds the entity, and that some decided event asks it."""
        for name in feature.via if feature.via is not None else entity.key:
            if name not in _names_of(kind) - {kind.time}:
                place = f"{path}.via" if feature.via is not None else f"{path}.by"
                what = (
                    f"fields that {kind.name} has"
                    if feature.via is not None
                    else f"an entity whose key {kind.name} has"
                )
                if name not in self.draft.broken:
                    self.report(place, f'"{name}", which {kind.name} has not', what, nearest(name, _names_of(kind)))
        if feature.via is not None:
            self.check_via(path, feature.via, entity)
        if self.deciding and not self.decided_with(entity.key) and not set(entity.key) & self.draft.broken:
            keys = ", ".join(entity.key)
            self.report(
                f"{path}.by", f"{entity.name}, whose key ({keys}) no deciding kind has", "an entity of decided events"
            )

    def check_via(self, path: str, via: tuple[str, ...], entity: Entity) -> None:
        types = [self.columns[name].type for name in via if name in self.columns]
        wanted = [self.columns[name].type for name in entity.key if name in self.columns]
        if len(via) != len(entity.key):
            self.report(f"{path}.via", f"{len(via)} fields", f"{len(entity.key)}, as many as the key of {entity.name}")
        elif len(types) == len(wanted) == len(via) and list(map(_key_class, types)) != list(map(_key_class, wanted)):
            self.report(f"{path}.via", ", ".join(types), f"{', '.join(wanted)}: the types of the key of {entity.name}")

    def check_options(self, path: str, feature: AggregateFeature, signature: Signature) -> None:
        if not signature.windows:
            allowed = f"nothing: {feature.aggregation} is about the whole past"
            for name, given in (("over", feature.over), ("delay", feature.delay), ("resolution", feature.resolution)):
                if given:
                    self.report(f"{path}.{name}", f"{name} beside {feature.aggregation}", allowed)
            return
        for window in feature.over:
            if parse_duration(window.label) != window.length or not window.length:
                self.report(f"{path}.over", f'"{window.label}" of {window.length} microseconds', DURATIONS)
        self.check_length(f"{path}.delay", feature.delay)
        if feature.resolution is not None:
            shortest = min((window.length for window in feature.over), default=0)
            if not 0 < feature.resolution <= shortest:
                self.report(f"{path}.resolution", "a resolution", "one no longer than the shortest window of over")

    def check_arguments(
        self, path: str, feature: AggregateFeature, signature: Signature, kind: EventKind, entity: Entity | None
    ) -> list[ValueType] | None:
        place = f"{path}.{feature.aggregation}"
        count = {Argument.KIND: 0, Argument.POSITION: 2}.get(signature.argument, 1)
        if len(feature.arguments) != count:
            self.report(place, f"{len(feature.arguments)} arguments", f"{count}: {signature.argument.value}")
            return None
        expect = Base.BOOL if signature.argument is Argument.CONDITION else None
        types: list[ValueType] = []
        for at, text in enumerate(feature.arguments):
            at_path = f"{place}[{at}]" if count > 1 else place
            type_ = self.compile(self.kind_compiler(kind), text, at_path, expect, kind)
            if type_ is None:
                continue
            if type_.base not in signature.accepts:
                allowed = " or ".join(sorted(signature.accepts))
                self.report(at_path, f"{text}: {type_.base}", f"a value of type {allowed}")
                continue
            types.append(type_)
        if signature.asks_event and entity is not None and len(types) == count:
            self.check_asked(place, feature, entity)
        return types if len(types) == count else None

    def check_asked(self, path: str, feature: AggregateFeature, entity: Entity) -> None:
        names = set(entity.key).union(*(column_names(text) for text in feature.arguments))
        if self.deciding and not self.decided_with(names):
            found = f"{', '.join(sorted(names))}, which no deciding kind has together"
            self.report(path, found, f"fields of decided events: {feature.aggregation} compares them with the past")

    def check_derived(self, path: str, feature: DerivedFeature, compiler: ExpressionCompiler) -> ValueType | None:
        return self.compile(compiler, feature.expr, f"{path}.expr", None)

    # --- rules and policy --------------------------------------------------------------------------------------------

    def check_rules(self) -> None:
        compiler = self.compiler(self.variables)
        seen: set[str] = set()
        for path, rule in self.draft.rules:
            if not is_title(rule.name):
                self.report(f"{path}.name", f'"{rule.name}"', TITLES)
            if rule.name in seen:
                self.report(f"{path}.name", f'"{rule.name}" again', "each rule once")
            seen.add(rule.name)
            self.compile(compiler, rule.when, f"{path}.when", Base.BOOL)
            self.check_rule(path, rule)

    def check_rule(self, path: str, rule: Rule) -> None:
        if not 0 <= rule.score <= 1:
            self.report(f"{path}.score", str(rule.score), "a number from 0 to 1")
        self.check_length(f"{path}.quiet", rule.quiet, 1)
        if rule.episode is not None:
            entity = self.entities.get(rule.episode)
            if entity is None:
                self.unknown(f"{path}.episode", rule.episode, "an entity", self.entities)
            elif self.deciding and not self.decided_with(entity.key) and not set(entity.key) & self.draft.broken:
                self.report(
                    f"{path}.episode", f"{entity.name}, whose key no deciding kind has", "an entity of decided events"
                )
        names = reason_names(rule.reason)
        if names is None:
            self.report(f"{path}.reason", f'"{rule.reason}"', "{name} for values, {{ and }} for braces")
            return
        for name in names:
            variable = self.variables.get(name)
            if variable is None:
                self.unknown(f"{path}.reason", name, "a field or feature in { }", self.variables)
            elif variable.source is Source.WORK and variable.type.base is Base.TEXT:
                self.report(
                    f"{path}.reason", f'"{name}", of which only a hash is kept', "a field, or a feature that is no text"
                )

    def check_policy(self) -> None:
        policy = self.draft.policy
        compiler = self.compiler({**self.variables, "score": Variable(FLOAT, Source.WORK, len(self.variables))})
        for name, text in (("block", policy.block), ("review", policy.review)):
            if text is not None:
                self.compile(compiler, text, f"policy.{name}", Base.BOOL)
        if policy.combine not in ("max", "noisy_or"):
            self.unknown("policy.combine", policy.combine, "one of", ("max", "noisy_or"))

    # --- expressions -------------------------------------------------------------------------------------------------

    def compiler(self, variables: Mapping[str, Variable]) -> ExpressionCompiler:
        return ExpressionCompiler(variables, self.key, self.lists)

    def kind_compiler(self, kind: EventKind) -> ExpressionCompiler:
        if kind.name not in self.kind_compilers:
            self.kind_compilers[kind.name] = self.compiler(self.variables_of([kind]))
        return self.kind_compilers[kind.name]

    def compile(
        self, compiler: ExpressionCompiler, text: str, path: str, expect: Base | None, kind: EventKind | None = None
    ) -> ValueType | None:
        """Return an expression's type, or None where it is wrong or uses something that is."""
        names = column_names(text)
        if names & self.draft.broken:
            return None
        misplaced = self.misplaced(names, kind)
        if misplaced is not None:
            self.report(path, *misplaced)
            return None
        try:
            return compiler.compile(text, path, expect).type
        except DefinitionError as error:
            self.problems.extend(error.problems)
            return None

    def misplaced(self, names: Iterable[str], kind: EventKind | None) -> tuple[str, str] | None:
        """Return what to say about a name that exists, but not here."""
        known = self.variables if kind is None else _names_of(kind)
        for name in sorted(set(names) - set(known) - set(self.lists)):
            if name in self.later:
                return f'"{name}", which is defined later', "fields, and features defined before this one"
            owners = [each.name for each in self.kinds.values() if name in _names_of(each)]
            if owners:
                what = (
                    f"fields of {kind.name}"
                    if kind
                    else f"fields of decided events ({', '.join(_names(self.deciding))})"
                )
                return f'"{name}", which only {" and ".join(owners)} has', what
        return None


def _names(kinds: Iterable[EventKind]) -> list[str]:
    return [kind.name for kind in kinds]


def _names_of(kind: EventKind) -> set[str]:
    return {field.name for field in kind.fields} | {kind.time}


def _outputs(feature: AggregateFeature | DerivedFeature) -> list[str]:
    return [name for name, _ in feature.outputs] if isinstance(feature, AggregateFeature) else [feature.name]


def _written_type(field: Field) -> str:
    return f"{field.type.value} of scale {field.scale}" if field.type is FieldType.MONEY else field.type.value


def _key_class(type_: FieldType) -> str:
    """Return what must be equal for two fields to hold the same key: ids and categories hash alike, cards do not."""
    return "text" if type_ in (FieldType.ID, FieldType.CATEGORY) else type_.value
