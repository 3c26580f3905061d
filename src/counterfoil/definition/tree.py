"""YAML text to located nodes.

The parser's events are turned into nodes here, without recursion and without constructing anything but text, numbers,
booleans and null. That bounds depth and size (a bomb of aliases included), finds duplicate keys, keeps each value's
line, and reads scalars by the core schema of YAML 1.2, so that the country ``NO`` is not ``false``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from counterfoil.errors import DefinitionError, Problem

MAX_BYTES = 4 * 2**20
"""Largest definition."""
MAX_DEPTH = 32
"""Deepest nesting."""
MAX_NODES = 1_000_000
"""Most values, those that aliases repeat included."""

Scalar = None | bool | int | float | str

_CONSTANTS: dict[str, Scalar] = {"": None, "~": None}
_CONSTANTS |= dict.fromkeys(("null", "Null", "NULL"))
_CONSTANTS |= dict.fromkeys(("true", "True", "TRUE"), True)
_CONSTANTS |= dict.fromkeys(("false", "False", "FALSE"), False)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a definition.

    Parameters
    ----------
    value
        The scalar, the items of a list, or the entries of a mapping.
    line
        Where it begins, from 1.
    text
        A scalar as it is written: ``007`` where the value is 7.
    plain
        Whether a scalar stands without quotes.
    size
        How many nodes it holds, itself included.
    """

    value: Scalar | tuple[Node, ...] | dict[str, Node]
    line: int
    text: str = ""
    plain: bool = True
    size: int = 1


def resolve(text: str) -> Scalar:
    """Return what a scalar without quotes means.

    Examples
    --------
    >>> [resolve(text) for text in ("12", "0.7", "true", "no", "24h", "")]
    [12, 0.7, True, 'no', '24h', None]
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def step(path: str, key: str | int) -> str:
    """Return the path of one entry or item.

    Examples
    --------
    >>> step(step("features", 3), "over"), step("lists", "no name")
    ('features[3].over', 'lists["no name"]')
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.fullmatch(key):
        return f'{path}["{key[:100]}"]'
    return f"{path}.{key}" if path else key


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been seen."""

    path: str
    line: int
    anchor: str | None
    entries: dict[str, Node] | None = None
    items: list[Node] = field(default_factory=list)
    key: str | None = None
    size: int = 1

    @property
    def child_path(self) -> str:
        if self.entries is None:
            return step(self.path, len(self.items))
        return step(self.path, self.key) if self.key is not None else self.path

    def close(self) -> Node:
        value = tuple(self.items) if self.entries is None else self.entries
        return Node(value, self.line, size=self.size)


class _Composer:
    """Events in, one node out; problems beside it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def fail(self, line: int, found: str, allowed: str, hint: str = "") -> DefinitionError:
        """Return the error for something after which reading cannot go on."""
        path = self._stack[-1].child_path if self._stack else ""
        return DefinitionError([*self.problems, Problem(f"{self.source}:{line} {path}".rstrip(), found, allowed, hint)])

    def take(self, event: yaml.Event) -> None:
        """Take one event of the parser."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self.fail(line, "a second document", "one document")
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._anchored(event.anchor or "", line), line)
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event.tag, event.implicit[0] or event.implicit[1], line)
            self._scalar(event, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._check_tag(event.tag, event.implicit, line)
            self._open(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._stack.pop()
            self._anchor(closed.anchor, closed.close(), closed.line)

    def _check_tag(self, tag: str | None, implicit: bool, line: int) -> None:
        if tag is not None and not (implicit and tag == "!"):
            raise self.fail(line, f"the tag {tag}", "values without tags")

    def _anchored(self, anchor: str, line: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            raise self.fail(line, f"the alias *{anchor}", "an alias of a value that ended before it")
        return node

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        plain = event.style in (None, "")
        if top is not None and top.entries is not None and top.key is None:
            self._key(top, event.value, line)
            return
        node = Node(resolve(event.value) if plain else event.value, line, event.value, plain)
        self._anchor(event.anchor, node, line)

    def _key(self, top: _Open, key: str, line: int) -> None:
        assert top.entries is not None
        top.key = key
        if key in top.entries:
            path = step(top.path, key)
            self.problems.append(
                Problem(f"{self.source}:{line} {path}", "the same key twice", "each key once", "remove one of them")
            )

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.entries is not None and top.key is None:
            raise self.fail(line, "a list or mapping as a key", "text as a key", 'put "${name}" into quotes')
        if len(self._stack) >= MAX_DEPTH:
            raise self.fail(line, f"nesting deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels")
        path = top.child_path if top else ""
        entries: dict[str, Node] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        self._stack.append(_Open(path, line, event.anchor, entries))

    def _anchor(self, anchor: str | None, node: Node, line: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._add(node, line)

    def _add(self, node: Node, line: int) -> None:
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if top.entries is not None and top.key is None:
            raise self.fail(line, "an alias as a key", "text as a key")
        top.size += node.size
        if top.size > MAX_NODES:
            raise self.fail(line, f"more than {MAX_NODES:,} values", f"at most {MAX_NODES:,}, repeated ones counted")
        if top.entries is None:
            top.items.append(node)
            return
        assert top.key is not None
        top.entries[top.key] = node
        top.key = None


def parse(text: str, source: str) -> Node:
    """Return the root node of a YAML text.

    Parameters
    ----------
    text
        The definition.
    source
        What to call it in problems: its file name.

    Raises
    ------
    DefinitionError
        When the text is no YAML, or goes beyond a limit, or repeats a key.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="replace")) > MAX_BYTES:
        raise DefinitionError([Problem(source, f"more than {MAX_BYTES:,} bytes", f"at most {MAX_BYTES:,} bytes")])
    composer = _Composer(source)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.YAMLError as error:
        composer.problems.append(_syntax_problem(error, source))
    except UnicodeEncodeError:
        composer.problems.append(Problem(source, "half of a surrogate pair", "Unicode text"))
    if composer.problems:
        raise DefinitionError(composer.problems)
    return composer.root or Node(None, 1)


def _syntax_problem(error: yaml.YAMLError, source: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    found = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    where = f"{source}:{mark.line + 1}" if mark is not None else source
    hint = 'a value such as "${name}" inside [ ] or { } needs quotes' if mark is not None else ""
    return Problem(where, str(found), "YAML", hint)
