"""Whether event kinds, lists and entities make sense."""

from __future__ import annotations

from counterfoil.definition.context import Context, written_type
from counterfoil.definition.limits import MAX_LIST_VALUES
from counterfoil.definition.place import NAMES, TITLES, is_name, is_title
from counterfoil.events.kinds import EventKind, Field, FieldType
from counterfoil.rules.types import ValueType

KEY_TYPES = (FieldType.ID, FieldType.CATEGORY, FieldType.CARD, FieldType.INTEGER)
"""What may identify an entity."""


def check_kinds(context: Context) -> None:
    """Check event kinds and their fields, and let everything after them know what can be named."""
    if not context.draft.kinds and not context.draft.broken:
        context.report("events", "no event kind", "at least one event kind")
    if context.draft.kinds and not context.deciding and not context.draft.broken:
        context.report("events", "no kind with decide: true", "at least one kind whose events get a decision")
    seen: set[str] = set()
    times: dict[str, str] = {}
    for path, kind in context.draft.kinds:
        if not is_title(kind.name):
            context.report(path, f'"{kind.name}"', TITLES)
        if kind.name in seen:
            context.report(path, f'"{kind.name}" again', "each event kind once")
        seen.add(kind.name)
        _check_kind(context, path, kind)
        times.setdefault(kind.time, f"{path}.time")
    for time, path in times.items():
        if time in context.columns:
            context.report(path, f'"{time}", a field of another kind', "a name that no field has")
        else:
            context.take(path, time, "the time of an event")
    context.variables = context.variables_of(context.deciding)


def _check_kind(context: Context, path: str, kind: EventKind) -> None:
    roles = {kind.time: "the kind's time"}
    if kind.id is not None:
        if not is_name(kind.id):
            context.report(f"{path}.id", f'"{kind.id}"', NAMES)
        if kind.id == kind.time:
            context.report(f"{path}.id", f'"{kind.id}", the kind\'s time too', "a field of its own")
        roles.setdefault(kind.id, "the kind's id")
    for field in kind.fields:
        place = f"{path}.fields.{field.name}"
        if field.name in roles:
            context.report(place, f'"{field.name}", {roles[field.name]} too', "each field once")
        roles.setdefault(field.name, "another field")
        _check_field(context, place, field)
    for at, name in enumerate(kind.ignore):
        if name in roles:
            context.report(f"{path}.ignore[{at}]", f'"{name}", {roles[name]}', "fields that the kind does not use")


def _check_field(context: Context, path: str, field: Field) -> None:
    first = context.columns[field.name]
    if first is field:
        context.take(path, field.name, "a field")
    elif ValueType.of(first) != ValueType.of(field) or (
        (FieldType.CARD in (first.type, field.type)) and (first.type is not field.type)
    ):
        context.report(path, written_type(field), f"{written_type(first)}, as in the kind before")


def check_lists(context: Context) -> None:
    """Check what lists are of, and how long they are."""
    total = 0
    for path, each in context.draft.lists:
        context.take(path, each.name, "a list")
        total += len(each.values)
        if each.of not in context.columns:
            context.unknown(f"{path}.of", each.of, "a field", context.columns)
        elif context.columns[each.of].type is FieldType.CARD:
            context.report(f"{path}.of", f'"{each.of}": card', "a field of another type: no file may hold card numbers")
    if total > MAX_LIST_VALUES:
        context.report("lists", f"{total:,} values", f"at most {MAX_LIST_VALUES:,} in all lists together")


def check_entities(context: Context) -> None:
    """Check the keys of entities."""
    seen: set[str] = set()
    for path, entity in context.draft.entities:
        if not is_name(entity.name):
            context.report(path, f'"{entity.name}"', NAMES)
        if entity.name in seen:
            context.report(path, f'"{entity.name}" again', "each entity once")
        seen.add(entity.name)
        if not entity.key:
            context.report(path, "no key", "a field, or a list of fields")
        if len(set(entity.key)) < len(entity.key):
            context.report(path, "a field twice", "each field of a key once")
        for name in entity.key:
            _check_key_field(context, path, name)


def _check_key_field(context: Context, path: str, name: str) -> None:
    if name not in context.columns:
        fitting = [each.name for each in context.columns.values() if each.type in KEY_TYPES]
        context.unknown(path, name, "a field", fitting)
    elif context.columns[name].type not in KEY_TYPES:
        context.report(
            path, f'"{name}": {written_type(context.columns[name])}', "a field of type id, category, card or int"
        )
