"""The compiled program against the slow twin."""

from __future__ import annotations

import math
import re
from typing import Any

from hypothesis import assume, event, given
from hypothesis import strategies as st

from counterfoil.errors import DefinitionError
from counterfoil.rules.expression import Expression
from counterfoil.rules.twin import FAILED, Twin, Value
from counterfoil.rules.types import Base, ValueType
from tests.rules.language import KEY, LISTS, TYPES, compiler, expressions, rows, run, value_of

_ACCEPTED = re.compile("always null|within each other|at most 500|4,096")
_OF = expressions()
EXPRESSIONS = st.one_of(_OF[Base.BOOL], _OF[Base.FLOAT], _OF[Base.MONEY], _OF[Base.BOOL], *_OF.values())


def same(ours: Any, twin: Value, value_type: ValueType) -> bool:
    """Return whether two values are equal: exactly, but for the last bits of transcendental functions."""
    if twin.value is None or twin.value is FAILED:
        return ours is twin.value
    if ours is None or ours is FAILED:
        return False
    if value_type.base is Base.FLOAT:
        return math.isclose(ours, float(twin.value), rel_tol=1e-12, abs_tol=1e-300)
    return ours == (KEY.hash(twin.value) if value_type.base is Base.TEXT else twin.value)


def compile_or_none(text: str) -> Expression | None:
    """Compile; None where the strategy wrote something too large, or something that is always null."""
    try:
        return compiler().compile(text, "rule")
    except DefinitionError as error:
        refused = [problem for problem in error.problems if not _ACCEPTED.search(str(problem))]
        if refused:
            raise
        return None


@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), st.lists(rows(edges=True), min_size=1, max_size=4))
def test_program_gives_the_values_of_the_twin(texts: list[str], data: list[dict[str, Any]]) -> None:
    compiled = [expression for text in texts if (expression := compile_or_none(text)) is not None]
    assume(compiled)
    words, nulls = run(compiled, data)
    twin = Twin(TYPES, LISTS)
    for expression, word_row, null_row in zip(compiled, words, nulls, strict=True):
        expected = twin.evaluate_rows(expression.text, data)
        for word, null, value in zip(word_row, null_row, expected, strict=True):
            ours = value_of(expression.type, word, null)
            event(f"{expression.type} {'failed' if ours is FAILED else 'null' if ours is None else 'value'}")
            assert same(ours, value, expression.type), (expression.text, ours, value)
