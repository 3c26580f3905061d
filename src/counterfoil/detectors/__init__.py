"""The built-in detectors: definitions like any other, each with a page of documentation and example data.

The code knows none of them; this module only finds their files.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def builtin_names() -> tuple[str, ...]:
    """Return the names of all built-in detectors.

    Examples
    --------
    >>> "payments" in builtin_names()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def builtin_path(name: str) -> Path:
    """Return the file of a built-in detector."""
    return _FOLDER / f"{name}.yaml"


def example_path(name: str) -> Path:
    """Return the example data of a built-in detector."""
    return next(iter(sorted((_FOLDER / "examples").glob(f"{name}.*"))))
