"""The settings of a run as a JSON Schema, made from their declaration: for editors to complete and to check them."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from counterfoil.config import RunConfig, Secret

Schema = dict[str, Any]

_PLAIN: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def run_schema() -> Schema:
    """Return the JSON Schema (2020-12) of the configuration of ``counterfoil run``.

    Examples
    --------
    >>> "source" in run_schema()["properties"]
    True
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "counterfoil run",
        **_section(RunConfig),
    }


def setting_documentation(section: type[Any]) -> dict[str, str]:
    """Return what stands under each field of a section, as one line of text.

    Python keeps no docstring of a field, so it is read from the source.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for first, second in itertools.pairwise(body):
        if (
            isinstance(first, ast.AnnAssign)
            and isinstance(first.target, ast.Name)
            and isinstance(second, ast.Expr)
            and isinstance(second.value, ast.Constant)
        ):
            found[first.target.id] = " ".join(str(second.value.value).split())
    return found


def _section(section: type[Any]) -> Schema:
    hints, documentation = get_type_hints(section), setting_documentation(section)
    properties, required = {}, []
    for each in fields(section):
        described = {"description": documentation.get(each.name, "")} | _value(hints[each.name], each)
        properties[each.name] = described
        if each.default is MISSING and each.default_factory is MISSING:
            required.append(each.name)
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": required} if required else {})


def _value(hint: Any, declared: Field[Any]) -> Schema:
    if get_origin(hint) in (Union, types.UnionType):
        inner = next(each for each in get_args(hint) if each is not type(None))
        return _value(inner, declared)
    if hint is Secret:
        return {"type": "string", "minLength": 1}
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        items = {"type": _PLAIN[inner]} if inner in _PLAIN else _section(inner)
        return {"type": "array", "items": items}
    if get_origin(hint) in (Mapping, dict):
        return {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
    if isinstance(hint, type) and is_dataclass(hint):
        return _section(hint)
    return _plain(hint, declared)


def _plain(hint: Any, declared: Field[Any]) -> Schema:
    metadata = declared.metadata
    # An environment variable may stand for a number, too.
    found: Schema = {"type": _PLAIN[hint] if hint is str else [_PLAIN[hint], "string"]}
    if metadata.get("choices"):
        found["enum"] = list(metadata["choices"])
    for name in ("minimum", "maximum"):
        if metadata.get(name) is not None:
            found[name] = metadata[name]
    if declared.default is not MISSING and declared.default is not None:
        found["default"] = declared.default
    return found
