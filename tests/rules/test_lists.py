"""Lists of values, up to a million."""

from __future__ import annotations

import numpy as np
import pytest

from counterfoil.errors import DefinitionError
from counterfoil.events.batch import Batch
from counterfoil.rules.definition import ValueList
from counterfoil.rules.expression import ExpressionCompiler
from counterfoil.rules.lists import LIST_LIMIT, hash_texts, list_words
from counterfoil.rules.program import assemble
from counterfoil.rules.types import BOOL, FLOAT, INT, INTERVAL, TEXT, TIME, Base, ValueType
from tests.rules.language import KEY, SCHEMA, VARIABLES


def test_texts_hash_as_one_by_one() -> None:
    texts = ("", "a", "é", "12345678", "123456789", "a" * 100)
    assert hash_texts(texts, KEY).tolist() == [KEY.hash(text) for text in texts]
    assert hash_texts((), KEY).tolist() == []
    assert len(hash_texts(("\ud800",), KEY)) == 1


@pytest.mark.parametrize(
    ("value_type", "values", "words"),
    [
        (INT, ("3", "-1", "3"), [-1, 3]),
        (ValueType(Base.MONEY, 2), ("1.5", "-0.01"), [-1, 150]),
        (FLOAT, ("0", "-0.0"), [0]),
        (BOOL, ("true", "False"), [0, 1]),
        (TIME, ("1970-01-01T00:00:01Z",), [1_000_000]),
        (INTERVAL, ("1 minute",), [60_000_000]),
    ],
)
def test_words(value_type: ValueType, values: tuple[str, ...], words: list[int]) -> None:
    assert list_words(ValueList("list", "field", values), value_type, KEY).tolist() == words


@pytest.mark.parametrize(
    ("value_type", "value"),
    [(INT, "1.5"), (INT, "nan"), (FLOAT, "inf"), (FLOAT, "x"), (BOOL, "maybe"), (TIME, "now"), (INTERVAL, "soon")],
)
def test_wrong_values(value_type: ValueType, value: str) -> None:
    with pytest.raises(DefinitionError, match=rf'^lists.list\[0\]: found "{value}"; allowed: a value of {value_type}'):
        list_words(ValueList("list", "field", (value,)), value_type, KEY)


def test_a_million_values() -> None:
    values = tuple(f"device-{index}" for index in range(LIST_LIMIT))
    blocked = ValueList("blocked", "city", values)
    expression = ExpressionCompiler(VARIABLES, KEY, {"blocked": blocked}).compile("city in blocked", "rule")
    batch = Batch.empty(SCHEMA, 4)
    at = SCHEMA.column_index["city"]
    batch.nulls[at] = [0, 0, 0, 1]
    batch.values[at, :3] = [KEY.hash(text) for text in ("device-0", "device-999999", "device-1000000")]
    work, nulls = np.zeros((1, 4), np.int64), np.zeros((1, 4), np.uint8)
    assemble([(expression, 0)]).run(batch, np.arange(4), work, nulls)
    assert work[0].tolist() == [1, 1, 0, 0]
    assert nulls[0].tolist() == [0, 0, 0, 1]
    with pytest.raises(DefinitionError, match="1,000,001 values; allowed: at most 1,000,000 values"):
        list_words(ValueList("blocked", "city", (*values, "one more")), TEXT, KEY)
