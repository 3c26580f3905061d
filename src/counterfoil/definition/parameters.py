"""Parameters: values that stand in a definition as ``${name}`` and that a user may set without editing the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from counterfoil.definition.tree import Node, resolve, step
from counterfoil.errors import ConfigurationError, Problem, nearest

ParameterValue = str | int | float | bool
"""What a parameter may be."""

_PLACE = re.compile(r"\$(?P<escaped>\$)\{|\$\{(?P<name>[^{}]*)\}")
"""A parameter's place, or ``$${``, which stands for the text ``${``."""


def parse_parameters(settings: Iterable[str]) -> dict[str, ParameterValue]:
    """Return the parameters that ``name=value`` texts (of ``--set``) state.

    Examples
    --------
    >>> parse_parameters(["window=10m", "limit=10000"])
    {'window': '10m', 'limit': '10000'}
    """
    found: dict[str, ParameterValue] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(f'--set: found "{setting}"; allowed: name=value')
        found[name.strip()] = value.strip()
    return found


def fill_in(root: Node, given: Mapping[str, ParameterValue], problems: list[Problem]) -> Node:
    """Return the tree with every ``${name}`` replaced, and without its ``parameters`` entry.

    Parameters
    ----------
    root
        The definition.
    given
        Values that take the place of those in the definition's ``parameters``.
    problems
        Where unknown names go.
    """
    if not isinstance(root.value, dict):
        return root
    values = _parameter_nodes(root.value.get("parameters"), problems)
    for name, value in given.items():
        if name not in values:
            allowed = ", ".join(values) or "none: this definition has no parameters"
            problems.append(Problem(f"parameters.{name}", "an unknown parameter", allowed, nearest(name, values)))
        text = str(value).lower() if isinstance(value, bool) else str(value)
        values[name] = Node(resolve(text), values[name].line if name in values else root.line, text)
    used: set[str] = set()
    entries = {
        key: _replace(node, step("", key), values, used, problems)
        for key, node in root.value.items()
        if key != "parameters"
    }
    unused = [name for name in values if name not in used and name not in given]
    problems.extend(
        Problem(
            f"parameters.{name}", "a parameter that nothing uses", f"a parameter that stands somewhere as ${{{name}}}"
        )
        for name in unused
    )
    return replace(root, value=entries)


def _parameter_nodes(node: Node | None, problems: list[Problem]) -> dict[str, Node]:
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        problems.append(Problem("parameters", "no mapping", "a mapping of names to values"))
        return {}
    for name, each in node.value.items():
        if each.value is None or isinstance(each.value, dict | tuple):
            problems.append(Problem(step("parameters", name), "no single value", "text, a number, true or false"))
    return dict(node.value)


def _replace(node: Node, path: str, values: Mapping[str, Node], used: set[str], problems: list[Problem]) -> Node:
    """Depth is bounded by the parser, so that recursion is safe."""
    if isinstance(node.value, dict):
        return replace(
            node,
            value={key: _replace(each, step(path, key), values, used, problems) for key, each in node.value.items()},
        )
    if isinstance(node.value, tuple):
        return replace(
            node,
            value=tuple(_replace(each, step(path, at), values, used, problems) for at, each in enumerate(node.value)),
        )
    if "${" not in node.text:
        return node
    names = [match["name"] for match in _PLACE.finditer(node.text) if not match["escaped"]]
    for name in names:
        if name not in values:
            allowed = ", ".join(values) or "none: this definition has no parameters"
            problems.append(Problem(path, f"${{{name}}}, an unknown parameter", allowed, nearest(name, values)))
    used.update(names)
    if any(name not in values for name in names):
        return node
    whole = _PLACE.fullmatch(node.text)
    if whole is not None and whole["name"] is not None:
        return replace(values[whole["name"]], line=node.line)
    text = _PLACE.sub(lambda match: "${" if match["escaped"] else values[match["name"]].text, node.text)
    return replace(node, value=resolve(text) if node.plain else text, text=text)
