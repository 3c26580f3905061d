"""A JSON Schema of the definition, for editors: completion, hover texts and red underlines while typing.

It knows shapes and words. What depends on the rest of the definition (names, types, expressions) is for ``check``.
"""

from __future__ import annotations

from typing import Any

from counterfoil.definition.durations import DURATION_PATTERN
from counterfoil.definition.limits import (
    MAX_ENTITIES,
    MAX_FEATURES,
    MAX_FIELDS,
    MAX_KEY_FIELDS,
    MAX_KINDS,
    MAX_LIST_VALUES,
    MAX_LISTS,
    MAX_MODELS,
    MAX_OUTLIERS,
    MAX_RULES,
    MAX_SCALE,
    MAX_WINDOWS,
)
from counterfoil.definition.place import NAME_PATTERN, TITLE_PATTERN
from counterfoil.events.kinds import FieldType, TimeUnit
from counterfoil.features.typing import SIGNATURES, Argument
from counterfoil.models.definition import REFERENCE_PATTERN
from counterfoil.rules.definition import Outcome
from counterfoil.rules.parsing import TEXT_LIMIT

Schema = dict[str, Any]

_PLACE = r"\$\{[^{}]*\}"
"""A parameter's place: it may stand for any scalar."""


def json_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a detector's YAML."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "counterfoil detector",
        "description": "What flows, what is kept about whom, and what becomes of it.",
        **_object(_detector(), ("detector", "events")),
        "$defs": {
            "name": _pattern(NAME_PATTERN, "A name of letters, digits and _."),
            "title": _pattern(TITLE_PATTERN, "A name of letters, digits, _, . and -."),
            "duration": {"anyOf": [_pattern(DURATION_PATTERN, "500ms, 90s, 10m, 24h, 7d, 2w"), {"const": 0}]},
            "expression": {
                "type": ["string", "number", "boolean"],
                "maxLength": TEXT_LIMIT,
                "description": "An SQL expression over fields and features.",
            },
            "boolean": {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": f"^{_PLACE}$"}]},
            "scalar": {"type": ["string", "number", "boolean"]},
            "names": _one_or_more(_ref("name"), MAX_KEY_FIELDS),
            "field": {"anyOf": [_words(FieldType), _object(_field(), ("type",))]},
            "kind": _object(_kind(), ("time",)),
            "feature": {"anyOf": [_object(_derived(), ("name", "expr")), _aggregate()]},
            "rule": _object(_rule(), ("name", "when")),
            "model": _model(),
            "list": {"anyOf": [_ref("name"), _object(_list(), ("of",))]},
        },
    }


def _ref(name: str, description: str = "") -> Schema:
    reference = {"$ref": f"#/$defs/{name}"}
    return {**reference, "description": description} if description else reference


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _map(values: Schema, most: int, description: str) -> Schema:
    return {
        "type": ["object", "null"],
        "additionalProperties": values,
        "maxProperties": most,
        "description": description,
    }


def _array(items: Schema, most: int, description: str) -> Schema:
    return {"type": ["array", "null"], "items": items, "maxItems": most, "description": description}


def _one_or_more(item: Schema, most: int) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1, "maxItems": most}]}


def _pattern(pattern: str, description: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern}|.*{_PLACE}.*)$", "description": description}


def _words(words: type[FieldType] | type[TimeUnit] | type[Outcome]) -> Schema:
    return {"enum": [each.value for each in words]}


def _detector() -> Schema:
    return {
        "detector": _ref("title", "The detector's name; its version is the name and a hash of the content."),
        "description": {"type": ["string", "null"], "description": "For people; no part of the version."},
        "parameters": _map(_ref("scalar"), MAX_FIELDS, "Values that stand elsewhere as ${name}; --set changes them."),
        "events": _map(_ref("kind"), MAX_KINDS, "Event kinds: what flows in."),
        "entities": _map(_ref("names"), MAX_ENTITIES, "What features are kept for: the field or fields of each key."),
        "features": _array(_ref("feature"), MAX_FEATURES, "Aggregates over the past, and features derived from them."),
        "lists": _map(_ref("list"), MAX_LISTS, "Values that conditions ask for: device_id in blocked_devices."),
        "models": _map(_ref("model"), MAX_MODELS, "Models whose scores rules and policy use: NAME_score."),
        "outliers": _map(
            _one_or_more(_ref("name"), MAX_FEATURES),
            MAX_OUTLIERS,
            "Online outlier scores over features and fields: NAME_score, a rank from 0 to 1.",
        ),
        "rules": _array(_ref("rule"), MAX_RULES, "Conditions with consequences."),
        "policy": _object(_policy()),
        "max_lateness": _ref(
            "duration", "Events older than this, seen from their entity's newest, are marked late (7d)."
        ),
        "max_skew": _ref("duration", "Events further than this in the future are dead letters (1d)."),
        "dedupe": _ref("duration", "An id seen again within this time is a duplicate; 0 for never (1d)."),
    }


