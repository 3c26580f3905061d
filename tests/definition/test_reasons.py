from __future__ import annotations

import pytest

from counterfoil.definition.reasons import reason_names


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("", ()),
        ("plain", ()),
        ("{a} and {b}, {a}", ("a", "b", "a")),
        ("{{a}}", ()),
        ("{a", None),
        ("a}", None),
        ("{a!r}", None),
        ("{a:>5}", None),
    ],
)
def test_names_in_braces(template: str, names: tuple[str, ...] | None) -> None:
    assert reason_names(template) == names


def test_attributes_and_indices_are_no_names() -> None:
    assert reason_names("{a.b} {a[0]} {}") == ("a.b", "a[0]", "")
