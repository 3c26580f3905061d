"""The bounds of what is parsed."""

from __future__ import annotations

import sys

import pytest

from counterfoil.errors import DefinitionError
from counterfoil.rules.parsing import DEPTH_LIMIT, NODE_LIMIT, TEXT_LIMIT, parse
from tests.rules.language import compiler


@pytest.mark.parametrize(
    "text",
    [
        "(" * (DEPTH_LIMIT - 1) + "ok" + ")" * (DEPTH_LIMIT - 1),
        "not " * (DEPTH_LIMIT - 1) + "ok",
        "abs(" * (DEPTH_LIMIT - 1) + "n" + ")" * (DEPTH_LIMIT - 1),
        " or ".join(["ok"] * (NODE_LIMIT // 2)),
        " + ".join(["n"] * (NODE_LIMIT // 2)),
        f"n in ({', '.join(['1'] * 1000)})",
        "n = 1" + " " * (TEXT_LIMIT - 5),
    ],
)
def test_what_is_within_the_limits_compiles(text: str) -> None:
    assert compiler().compile(text, "rule").instructions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(" * DEPTH_LIMIT + "ok" + ")" * DEPTH_LIMIT, "more than 64 operations within each other"),
        ("(" * 2000 + "ok" + ")" * 2000, "more than 64 operations within each other"),
        ("not " * 1000 + "ok", "more than 64 operations within each other"),
        ("- " * 2000 + "n", "more than 64 operations within each other"),
        ("case when ok then " * 100 + "1" + " end" * 100, "more than 64 operations within each other"),
        (" or ".join(["ok"] * (NODE_LIMIT // 2 + 1)), "501 names, constants and operations"),
        ("n = 1" + " " * (TEXT_LIMIT - 4), "4,097 characters"),
    ],
)
def test_what_is_beyond_them_is_refused(text: str, found: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(text, "rule")
    assert caught.value.problems[0].found == found


def test_only_text_is_parsed() -> None:
    with pytest.raises(DefinitionError, match="found 3; allowed: an SQL expression as text"):
        parse(3, "rule")  # type: ignore[arg-type]


def test_the_recursion_limit_is_put_back() -> None:
    before = sys.getrecursionlimit()
    parse("(" * 60 + "ok" + ")" * 60, "rule")
    assert sys.getrecursionlimit() == before