def _kind() -> Schema:
    return {
        "id": {"anyOf": [_ref("name"), {"type": "null"}], "description": "The field that holds the event's id."},
        "time": _ref("name", "The field that holds the event's time."),
        "decide": _ref("boolean", "Whether each event gets a decision; the others only feed features."),
        "fields": _map(_ref("field"), MAX_FIELDS, "What it carries beside id and time."),
        "time_unit": {**_words(TimeUnit), "description": "What a number in the time field counts (s)."},
        "ignore": {
            "type": "array",
            "items": {"type": "string"},
            "maxItems": MAX_FIELDS,
            "description": "Fields that are known and not used.",
        },
    }


def _field() -> Schema:
    return {
        "type": _words(FieldType),
        "required": _ref("boolean", "Whether an event without it is a dead letter."),
        "scale": {"type": "integer", "minimum": 0, "maximum": MAX_SCALE, "description": "Decimal digits of money (2)."},
        "unit": {**_words(TimeUnit), "description": "What a number in a time field counts (s)."},
    }


def _derived() -> Schema:
    return {"name": _ref("name"), "expr": _ref("expression", "Over fields, and features defined before.")}


def _aggregate() -> Schema:
    properties: Schema = {"name": _ref("name", "With over, the window follows: card_count_24h.")}
    properties |= {name: _argument(signature.argument) for name, signature in SIGNATURES.items()}
    properties |= {
        "of": _ref("title", "The event kind, where the fields do not tell."),
        "by": _ref("name", "The entity."),
        "via": _ref("names", "Fields under which events are fed, where these are not the entity's key."),
        "over": {**_one_or_more(_ref("duration"), MAX_WINDOWS), "description": "Windows; none for the whole past."},
        "where": _ref("expression", "Only events for which this is true count."),
        "prior": _ref("boolean", "Leave the deciding event itself out."),
        "delay": _ref("duration", "Time that must have passed before an event counts."),
        "resolution": _ref("duration", "Cut times to this, for bounded storage."),
    }
    return {**_object(properties, ("name", "by")), "oneOf": [{"required": [name]} for name in SIGNATURES]}


def _argument(argument: Argument) -> Schema:
    if argument is Argument.KIND:
        return _ref("title", argument.value)
    if argument is Argument.POSITION:
        return {
            "type": "array",
            "items": _ref("expression"),
            "minItems": 2,
            "maxItems": 2,
            "description": argument.value,
        }
    return _ref("expression", argument.value)


def _rule() -> Schema:
    return {
        "name": _ref("title"),
        "when": _ref("expression", "The rule hits where this is true."),
        "then": {"enum": [*(each.value for each in Outcome), None], "description": "The mildest outcome of a hit."},
        "score": {"type": ["number", "string"], "minimum": 0, "maximum": 1, "description": "What a hit is worth."},
        "reason": {"type": ["string", "null"], "description": "For people; {name} becomes a value."},
        "episode": {"anyOf": [_ref("name"), {"type": "null"}], "description": "Whose hits belong to one alert."},
        "quiet": _ref("duration", "Time without a hit after which an episode is over (1d)."),
    }


def _model() -> Schema:
    use = _pattern(REFERENCE_PATTERN, "MODEL@ALIAS or MODEL@NUMBER in the registry: payments@champion.")
    properties = {
        "use": use,
        "share": {"type": ["number", "string"], "minimum": 0, "maximum": 1, "description": "Of the entities of by."},
        "by": _ref("name", "The entity whose key decides who is in the share."),
        "instead_of": _ref("name", "The model that serves the others; the first when left out."),
        "shadow": _ref("boolean", "Score and record it, never act on it."),
        "budget": _ref("duration", "What it may take for 4,096 rows; beyond it, it is fenced off (1s)."),
    }
    return {"anyOf": [use, _object(properties, ("use",))]}


def _policy() -> Schema:
    threshold = {"anyOf": [_ref("expression"), {"type": "null"}]}
    return {
        "block": {**threshold, "description": "Over score, fields and features; null for never (score >= 0.95)."},
        "review": {**threshold, "description": "The same for review (score >= 0.7)."},
        "combine": {"enum": ["max", "noisy_or"], "description": "How the scores of rules that hit become one."},
    }


def _list() -> Schema:
    return {
        "of": _ref("name", "The field whose values it holds."),
        "values": {"type": ["array", "null"], "items": _ref("scalar"), "maxItems": MAX_LIST_VALUES},
        "file": {"type": "string", "description": "A text file beside the definition, one value a line."},
    }
