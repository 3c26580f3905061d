from __future__ import annotations

import pytest

from counterfoil.definition.parameters import ParameterValue, fill_in, parse_parameters
from counterfoil.definition.tree import parse
from counterfoil.errors import ConfigurationError, Problem

from .test_tree import plain


def filled(text: str, **given: ParameterValue) -> tuple[object, list[Problem]]:
    problems: list[Problem] = []
    return plain(fill_in(parse(text, "x"), given, problems)), problems


TEXT = """
parameters: {window: 24h, limit: 10000, on: true}
over: ${window}
when: total_${window} > ${limit}
number: ${limit}
flag: ${on}
list: ["${window}", "x ${limit}", 5]
"""


def test_places_take_the_values_of_the_definition() -> None:
    found, problems = filled(TEXT)
    assert not problems
    assert found == {
        "over": "24h",
        "when": "total_24h > 10000",
        "number": 10000,
        "flag": True,
        "list": ["24h", "x 10000", 5],
    }


def test_given_values_win() -> None:
    found, problems = filled(TEXT, window="10m", limit=5, on=False)
    assert not problems
    assert found == {
        "over": "10m",
        "when": "total_10m > 5",
        "number": 5,
        "flag": False,
        "list": ["10m", "x 5", 5],
    }


def test_text_of_the_command_line_becomes_a_number_where_it_is_one() -> None:
    found, _ = filled("parameters: {limit: 1}\na: ${limit}\n", **parse_parameters(["limit=0.5"]))
    assert found == {"a": 0.5}


def test_digits_stay_as_they_are_written() -> None:
    found, _ = filled("parameters: {limit: 10.50}\na: amount > ${limit}\n")
    assert found == {"a": "amount > 10.50"}


def test_two_dollars_stand_for_the_text_itself() -> None:
    assert filled("parameters: {x: 1}\na: '$${x} is ${x}'\nb: $$${x}\n") == ({"a": "${x} is 1", "b": "$${x}"}, [])


@pytest.mark.parametrize(
    ("text", "given", "path", "hint"),
    [
        ("parameters: {window: 1h}\na: ${windw}", {}, "a", 'did you mean "window"?'),
        ("a: [{b: '${window}'}]", {}, "a[0].b", ""),
        ("a: 1", {"window": "1h"}, "parameters.window", ""),
        ("parameters: {window: 1h}\na: ${window}", {"windw": "1h"}, "parameters.windw", 'did you mean "window"?'),
        ("parameters: {window: 1h}", {}, "parameters.window", ""),
        ("parameters: {window: [1h]}\na: ${window}", {}, "parameters.window", ""),
        ("parameters: [1h]", {}, "parameters", ""),
    ],
)
def test_what_does_not_fit_is_reported(text: str, given: dict[str, ParameterValue], path: str, hint: str) -> None:
    _, problems = filled(text, **given)
    assert path in [problem.path for problem in problems]
    assert hint in [problem.hint for problem in problems]


def test_no_mapping_is_left_alone() -> None:
    assert filled("[1, 2]") == ([1, 2], [])


@pytest.mark.parametrize("setting", ["window", "=10m", ""])
def test_settings_without_name_or_value_are_wrong_use(setting: str) -> None:
    with pytest.raises(ConfigurationError, match="name=value"):
        parse_parameters([setting])
