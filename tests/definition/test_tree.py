from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from counterfoil.definition.tree import MAX_BYTES, MAX_DEPTH, Node, parse, resolve, step
from counterfoil.errors import DefinitionError, Problem


def plain(node: Node) -> Any:
    """Return a node as plain values."""
    if isinstance(node.value, dict):
        return {key: plain(each) for key, each in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(each) for each in node.value]
    return node.value


def message(text: str) -> str:
    with pytest.raises(DefinitionError) as caught:
        parse(text, "x.yaml")
    return str(caught.value)


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        parse(text, "x.yaml")
    except DefinitionError as error:
        return error.problems
    return ()


def test_values_keep_their_lines() -> None:
    root = parse("a: 1\nb:\n  - x\n  - {c: true}\n", "x.yaml")
    assert plain(root) == {"a": 1, "b": ["x", {"c": True}]}
    assert isinstance(root.value, dict)
    items = root.value["b"].value
    assert isinstance(items, tuple)
    assert [item.line for item in items] == [3, 4]


def test_a_word_that_is_false_in_old_yaml_stays_a_word() -> None:
    assert plain(parse("[no, NO, on, off, yes, 10:30, 2026-01-01, 0x10, 007]", "x")) == [
        "no", "NO", "on", "off", "yes", "10:30", "2026-01-01", "0x10", 7,
    ]  # fmt: skip


def test_what_is_written_is_kept_beside_what_it_means() -> None:
    root = parse("[007, 1.50, '7']", "x")
    assert isinstance(root.value, tuple)
    assert [node.text for node in root.value] == ["007", "1.50", "7"]
    assert [node.value for node in root.value] == [7, 1.5, "7"]


def test_aliases_repeat_a_value() -> None:
    assert plain(parse("a: &x [1, 2]\nb: *x\n", "x")) == {"a": [1, 2], "b": [1, 2]}


def test_empty_text_is_nothing() -> None:
    assert parse("", "x").value is None
    assert parse("# only a comment", "x").value is None


def test_every_duplicate_key_is_named_with_its_line() -> None:
    found = message("a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert found.splitlines()[0].startswith("x.yaml:2 b.c: found the same key twice")
    assert found.splitlines()[1].startswith("x.yaml:3 a: found the same key twice")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "x.yaml:"),
        ("a: b: c", "x.yaml:1"),
        ("\ta: 1", "x.yaml:1"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("a: !!python/object/apply:os.system [ls]", "the tag"),
        ("a: !!str 5", "the tag"),
        ("!!map {a: 1}", "the tag"),
        ("a: *nowhere", "the alias *nowhere"),
        ("a: &x [*x]", "the alias *x"),
        ("? [a, b]\n: 1", "as a key"),
        ("a: &k b\n*k : 1", "an alias as a key"),
        ("a: \x00", "x.yaml"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"nesting deeper than {MAX_DEPTH}"),
        ("[" * 100_000, "x.yaml"),
        ("a" * (MAX_BYTES + 1), "more than 4,194,304 bytes"),
        ("é" * (MAX_BYTES // 2 + 1), "more than 4,194,304 bytes"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_a_place(text: str, expected: str) -> None:
    assert expected in message(text)


def test_the_deepest_that_is_allowed_is_read() -> None:
    parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "x")


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    assert "more than 1,000,000 values" in message("\n".join(lines))


def test_paths_read_like_code() -> None:
    assert step("", "features") == "features"
    assert step(step("features", 3), "over") == "features[3].over"
    assert step("lists", 'a "b".c') == 'lists["a "b".c"]'


@pytest.mark.parametrize("text", ["1e999", "1" * 30, ".", "-", "+", "1e", "0x1F", "nan", ".inf"])
def test_what_is_no_finite_number_of_a_fair_length_is_text_or_a_float(text: str) -> None:
    assert isinstance(resolve(text), str | float)


@given(st.text())
@example("a: 'b\n")
@example("\ud800")
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    assert all(problem.path.startswith("x.yaml") for problem in problems_of(text))


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_what_another_writer_writes_is_read_the_same(value: Any) -> None:
    assert plain(parse(yaml.safe_dump(value), "x")) == value
