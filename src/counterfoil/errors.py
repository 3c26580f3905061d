"""Every error that counterfoil raises on purpose.

::

    CounterfoilError
    ├── DefinitionError      a detector's definition is wrong: every problem at once
    ├── ConfigurationError   a setting is missing or out of bounds
    ├── InputError           a source cannot be read at all (one bad event is a dead letter, not an error)
    ├── StorageError         a stored file is damaged, or was written by somebody else
    │   └── CorruptionError  a checksum does not fit: the bytes are not what was written
    └── LimitError           a stated limit is reached

Each carries ``exit_code``: 2 for wrong use or a wrong definition, 1 for everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


class CounterfoilError(Exception):
    """Root of the tree: catch this to catch everything that counterfoil raises on purpose."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a definition or a configuration.

    Parameters
    ----------
    path
        Where, in the user's words: ``features[3].over``.
    found
        What stands there.
    allowed
        What may stand there.
    hint
        What to do: usually the nearest valid word.
    """

    path: str
    found: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.path}: found {self.found}; allowed: {self.allowed}"
        return f"{text}; {self.hint}" if self.hint else text


def nearest(word: str, words: Iterable[str]) -> str:
    """Return a hint with the nearest valid word, or nothing where none is near.

    Examples
    --------
    >>> nearest("cuont", ["count", "sum"])
    'did you mean "count"?'
    >>> nearest("zebra", ["count", "sum"])
    ''
    """
    found = get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f'did you mean "{found[0]}"?' if found else ""


class DefinitionError(CounterfoilError):
    """A definition is wrong. ``problems`` holds every problem that was found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigurationError(CounterfoilError):
    """A setting is missing, unknown or out of bounds."""

    exit_code = 2


class InputError(CounterfoilError):
    """A source cannot be read at all."""


class StorageError(CounterfoilError):
    """A stored file is damaged, of another version, or of another detector."""


class CorruptionError(StorageError):
    """A checksum does not fit its bytes."""


class LimitError(CounterfoilError):
    """A stated limit is reached; the message names the limit, its value and the setting that raises it."""
