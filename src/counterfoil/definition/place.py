"""A value of a definition, where it stands, and where its problems go."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from counterfoil.definition.durations import parse_duration
from counterfoil.definition.tree import Node, step
from counterfoil.errors import Problem, nearest

DURATIONS = "a duration such as 500ms, 90s, 10m, 24h or 7d, of a century at most"

NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
"""What fields, features, entities and lists may be called: what an SQL expression takes without quotes."""
TITLE_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
"""What detectors, event kinds and rules may be called."""

NAMES = "a name of letters, digits and _, not beginning with a digit, of 63 characters at most"
TITLES = "a name of letters, digits, _, . and -, of 100 characters at most"

_NAME = re.compile(NAME_PATTERN)
_TITLE = re.compile(TITLE_PATTERN)
_NOT_NAMES = ("true", "false", "null")


@dataclass(slots=True)
class Report:
    """Problems found so far, and the line at which each path stands."""

    problems: list[Problem] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)

    def line(self, path: str) -> int | None:
        """Return the line of a path, or of the nearest thing around it that has one."""
        while path not in self.lines:
            cut = max(path.rfind("."), path.rfind("["))
            if cut <= 0:
                return None
            path = path[:cut]
        return self.lines[path]


@dataclass(frozen=True, slots=True)
class Place:
    """A node, its path, and the report that it belongs to.

    Each reading method returns None after it has reported that the value does not fit.
    """

    node: Node
    path: str
    report: Report

    def __post_init__(self) -> None:
        self.report.lines[self.path] = self.node.line

    def problem(self, allowed: str, hint: str = "", found: str | None = None) -> None:
        """Report that what stands here does not fit."""
        self.report.problems.append(Problem(self.path, found if found is not None else self.found, allowed, hint))

    @property
    def found(self) -> str:
        """What stands here, in words."""
        value = self.node.value
        if isinstance(value, dict):
            return "a mapping" if value else "an empty mapping"
        if isinstance(value, tuple):
            return f"a list of {len(value)}"
        if value is None:
            return "nothing"
        text = self.node.text if len(self.node.text) <= 80 else self.node.text[:77] + "..."
        return f'"{text}"' if isinstance(value, str) else text

    @property
    def is_nothing(self) -> bool:
        """Whether null stands here."""
        return self.node.value is None

    @property
    def is_mapping(self) -> bool:
        """Whether a mapping stands here."""
        return isinstance(self.node.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether a list stands here."""
        return isinstance(self.node.value, tuple)

    def entries(self, allowed: Collection[str], required: Iterable[str] = ()) -> dict[str, Place] | None:
        """Return the entries of a mapping whose keys are known; report the others and those that lack."""
        found = self.named(f"a mapping with {', '.join(allowed)}")
        if found is None:
            return None
        for key in required:
            if key not in found:
                path = step(self.path, key)
                self.report.problems.append(Problem(path, "nothing", f"a value: {key} is required"))
        for key, place in found.items():
            if key not in allowed:
                place.problem(", ".join(allowed), nearest(key, allowed), found=f'the unknown key "{key[:80]}"')
        return {key: place for key, place in found.items() if key in allowed}

    def named(self, allowed: str = "a mapping of names to values") -> dict[str, Place] | None:
        """Return the entries of a mapping with any keys."""
        if not isinstance(self.node.value, dict):
            self.problem(allowed)
            return None
        return {key: Place(node, step(self.path, key), self.report) for key, node in self.node.value.items()}

    def items(self, most: int, what: str) -> list[Place]:
        """Return the items of a list; none where no list stands here."""
        if not isinstance(self.node.value, tuple):
            self.problem(f"a list of {what}")
            return []
        if len(self.node.value) > most:
            self.problem(f"at most {most:,} {what}")
        return [Place(node, step(self.path, at), self.report) for at, node in enumerate(self.node.value[:most])]

    def one_or_more(self, most: int, what: str) -> list[Place]:
        """Return the items of a list, or the one value that stands here without a list."""
        if not self.is_list:
            return [self]
        items = self.items(most, what)
        if not items:
            self.problem(f"one of {what}, or a list of them")
        return items

    def text(self, most: int = 10_000) -> str | None:
        """Return a scalar as it is written."""
        if self.is_mapping or self.is_list or self.is_nothing:
            self.problem("text")
            return None
        if len(self.node.text) > most:
            self.problem(f"text of at most {most:,} characters", found=f"{len(self.node.text):,} characters")
            return None
        return self.node.text

    def name(self) -> str | None:
        """Return a name that an expression can use."""
        return self._matching(is_name, NAMES)

    def title(self) -> str | None:
        """Return a name that only people and files use."""
        return self._matching(is_title, TITLES)

    def _matching(self, fits: object, allowed: str) -> str | None:
        assert callable(fits)
        if self.is_mapping or self.is_list or self.is_nothing or not fits(self.node.text):
            self.problem(allowed)
            return None
        return self.node.text

    def boolean(self) -> bool | None:
        """Return true or false."""
        if not isinstance(self.node.value, bool):
            self.problem("true or false")
            return None
        return self.node.value

    def integer(self, least: int, most: int) -> int | None:
        """Return a whole number within bounds."""
        value = self.node.value
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.problem(f"a whole number from {least} to {most}")
            return None
        return value

    def number(self, least: float, most: float) -> float | None:
        """Return a number within bounds."""
        value = self.node.value
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            self.problem(f"a number from {least:g} to {most:g}")
            return None
        assert math.isfinite(value)
        return float(value)

    def duration(self) -> int | None:
        """Return a length of time in microseconds."""
        if self.node.text == "0":
            return 0
        length = parse_duration(self.node.text)
        if length is None:
            self.problem(DURATIONS)
        return length

    def word(self, words: Collection[str]) -> str | None:
        """Return one of some words."""
        if isinstance(self.node.value, dict | tuple) or self.node.text not in words:
            text = "" if isinstance(self.node.value, dict | tuple) else self.node.text
            self.problem(", ".join(words), nearest(text, words))
            return None
        return self.node.text


def is_name(text: str) -> bool:
    """Whether a field, feature, entity or list may be called so."""
    return _NAME.fullmatch(text) is not None and text.lower() not in _NOT_NAMES


def is_title(text: str) -> bool:
    """Whether a detector, event kind or rule may be called so."""
    return _TITLE.fullmatch(text) is not None
