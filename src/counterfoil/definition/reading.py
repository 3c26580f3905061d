"""Located nodes to a draft: every part gets its shape; whether the whole makes sense is asked in ``checking``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from counterfoil.definition.columns import column_names
from counterfoil.definition.draft import Draft
from counterfoil.definition.limits import (
    MAX_ENTITIES,
    MAX_FEATURES,
    MAX_FIELDS,
    MAX_KEY_FIELDS,
    MAX_KINDS,
    MAX_LIST_VALUES,
    MAX_LISTS,
    MAX_RULES,
    MAX_SCALE,
    MAX_WINDOWS,
)
from counterfoil.definition.list_files import read_list_file
from counterfoil.definition.model_reading import read_models, read_outliers
from counterfoil.definition.place import Place
from counterfoil.errors import nearest
from counterfoil.events.kinds import EventKind, Field, FieldType, TimeUnit
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Entity, Feature, Window
from counterfoil.features.typing import SIGNATURES, Argument
from counterfoil.rules.definition import Outcome, Policy, Rule, ValueList
from counterfoil.rules.parsing import TEXT_LIMIT

DETECTOR_KEYS = (
    "detector",
    "description",
    "parameters",
    "events",
    "entities",
    "features",
    "rules",
    "lists",
    "policy",
    "models",
    "outliers",
    "max_lateness",
    "max_skew",
    "dedupe",
)
KIND_KEYS = ("id", "time", "decide", "fields", "time_unit", "ignore")
FIELD_KEYS = ("type", "required", "scale", "unit")
FEATURE_KEYS = ("name", "of", "by", "over", "where", "prior", "delay", "resolution", "via")
RULE_KEYS = ("name", "when", "then", "score", "reason", "episode", "quiet")
POLICY_KEYS = ("block", "review", "combine")
LIST_KEYS = ("of", "values", "file")
COMBINE = ("max", "noisy_or")


def read_draft(root: Place, folder: Path | None) -> Draft:
    """Return everything of a definition that can be read; what cannot is in the place's report.

    Parameters
    ----------
    root
        The whole definition.
    folder
        Where the files of lists are looked for; None where a definition may not read files.
    """
    draft = Draft()
    parts = root.entries(DETECTOR_KEYS, ("detector", "events"))
    if parts is None:
        return draft
    if "detector" in parts:
        draft.name = parts["detector"].title() or ""
    if "description" in parts:
        draft.description = parts["description"].text() or ""
    for key in ("max_lateness", "max_skew", "dedupe"):
        length = parts[key].duration() if key in parts else None
        if length is not None:
            setattr(draft, key, length)
    _read_kinds(parts.get("events"), draft)
    _read_entities(parts.get("entities"), draft)
    _read_features(parts.get("features"), draft)
    _read_lists(parts.get("lists"), draft, folder)
    read_models(parts.get("models"), draft)
    read_outliers(parts.get("outliers"), draft)
    _read_rules(parts.get("rules"), draft)
    if "policy" in parts:
        draft.policy = _read_policy(parts["policy"])
    return draft


def _absent(place: Place | None) -> bool:
    return place is None or place.is_nothing


def _read_named(place: Place | None, most: int, what: str) -> dict[str, Place]:
    """Return the entries of an optional mapping whose keys the user chose."""
    if place is None or place.is_nothing:
        return {}
    found = place.named() or {}
    if len(found) > most:
        place.problem(f"at most {most} {what}", found=f"{len(found)} {what}")
    return dict(list(found.items())[:most])


def _read_kinds(place: Place | None, draft: Draft) -> None:
    for name, each in _read_named(place, MAX_KINDS, "event kinds").items():
        kind = _read_kind(name, each)
        if kind is None:
            draft.broken.add(name)
            # Its fields may still be known, so that what mentions them is not reported a second time.
            draft.broken.update(_names_inside(each))
        else:
            draft.kinds.append((each.path, kind))
            draft.broken.update(_names_inside(each) - {field.name for field in kind.fields} - {kind.time})


def _names_inside(place: Place) -> set[str]:
    value = place.node.value
    if not isinstance(value, dict):
        return set()
    names = {node.text for key, node in value.items() if key == "time"}
    fields = value.get("fields")
    if fields is not None and isinstance(fields.value, dict):
        names.update(fields.value)
    return names


def _read_kind(name: str, place: Place) -> EventKind | None:
    parts = place.entries(KIND_KEYS, ("time",))
    if parts is None or "time" not in parts:
        return None
    time = parts["time"].name()
    if time is None:
        return None
    identity = None if _absent(parts.get("id")) else parts["id"].name()
    decide = parts["decide"].boolean() if "decide" in parts else False
    unit = parts["time_unit"].word([each.value for each in TimeUnit]) if "time_unit" in parts else None
    ignore = parts["ignore"].items(MAX_FIELDS, "field names") if "ignore" in parts else []
    fields = [_read_field(key, each) for key, each in _read_named(parts.get("fields"), MAX_FIELDS, "fields").items()]
    return EventKind(
        name,
        tuple(field for field in fields if field is not None),
        identity,
        time,
        bool(decide),
        TimeUnit(unit) if unit else TimeUnit.SECONDS,
        tuple(text for each in ignore if (text := each.text(200)) is not None),
    )


def _read_field(name: str, place: Place) -> Field | None:
    types = [each.value for each in FieldType]
    if not place.is_mapping:
        word = place.word(types)
        return Field(name, FieldType(word)) if word else None
    parts = place.entries(FIELD_KEYS, ("type",))
    if parts is None or "type" not in parts:
        return None
    word = parts["type"].word(types)
    required = parts["required"].boolean() if "required" in parts else False
    scale = parts["scale"].integer(0, MAX_SCALE) if "scale" in parts else 2
    unit = parts["unit"].word([each.value for each in TimeUnit]) if "unit" in parts else "s"
    if word is not None and "scale" in parts and word != FieldType.MONEY:
        parts["scale"].problem("scale only beside type: money")
    if word is not None and "unit" in parts and word != FieldType.TIME:
        parts["unit"].problem("unit only beside type: time")
    if word is None or scale is None or unit is None:
        return None
    return Field(name, FieldType(word), bool(required), scale, TimeUnit(unit))


def _read_entities(place: Place | None, draft: Draft) -> None:
    for name, each in _read_named(place, MAX_ENTITIES, "entities").items():
        key = _read_names(each, MAX_KEY_FIELDS, "field names")
        if key is None:
            draft.broken.add(name)
        else:
            draft.entities.append((each.path, Entity(name, key)))


def _read_names(place: Place, most: int, what: str) -> tuple[str, ...] | None:
    names = [each.name() for each in place.one_or_more(most, what)]
    found = tuple(name for name in names if name is not None)
    return found if found and len(found) == len(names) else None


def _read_features(place: Place | None, draft: Draft) -> None:
    if place is None or place.is_nothing:
        return
    for each in place.items(MAX_FEATURES, "features"):
        feature = _read_feature(each, draft)
        if feature is None:
            draft.broken.update(_outputs_of_broken(each))
        else:
            draft.features.append((each.path, feature))


def _outputs_of_broken(place: Place) -> set[str]:
    """Return the names that a feature would have made."""
    value = place.node.value
    if not isinstance(value, dict) or "name" not in value:
        return set()
    name, over = value["name"].text, value.get("over")
    windows = () if over is None else over.value if isinstance(over.value, tuple) else (over,)
    return {name, *(f"{name}_{window.text}" for window in windows)}


def _read_feature(place: Place, draft: Draft) -> Feature | None:
    if not place.is_mapping:
        place.problem("a mapping such as {name: card_count, count: payment, by: card, over: 24h}")
        return None
    assert isinstance(place.node.value, dict)
    if "expr" in place.node.value:
        return _read_derived(place)
    parts = place.entries((*FEATURE_KEYS, *SIGNATURES, "expr"), ("name", "by"))
    assert parts is not None
    name = parts["name"].name() if "name" in parts else None
    aggregations = [key for key in parts if key in SIGNATURES]
    # Where the aggregation is misspelt, the unknown key says so.
    if len(aggregations) > 1 or (not aggregations and len(parts) == len(place.node.value)):
        found = " and ".join(aggregations) or "no aggregation"
        place.problem(f"exactly one of {', '.join(SIGNATURES)}, or expr", found=found)
    by = parts["by"].name() if "by" in parts else None
    windows = _read_windows(parts["over"], name, draft) if "over" in parts else ()
    where = parts["where"].text(TEXT_LIMIT) if "where" in parts else None
    prior = parts["prior"].boolean() if "prior" in parts else False
    delay = parts["delay"].duration() if "delay" in parts else 0
    resolution = parts["resolution"].duration() if "resolution" in parts else None
    via = _read_names(parts["via"], MAX_KEY_FIELDS, "field names") if "via" in parts else None
    if len(aggregations) != 1:
        return None
    aggregation = aggregations[0]
    arguments = _read_arguments(parts[aggregation], SIGNATURES[aggregation].argument)
    if name is None or by is None or arguments is None or (via is None and "via" in parts):
        return None
    kind = _read_kind_of(parts, aggregation, arguments, draft)
    if kind is None:
        return None
    if SIGNATURES[aggregation].argument is Argument.KIND:
        arguments = ()
    # An option that could not be read is reported: the rest is checked as if it were left out.
    return AggregateFeature(
        name, aggregation, kind, arguments, by, windows, where, bool(prior), delay or 0, resolution, via
    )


def _read_derived(place: Place) -> DerivedFeature | None:
    parts = place.entries(("name", "expr"), ("name",))
    assert parts is not None
    name = parts["name"].name() if "name" in parts else None
    expression = parts["expr"].text(TEXT_LIMIT)
    return DerivedFeature(name, expression) if name is not None and expression is not None else None


def _read_windows(place: Place, name: str | None, draft: Draft) -> tuple[Window, ...]:
    windows: list[Window] = []
    for each in place.one_or_more(MAX_WINDOWS, "windows"):
        length = each.duration()
        if length is None:
            draft.broken.add(f"{name}_{each.node.text}")
        elif length == 0:
            each.problem("a window longer than nothing")
        elif each.node.text in [window.label for window in windows]:
            each.problem("each window once")
        else:
            windows.append(Window(each.node.text, length))
    return tuple(windows)


def _read_arguments(place: Place, argument: Argument) -> tuple[str, ...] | None:
    if argument is not Argument.POSITION:
        if place.is_mapping or place.is_list or place.is_nothing:
            place.problem(argument.value)
            return None
        text = place.text(TEXT_LIMIT)
        return (text,) if text is not None else None
    if not place.is_list or len(place.items(2, "expressions")) != 2:
        place.problem(argument.value)
        return None
    texts = [each.text(TEXT_LIMIT) for each in place.items(2, "expressions")]
    return tuple(text for text in texts if text is not None) if None not in texts else None


def _read_kind_of(parts: dict[str, Place], aggregation: str, arguments: Sequence[str], draft: Draft) -> str | None:
    """Return the event kind that an aggregate reads, from what is stated or from where its fields are."""
    kinds = [kind for _, kind in draft.kinds]
    names = [kind.name for kind in kinds]
    if SIGNATURES[aggregation].argument is Argument.KIND:
        if "of" in parts:
            parts["of"].problem(f"no of: {aggregation} names the kind itself")
        place, stated = parts[aggregation], arguments[0]
    elif "of" in parts:
        place, stated = parts["of"], parts["of"].node.text
    else:
        return _find_kind(parts[aggregation], arguments, draft)
    if stated in names:
        return stated
    if stated not in draft.broken:
        place.problem(f"an event kind: {', '.join(names)}", nearest(stated, names))
    return None


def _find_kind(place: Place, arguments: Sequence[str], draft: Draft) -> str | None:
    kinds = [kind for _, kind in draft.kinds]
    known = {name for kind in kinds for name in _names_of(kind)}
    used = set().union(*(column_names(text) for text in arguments))
    unknown = used - known
    if unknown & draft.broken:
        return None
    if unknown:
        word = sorted(unknown)[0]
        place.problem(f"fields of one event kind: {', '.join(sorted(known))}", nearest(word, known), found=f'"{word}"')
        return None
    fitting = [kind for kind in kinds if used <= _names_of(kind)]
    deciding = [kind for kind in fitting if kind.decide]
    chosen = deciding or fitting
    if len(chosen) == 1:
        return chosen[0].name
    if not chosen:
        place.problem("fields of one event kind", found=f"fields of several: {', '.join(sorted(used))}")
    else:
        place.problem(
            f"a field of one event kind; {', '.join(kind.name for kind in chosen)} have it",
            f"say which: of: {chosen[0].name}",
        )
    return None


def _names_of(kind: EventKind) -> set[str]:
    return {field.name for field in kind.fields} | {kind.time}


def _read_lists(place: Place | None, draft: Draft, folder: Path | None) -> None:
    for name, each in _read_named(place, MAX_LISTS, "lists").items():
        found = _read_list(name, each, folder)
        if found is None:
            draft.broken.add(name)
        else:
            draft.lists.append((each.path, found))


def _read_list(name: str, place: Place, folder: Path | None) -> ValueList | None:
    if not place.is_mapping:
        of = place.name()
        return ValueList(name, of) if of is not None else None
    parts = place.entries(LIST_KEYS, ("of",))
    if parts is None or "of" not in parts:
        return None
    if "values" in parts and "file" in parts:
        place.problem("values or file", found="values and file")
        return None
    of = parts["of"].name()
    values: tuple[str, ...] | None = ()
    if "values" in parts and not parts["values"].is_nothing:
        texts = [each.text(1_000) for each in parts["values"].items(MAX_LIST_VALUES, "values")]
        values = tuple(text for text in texts if text is not None)
    elif "file" in parts:
        values = read_list_file(parts["file"], folder)
    return ValueList(name, of, values) if of is not None and values is not None else None


def _read_rules(place: Place | None, draft: Draft) -> None:
    if place is None or place.is_nothing:
        return
    for each in place.items(MAX_RULES, "rules"):
        rule = _read_rule(each)
        if rule is not None:
            draft.rules.append((each.path, rule))


def _read_rule(place: Place) -> Rule | None:
    parts = place.entries(RULE_KEYS, ("name", "when"))
    if parts is None:
        return None
    name = parts["name"].title() if "name" in parts else None
    when = parts["when"].text(TEXT_LIMIT) if "when" in parts else None
    then = None if _absent(parts.get("then")) else parts["then"].word([each.value for each in Outcome])
    score = parts["score"].number(0, 1) if "score" in parts else 0.0
    reason = "" if _absent(parts.get("reason")) else parts["reason"].text(1_000)
    episode = None if _absent(parts.get("episode")) else parts["episode"].name()
    quiet = parts["quiet"].duration() if "quiet" in parts else Rule("", "").quiet
    if name is None or when is None:
        return None
    return Rule(
        name,
        when,
        Outcome(then) if then else None,
        score or 0.0,
        reason or "",
        episode,
        quiet if quiet is not None else Rule("", "").quiet,
    )


def _read_policy(place: Place) -> Policy:
    parts = place.entries(POLICY_KEYS) or {}
    default = Policy()
    combine = parts["combine"].word(COMBINE) if "combine" in parts else default.combine
    return Policy(
        _read_threshold(parts.get("block"), default.block),
        _read_threshold(parts.get("review"), default.review),
        combine or default.combine,
    )


def _read_threshold(place: Place | None, default: str | None) -> str | None:
    if place is None:
        return default
    return None if place.is_nothing else place.text(TEXT_LIMIT)
