"""The file of a detector: read it, check it, write it.

Examples
--------
>>> payments = load_detector("payments")
>>> read_detector(write_detector(payments), "payments.yaml") == payments
True
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from counterfoil.definition.checking import check
from counterfoil.definition.draft import Draft
from counterfoil.definition.json_schema import json_schema
from counterfoil.definition.parameters import ParameterValue, fill_in, parse_parameters
from counterfoil.definition.place import Place, Report
from counterfoil.definition.reading import read_draft
from counterfoil.definition.tree import MAX_BYTES, parse
from counterfoil.definition.writing import write_detector
from counterfoil.detector import Detector
from counterfoil.detectors import builtin_names, builtin_path
from counterfoil.errors import DefinitionError, Problem, nearest

__all__ = [
    "check_detector",
    "json_schema",
    "load_detector",
    "parse_parameters",
    "read_detector",
    "write_detector",
]


def load_detector(name_or_path: str | Path, parameters: Mapping[str, ParameterValue] | None = None) -> Detector:
    """Return a built-in detector, or the one that a file holds.

    Parameters
    ----------
    name_or_path
        The name of a built-in detector (``payments``), or the path of a YAML file.
    parameters
        Values for the definition's ``${name}``.

    Raises
    ------
    DefinitionError
        With every problem of the definition, or when there is none.
    """
    if isinstance(name_or_path, str) and name_or_path in builtin_names():
        path = builtin_path(name_or_path)
    else:
        path = Path(name_or_path)
    return read_detector(_read_file(path, str(name_or_path)), path.name, parameters, path.parent)


def read_detector(
    text: str,
    source: str = "<text>",
    parameters: Mapping[str, ParameterValue] | None = None,
    folder: Path | None = None,
) -> Detector:
    """Return the detector that a YAML text defines.

    Parameters
    ----------
    text
        The definition.
    source
        What to call it in problems: ``payments.yaml``.
    parameters
        Values for its ``${name}``.
    folder
        Where files of lists are looked for; without it, the definition may not read files.

    Raises
    ------
    DefinitionError
        With every problem of the definition.
    """
    report = Report()
    root = fill_in(parse(text, source), parameters or {}, report.problems)
    draft = read_draft(Place(root, "", report), folder)
    problems = [*report.problems, *check(draft)]
    if problems:
        raise DefinitionError(_located(problems, report, source))
    return draft.finish()


def check_detector(detector: Detector) -> None:
    """Check a detector that was made in Python, as a file would be.

    Raises
    ------
    DefinitionError
        With every problem; the paths are those of the YAML form.
    """
    problems = check(Draft.of(detector))
    if problems:
        raise DefinitionError(problems)


def _located(problems: list[Problem], report: Report, source: str) -> list[Problem]:
    """Put file and line before each path, and the problems into the order of the file."""
    located: list[tuple[int, Problem]] = []
    for each in problems:
        line = report.line(each.path) or 1
        path = f"{source}:{line} {each.path}".rstrip()
        located.append((line, Problem(path, each.found, each.allowed, each.hint)))
    located.sort(key=lambda pair: pair[0])
    return [problem for _, problem in located]


def _read_file(path: Path, given: str) -> str:
    allowed = f"a YAML file, or a built-in detector: {', '.join(builtin_names())}"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            found, allowed = f"more than {MAX_BYTES:,} bytes", f"at most {MAX_BYTES:,} bytes"
            raise DefinitionError([Problem(path.name, found, allowed)])
        return content.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
        raise DefinitionError([Problem(given, reason.lower(), allowed, nearest(given, builtin_names()))]) from None
    except UnicodeDecodeError as error:
        raise DefinitionError([Problem(path.name, f"no UTF-8 at byte {error.start}", "UTF-8 text")]) from None
