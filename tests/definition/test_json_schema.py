"""The JSON Schema against all built-in detectors, and against what ``check`` refuses for its shape."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
import yaml

from counterfoil.definition import reading
from counterfoil.definition.json_schema import json_schema
from counterfoil.definition.model_reading import MODEL_KEYS
from counterfoil.definition.writing import write_detector
from counterfoil.detector_file import load_detector
from counterfoil.detectors import builtin_names, builtin_path
from counterfoil.features.typing import SIGNATURES

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "enum", "const", "pattern", "maxLength", "minimum",
    "maximum", "properties", "required", "additionalProperties", "maxProperties", "items", "minItems", "maxItems",
    "anyOf", "oneOf",
}  # fmt: skip


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Validate the part of JSON Schema that is used here."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema and not accepts(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root):
        return False
    types = schema.get("type", list(TYPES))
    types = types if isinstance(types, list) else [types]
    is_bool = isinstance(value, bool)
    if not any(isinstance(value, TYPES[each]) and (not is_bool or each == "boolean") for each in types):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "anyOf" in schema and not any(accepts(each, value, root) for each in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(accepts(each, value, root) for each in schema["oneOf"]) != 1:
        return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None and len(value) <= schema.get("maxLength", 10**9)
    if isinstance(value, dict):
        return _accepts_object(schema, value, root)
    if isinstance(value, list):
        inside = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)
        return inside and all(accepts(schema.get("items", {}), each, root) for each in value)
    if isinstance(value, int | float) and not is_bool:
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def _accepts_object(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any]) -> bool:
    properties = schema.get("properties", {})
    other = schema.get("additionalProperties", {})
    if not set(schema.get("required", ())) <= set(value) or len(value) > schema.get("maxProperties", 10**9):
        return False
    if other is False and not set(value) <= set(properties):
        return False
    return all(
        accepts(properties.get(key, other if isinstance(other, dict) else {}), each, root)
        for key, each in value.items()
    )


SCHEMA = json_schema()


@pytest.mark.parametrize("name", builtin_names())
def test_every_built_in_is_accepted_as_it_stands_and_as_it_is_written(name: str) -> None:
    assert accepts(SCHEMA, yaml.safe_load(builtin_path(name).read_text()), SCHEMA)
    assert accepts(SCHEMA, yaml.safe_load(write_detector(load_detector(name))), SCHEMA)


SMALL = {"detector": "d", "events": {"p": {"time": "t", "decide": True, "fields": {"c": "id"}}}}


@pytest.mark.parametrize(
    "part",
    [
        {"detector": "a b"},
        {"events": []},
        {"events": {"p": {}}},
        {"events": {"p": {"time": "t", "fields": {"a": "mony"}}}},
        {"events": {"p": {"time": "t", "fields": {"a": {"type": "money", "scale": 9}}}}},
        {"evnts": {}},
        {"models": {"m": {}}},
        {"models": {"m": "payments"}},
        {"models": {"m": {"use": "payments@1", "share": 2}}},
        {"features": [{"name": "f", "count": "p"}]},
        {"features": [{"name": "f", "count": "p", "sum": "x", "by": "c"}]},
        {"features": [{"name": "f", "by": "c"}]},
        {"features": [{"name": "f", "count": "p", "by": "c", "over": "5x"}]},
        {"features": [{"name": "f", "distance": "x", "by": "c"}]},
        {"features": [{"name": "f", "expr": "1", "by": "c"}]},
        {"rules": [{"name": "r"}]},
        {"rules": [{"name": "r", "when": "x", "then": "blok"}]},
        {"rules": [{"name": "r", "when": "x", "score": 2}]},
        {"policy": {"combine": "sum"}},
        {"policy": {"blok": "x"}},
        {"lists": {"l": {"values": []}}},
        {"dedupe": "soon"},
    ],
)
def test_what_has_a_wrong_shape_is_refused(part: dict[str, Any]) -> None:
    assert accepts(SCHEMA, SMALL, SCHEMA)
    assert not accepts(SCHEMA, SMALL | part, SCHEMA)


def test_the_schema_knows_every_key_that_is_read() -> None:
    definitions = SCHEMA["$defs"]
    assert set(SCHEMA["properties"]) == set(reading.DETECTOR_KEYS)
    assert set(definitions["model"]["anyOf"][1]["properties"]) == set(MODEL_KEYS)
    assert set(definitions["kind"]["properties"]) == set(reading.KIND_KEYS)
    assert set(definitions["field"]["anyOf"][1]["properties"]) == set(reading.FIELD_KEYS)
    assert set(definitions["feature"]["anyOf"][1]["properties"]) == {*reading.FEATURE_KEYS, *SIGNATURES}
    assert set(definitions["rule"]["properties"]) == set(reading.RULE_KEYS)
    assert set(SCHEMA["properties"]["policy"]["properties"]) == set(reading.POLICY_KEYS)
    assert set(definitions["list"]["anyOf"][1]["properties"]) == set(reading.LIST_KEYS)


def test_it_is_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SCHEMA)) == SCHEMA
