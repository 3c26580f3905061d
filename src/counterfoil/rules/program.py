"""Several expressions as one program: a flat table that one call of the kernel runs over many rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.rules.expression import Expression
from counterfoil.rules.kernel import COLUMNS, Code, run


@dataclass(frozen=True, slots=True)
class ExpressionProgram:
    """Expressions, assembled: see ``assemble``.

    Parameters
    ----------
    code
        The instructions, as ``kernel.run`` takes them.
    pool
        The constants of all lists.
    registers
        How many registers they use.
    """

    code: Words
    pool: Words
    registers: int

    def run(
        self,
        batch: Batch,
        rows: Words,
        work: Words,
        work_nulls: Bytes,
        threads: ThreadPoolExecutor | None = None,
        parts: int = 1,
    ) -> None:
        """Compute every expression for some rows of a batch.

        Any number of threads may run one program at a time.

        Parameters
        ----------
        batch
            The events.
        rows
            The rows of the batch to compute for.
        work, work_nulls
            (work rows, len(rows)): column ``i`` belongs to ``rows[i]``. Results are written to the rows stated to
            ``assemble``; where a result is null its word is 0.
        threads, parts
            Threads that share the rows, and into how many parts; None for none.
        """
        if len(rows) == 0 or len(self.code) == 0:
            return
        if not (work.flags.carray and work_nulls.flags.carray):
            self._run_on_copy(batch, rows, work, work_nulls)
            return

        def part(begin: int, end: int) -> None:
            run(self.code, self.pool, self.registers, values, nulls, time, taken, work, work_nulls, begin, end)

        values, nulls, time, taken = (_plain(each) for each in (batch.values, batch.nulls, batch.time, rows))
        size = len(rows)
        if threads is None or size < _PARALLEL_MIN:
            part(0, size)
            return
        bounds = [size * number // parts for number in range(parts + 1)]
        helpers = [threads.submit(part, begin, end) for begin, end in pairwise(bounds[1:])]
        # This thread is one of them.
        part(0, bounds[1])
        for helper in helpers:
            helper.result()

    def _run_on_copy(self, batch: Batch, rows: Words, work: Words, work_nulls: Bytes) -> None:
        copy, copy_nulls = np.array(work, order="C"), np.array(work_nulls, order="C")
        self.run(batch, rows, copy, copy_nulls)
        work[...] = copy
        work_nulls[...] = copy_nulls


def _plain(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return the array, or a copy where numba would compile the kernel once more for its layout."""
    return array if array.flags.carray else np.array(array, order="C")


_PARALLEL_MIN = 1024
"""Rows below which handing them to threads costs more than it gains."""


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction over numbered values: value ``i`` is the result of step ``i``."""

    code: Code
    arguments: tuple[int, ...]
    first: int
    second: int


class _Assembler:
    """Puts expressions one after the other. What two of them compute alike is computed once."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.known: dict[tuple[Code, tuple[int, ...], int, int], int] = {}
        self.stored: dict[int, int] = {}
        self.pools: dict[bytes, tuple[int, int]] = {}
        self.pool: list[Words] = []
        self.pool_size = 0

    def add(self, expression: Expression, row: int) -> None:
        """Add one expression, whose value goes to a row of the work matrix."""
        numbers: list[int] = []
        for each in expression.instructions:
            arguments = tuple(numbers[argument] for argument in each.arguments)
            first, second = (each.first, each.second) if each.pool is None else self._place(each.pool)
            numbers.append(self._number(each.code, arguments, first, second))
        self.steps.append(_Step(Code.STORE, (numbers[-1],), row, 0))
        self.stored[row] = numbers[-1]
        # What was loaded from the row before is no longer what stands there.
        self.known.pop((Code.WORK, (), row, 0), None)

    def _number(self, code: Code, arguments: tuple[int, ...], first: int, second: int) -> int:
        if code is Code.WORK and first in self.stored:
            return self.stored[first]
        key = (code, arguments, first, second)
        if key not in self.known:
            self.steps.append(_Step(code, arguments, first, second))
            self.known[key] = len(self.steps) - 1
        return self.known[key]

    def _place(self, pool: Words) -> tuple[int, int]:
        content = pool.tobytes()
        if content not in self.pools:
            self.pools[content] = (self.pool_size, len(pool))
            self.pool.append(pool)
            self.pool_size += len(pool)
        return self.pools[content]


def assemble(items: Sequence[tuple[Expression, int]]) -> ExpressionProgram:
    """Assemble expressions into one program.

    Parameters
    ----------
    items
        Expressions, each with the row of the work matrix for its value. They run in this order: a later one may read
        the row of an earlier one.
    """
    assembler = _Assembler()
    for expression, row in items:
        assembler.add(expression, row)
    steps = assembler.steps
    code = np.zeros((len(steps), COLUMNS), np.int64)
    registers = 0
    for index, (target, operands) in enumerate(_registers(steps)):
        step = steps[index]
        code[index, :2] = step.code, target
        code[index, 2 : 2 + len(operands)] = operands
        code[index, 6:] = step.first, step.second
        registers = max(registers, target + 1)
    pool = np.concatenate([np.zeros(0, np.int64), *assembler.pool])
    return ExpressionProgram(code, pool, registers)


def _registers(steps: Sequence[_Step]) -> Iterator[tuple[int, list[int]]]:
    """Yield the target and operand registers of each step: a register is free again after its value's last use.

    The target is taken before the operands are given back, because the kernel's loops only vectorise where they write
    to none of what they read.
    """
    last_use = {argument: index for index, step in enumerate(steps) for argument in step.arguments}
    free: list[int] = []
    count = 0
    where: dict[int, int] = {}
    for index, step in enumerate(steps):
        operands = [where[argument] for argument in step.arguments]
        target = 0
        if step.code is not Code.STORE:
            if not free:
                free.append(count)
                count += 1
            target = where[index] = free.pop()
        yield target, operands
        free.extend(where.pop(argument) for argument in set(step.arguments) if last_use[argument] == index)
