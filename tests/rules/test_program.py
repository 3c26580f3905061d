"""How programs are assembled and run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.rules.expression import Expression, ExpressionCompiler, Source, Variable
from counterfoil.rules.kernel import BLOCK, Code
from counterfoil.rules.program import ExpressionProgram, assemble
from counterfoil.rules.types import BOOL, INT, Base
from tests.rules.language import KEY, LISTS, SCHEMA, VARIABLES, WORK_ROWS, compiler

TEXTS = (
    "amount > 100 and n % 3 <> 0",
    "amount / nullif(n, 0)",
    "ln(abs(x) + 1) + exp(y / 1e6) + sqrt(abs(y))",
    "distance(x, y, y, x)",
    "power(abs(x), 0.3) * log10(abs(y) + 2)",
    "country in countries or city = 'US'",
    "case when ok then fee else amount * n end",
    "hour(event_time) + dayofweek(event_time) + month(event_time)",
    "round(x, 2)",
    "coalesce(points, amount, 0)",
)


def random_batch(size: int, seed: int = 7) -> Batch:
    random = np.random.default_rng(seed)
    batch = Batch.empty(SCHEMA, size)
    batch.time[:] = random.integers(0, 2**50, size)
    texts = np.array([KEY.hash(text) for text in ("FR", "DE", "US", "x")])
    for index, field in enumerate(SCHEMA.columns):
        base = VARIABLES[field.name].type.base
        words = random.integers(-20_000, 20_000, size)
        if base is Base.FLOAT:
            words = random.normal(0, 1000, size).view(np.int64)
        elif base is Base.BOOL:
            words %= 2
        elif base is Base.TEXT:
            words = texts[words % len(texts)]
        absent = random.random(size) < 0.2
        batch.values[index] = np.where(absent, 0, words)
        batch.nulls[index] = absent
    return batch


def program_of(*texts: str) -> ExpressionProgram:
    return assemble([(compiler().compile(text, "rule"), WORK_ROWS + index) for index, text in enumerate(texts)])


def work_of(results: int, size: int) -> tuple[Words, Bytes]:
    work = np.arange((WORK_ROWS + results) * size, dtype=np.int64).reshape(WORK_ROWS + results, size)
    return work, np.zeros_like(work, np.uint8)


def test_results_do_not_depend_on_the_size_of_the_batch() -> None:
    size = 2 * BLOCK + 77
    program, batch = program_of(*TEXTS), random_batch(size)
    work, nulls = work_of(len(TEXTS), size)
    whole, whole_nulls = work.copy(), nulls.copy()
    program.run(batch, np.arange(size), whole, whole_nulls)
    assert (whole_nulls[WORK_ROWS:] == 0).any(axis=1).all()
    for step in (1, 3, 7, 128, BLOCK, BLOCK + 1):
        for start in range(0, size, step):
            rows = np.arange(start, min(start + step, size))
            part, part_nulls = work[:, rows].copy(), nulls[:, rows].copy()
            program.run(batch, rows, part, part_nulls)
            np.testing.assert_array_equal(part, whole[:, rows])
            np.testing.assert_array_equal(part_nulls, whole_nulls[:, rows])


def test_rows_are_taken_in_the_order_given() -> None:
    program, batch = program_of("n"), random_batch(50)
    rows = np.array([7, 3, 3, 49, 0])
    work, nulls = work_of(1, len(rows))
    program.run(batch, rows, work, nulls)
    at = SCHEMA.column_index["n"]
    np.testing.assert_array_equal(work[WORK_ROWS], batch.values[at, rows])
    np.testing.assert_array_equal(nulls[WORK_ROWS], batch.nulls[at, rows])


def test_later_expressions_read_what_earlier_ones_stored() -> None:
    names = VARIABLES | {"double_n": Variable(INT, Source.WORK, 3), "large": Variable(BOOL, Source.WORK, 4)}
    chained = ExpressionCompiler(names, KEY, LISTS)
    texts = ("n * 2", "double_n > 10", "large and double_n < 100", "double_n + 1")
    program = assemble([(chained.compile(text, "rule"), 3 + index) for index, text in enumerate(texts)])
    batch = Batch.empty(SCHEMA, 4)
    at = SCHEMA.column_index["n"]
    batch.values[at], batch.nulls[at] = [3, 20, 80, 0], [0, 0, 0, 1]
    work, nulls = np.full((7, 4), -1, np.int64), np.full((7, 4), 9, np.uint8)
    program.run(batch, np.arange(4), work, nulls)
    np.testing.assert_array_equal(work[3:], [[6, 40, 160, 0], [0, 1, 1, 0], [0, 1, 0, 0], [7, 41, 161, 0]])
    np.testing.assert_array_equal(nulls[3:], [[0, 0, 0, 1]] * 4)
    assert list(program.code[:, 0]).count(Code.WORK) == 0


def test_a_row_read_before_it_is_written_is_read_again_after() -> None:
    names = {"a": Variable(INT, Source.WORK, 0)}
    both = ExpressionCompiler(names, KEY, {})
    program = assemble([(both.compile(text, "rule"), row) for text, row in (("a + 1", 1), ("a * 10", 0), ("a + 1", 2))])
    work, nulls = np.array([[4], [0], [0]]), np.zeros((3, 1), np.uint8)
    program.run(Batch.empty(SCHEMA, 1), np.arange(1), work, nulls)
    assert work[:, 0].tolist() == [40, 5, 41]


def test_what_is_common_is_computed_once() -> None:
    program = program_of("amount / n > 2", "amount / n > 3", "ok and amount / n > 2")
    codes = list(program.code[:, 0])
    assert codes.count(Code.FLOAT_DIVIDE) == 1
    assert codes.count(Code.FLOAT_LESS) == 2
    assert codes.count(Code.EVENT) == 3


def test_no_target_is_one_of_its_operands_and_registers_are_used_again() -> None:
    program = program_of(*TEXTS)
    operands = {Code.SELECT: 3, Code.DISTANCE: 4}
    for code, target, *columns in program.code.tolist():
        count = 0 if 60 <= code <= 63 else operands.get(Code(code), 1 if code < 30 or code in (67, 68) else 2)
        if code != Code.STORE:
            assert target not in columns[:count]
    assert program.registers < len(program.code) / 2


def test_arrays_of_any_layout_are_served() -> None:
    size = 40
    program, batch = program_of(*TEXTS), random_batch(size)
    expected, expected_nulls = work_of(len(TEXTS), size)
    program.run(batch, np.arange(size), expected, expected_nulls)
    for array in (batch.values, batch.nulls, batch.time):
        array.flags.writeable = False
    odd = Batch(
        SCHEMA, batch.kind, batch.position, batch.time, batch.identity, np.asfortranarray(batch.values), batch.nulls,
        batch.texts,
    )  # fmt: skip
    work, nulls = work_of(len(TEXTS), size)
    wide, wide_nulls = np.repeat(work, 2, axis=1), np.repeat(nulls, 2, axis=1)
    program.run(odd, np.arange(size), wide[:, ::2], wide_nulls[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], expected)
    np.testing.assert_array_equal(wide_nulls[:, ::2], expected_nulls)


def test_threads_share_a_program() -> None:
    size = 3000
    program, batch = program_of(*TEXTS), random_batch(size)
    expected, expected_nulls = work_of(len(TEXTS), size)
    program.run(batch, np.arange(size), expected, expected_nulls)

    def once(_: int) -> bool:
        work, nulls = work_of(len(TEXTS), size)
        program.run(batch, np.arange(size), work, nulls)
        return bool((work == expected).all() and (nulls == expected_nulls).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(once, range(16)))


@pytest.mark.parametrize("texts", [(), ("n > 1",)])
def test_nothing_to_do(texts: tuple[str, ...]) -> None:
    work, nulls = work_of(len(texts), 0)
    program_of(*texts).run(random_batch(3), np.arange(0), work, nulls)


def test_one_pool_holds_each_list_once() -> None:
    program = program_of("country in countries", "city in countries", "n in (3, 1)", "m in (1, 3)")
    assert len(program.pool) == 3 + 2


def test_expressions_are_values() -> None:
    expression = compiler().compile("n > 1", "rule")
    assert isinstance(expression, Expression)
    assert "instructions" not in repr(expression)
