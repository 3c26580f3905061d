"""The table of functions, and the page that explains it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from counterfoil.rules.functions import FUNCTIONS, TIME_PARTS
from counterfoil.rules.lists import LIST_LIMIT
from counterfoil.rules.parsing import DEPTH_LIMIT, NODE_LIMIT, TEXT_LIMIT
from tests.rules.language import compiler

PAGE = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented(name: str) -> None:
    assert f"`{FUNCTIONS[name].signature}`" in PAGE


def test_every_documented_function_exists() -> None:
    table = PAGE.split("## Functions")[1].split("## Nulls")[0]
    assert set(re.findall(r"`(\w+)\((?!hour from)", table)) == set(FUNCTIONS)


def test_the_limits_are_documented() -> None:
    for limit in (TEXT_LIMIT, DEPTH_LIMIT, NODE_LIMIT, LIST_LIMIT):
        assert f"| {limit:,}" in PAGE


@pytest.mark.parametrize("part", TIME_PARTS)
def test_parts_of_a_time(part: str) -> None:
    assert compiler().compile(f"extract({part} from event_time)", "rule").instructions


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("iff(ok, n, m)", "if(ok, n, m)"),
        ("pow(x, y)", "power(x, y)"),
        ("x ^ y", "power(x, y)"),
        ("x ** y", "power(x, y)"),
        ("ceiling(x)", "ceil(x)"),
        ("log(x)", "log10(x)"),
        ("dow(event_time)", "dayofweek(event_time)"),
        ("weekday(event_time)", "dayofweek(event_time)"),
        ("ifnull(n, m)", "coalesce(n, m)"),
        ("mod(n, m)", "n % m"),
        ("@n", "abs(n)"),
        ("n == m", "n = m"),
        ("n != m", "n <> m"),
        ("n::double", "cast(n as double)"),
    ],
)
def test_other_names(alias: str, name: str) -> None:
    assert compiler().compile(alias, "rule").instructions == compiler().compile(name, "rule").instructions
