from __future__ import annotations

import re
from pathlib import Path

import pytest

from counterfoil.features.aggregations import AGGREGATIONS
from counterfoil.features.typing import SIGNATURES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"
ROWS = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_every_aggregation_has_its_row_and_its_paragraph(name: str) -> None:
    rows = [row for row in ROWS if f"`{name}`" in row.split("|")[1]]
    assert len(rows) == 1
    assert rows[0].rstrip("| ").endswith("yes") == AGGREGATIONS[name].resolvable
    paragraphs = re.findall(r"^\*\*(.*?)\.?\*\*", PAGE.read_text(), re.MULTILINE)
    assert any(f"`{name}`" in each for each in paragraphs)


def test_what_is_always_about_the_events_before_is_said() -> None:
    always = [name for name, each in AGGREGATIONS.items() if each.about_before]
    assert ", ".join(f"`{name}`" for name in always[:-1]) + f" and `{always[-1]}` are always about" in PAGE.read_text()


def test_every_aggregation_has_a_signature_and_a_name() -> None:
    assert set(AGGREGATIONS) == set(SIGNATURES)
    assert all(name == each.name for name, each in AGGREGATIONS.items())


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(example, str(PAGE), "exec"), namespace)
    assert namespace["rows"] == []
