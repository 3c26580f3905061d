from __future__ import annotations

import pytest

from counterfoil.definition.columns import column_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("amount", {"amount"}),
        ("a + b * a > 3 and c in ('x')", {"a", "b", "c"}),
        ("d in blocked", {"d"}),
        ("hour(event_time)", {"event_time"}),
        ("a +", set()),
        ("", set()),
        ("(" * 500, set()),
    ],
)
def test_names_are_found_without_knowing_them(text: str, names: set[str]) -> None:
    assert column_names(text) - {"blocked"} == names
