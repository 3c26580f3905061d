"""A detector to YAML that reads back to an equal value."""

from __future__ import annotations

from io import StringIO
from typing import Any

import yaml

from counterfoil.definition.durations import write_duration
from counterfoil.detector import DAY, Detector
from counterfoil.events.kinds import EventKind, Field, FieldType, TimeUnit
from counterfoil.features.definition import AggregateFeature, DerivedFeature
from counterfoil.features.typing import SIGNATURES, Argument
from counterfoil.models.definition import BUDGET, ModelUse
from counterfoil.rules.definition import Policy, Rule, ValueList

Data = dict[str, Any]
"""Mappings, lists and scalars, as YAML holds them."""

_TEXT_TAG = "tag:yaml.org,2002:str"
_FLOW_FROM = {"events": 4, "features": 2, "rules": 3, "lists": 2, "entities": 2, "policy": 1, "models": 2}
"""From which depth on a part is written on one line."""


def write_detector(detector: Detector) -> str:
    """Return the YAML of a detector.

    ``read_detector`` gives an equal value for it. Comments, parameters and files of lists are not part of a detector
    and so do not come back: what they stood for does.
    """
    data = {key: value for key, value in detector_data(detector).items() if value not in (None, {}, [], "")}
    parts = [_dump({key: value}, _FLOW_FROM.get(key, 9)) for key, value in data.items()]
    return "".join(parts)


def detector_data(detector: Detector) -> Data:
    """Return a detector as plain mappings, lists and scalars, in the shape of its YAML."""
    return {
        "detector": detector.name,
        "description": detector.description,
        "events": {kind.name: _kind(kind) for kind in detector.schema.kinds},
        "entities": {entity.name: _one_or_list(entity.key) for entity in detector.entities},
        "features": [
            _aggregate(feature) if isinstance(feature, AggregateFeature) else _derived(feature)
            for feature in detector.features
        ],
        "lists": {each.name: _list(each) for each in detector.lists},
        "models": {use.name: _model(use) for use in detector.models},
        "outliers": {use.name: list(use.features) for use in detector.outliers},
        "rules": [_rule(rule) for rule in detector.rules],
        "policy": _policy(detector.policy),
        "max_lateness": _unless(detector.max_lateness, 7 * DAY),
        "max_skew": _unless(detector.max_skew, DAY),
        "dedupe": _unless(detector.dedupe, DAY),
    }


def _unless(length: int, default: int) -> str | None:
    return None if length == default else write_duration(length)


def _one_or_list(names: tuple[str, ...]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _kind(kind: EventKind) -> Data:
    data: Data = {"id": kind.id} if kind.id is not None else {}
    data["time"] = kind.time
    if kind.decide:
        data["decide"] = True
    if kind.time_unit is not TimeUnit.SECONDS:
        data["time_unit"] = kind.time_unit.value
    if kind.fields:
        data["fields"] = {field.name: _field(field) for field in kind.fields}
    if kind.ignore:
        data["ignore"] = list(kind.ignore)
    return data


def _field(field: Field) -> str | Data:
    data: Data = {"type": field.type.value}
    if field.required:
        data["required"] = True
    if field.type is FieldType.MONEY and field.scale != 2:
        data["scale"] = field.scale
    if field.type is FieldType.TIME and field.unit is not TimeUnit.SECONDS:
        data["unit"] = field.unit.value
    return data if len(data) > 1 else field.type.value


def _aggregate(feature: AggregateFeature) -> Data:
    data: Data = {"name": feature.name}
    argument = SIGNATURES[feature.aggregation].argument
    if argument is Argument.KIND:
        data[feature.aggregation] = feature.kind
    else:
        data[feature.aggregation] = _one_or_list(feature.arguments)
        data["of"] = feature.kind
    data["by"] = feature.by
    if feature.via is not None:
        data["via"] = _one_or_list(feature.via)
    if feature.over:
        data["over"] = _one_or_list(tuple(window.label for window in feature.over))
    if feature.where is not None:
        data["where"] = feature.where
    if feature.prior:
        data["prior"] = True
    if feature.delay:
        data["delay"] = write_duration(feature.delay)
    if feature.resolution is not None:
        data["resolution"] = write_duration(feature.resolution)
    return data


def _derived(feature: DerivedFeature) -> Data:
    return {"name": feature.name, "expr": feature.expr}


def _list(each: ValueList) -> str | Data:
    return {"of": each.of, "values": list(each.values)} if each.values else each.of


def _model(use: ModelUse) -> str | Data:
    data: Data = {"use": use.use}
    if use.share is not None:
        data |= {"share": use.share, "by": use.by, "instead_of": use.instead_of}
    if use.shadow:
        data["shadow"] = True
    if use.budget != BUDGET:
        data["budget"] = write_duration(use.budget)
    return data if len(data) > 1 else use.use


def _rule(rule: Rule) -> Data:
    data: Data = {"name": rule.name, "when": rule.when}
    if rule.then is not None:
        data["then"] = rule.then.value
    if rule.score:
        data["score"] = rule.score
    if rule.reason:
        data["reason"] = rule.reason
    if rule.episode is not None:
        data["episode"] = rule.episode
    if rule.quiet != Rule("", "").quiet:
        data["quiet"] = write_duration(rule.quiet)
    return data


def _policy(policy: Policy) -> Data:
    default = Policy()
    data: Data = {}
    if policy.block != default.block:
        data["block"] = policy.block
    if policy.review != default.review:
        data["review"] = policy.review
    if policy.combine != default.combine:
        data["combine"] = policy.combine
    return data


def _dump(data: Data, flow_from: int) -> str:
    text: str = yaml.serialize(
        _node(data, flow_from, 0), Dumper=yaml.SafeDumper, width=1_000_000, allow_unicode=True, indent=2
    )
    return text


def _node(value: Any, flow_from: int, depth: int) -> yaml.Node:
    flow = depth >= flow_from
    if isinstance(value, dict):
        pairs = [(_node(str(key), flow_from, depth), _node(each, flow_from, depth + 1)) for key, each in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=flow)
    if isinstance(value, list):
        items = [_node(each, flow_from, depth + 1) for each in value]
        flow = flow or all(isinstance(each, yaml.ScalarNode) for each in items)
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=flow)
    if isinstance(value, str):
        # What would be a parameter must not become one.
        style = '"' if "'" in value or not value.isprintable() else None
        return yaml.ScalarNode(_TEXT_TAG, value.replace("${", "$${"), style=style)
    node: yaml.Node = yaml.SafeDumper(StringIO()).represent_data(value)
    return node
