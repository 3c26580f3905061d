"""From stored words and from tables to the matrix that models see: the same values, bit for bit.

Every value is reckoned in float64 and rounded to float32 once. Money counts in major units, intervals and times in
seconds, truth as 0 and 1, a text as its number among the signature's values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.errors import InputError, nearest
from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.events.identity import IdentityKey
from counterfoil.models import kernel
from counterfoil.models.signature import Input, Signature
from counterfoil.rules.expression import Source, Variable
from counterfoil.rules.types import Base

_SECOND = 1_000_000


class MatrixPlan:
    """Where each column of a model's matrix comes from.

    Parameters
    ----------
    signature
        What the model expects.
    variables
        What the detector has: its features and the fields of decided events.
    key
        Hashes the values of texts as the decoders do.

    Raises
    ------
    InputError
        If the detector lacks an input, or has it in another type.
    """

    def __init__(self, signature: Signature, variables: Mapping[str, Variable], key: IdentityKey) -> None:
        self._columns = [_column(each, variables) for each in signature.inputs]
        self._codes = {
            at: _codes(each.values, key) for at, each in enumerate(signature.inputs) if each.type == Base.TEXT.value
        }

    def build(self, batch: Batch, rows: Words, work: Words, work_nulls: Bytes) -> kernel.Floats:
        """Return the matrix of some events as (features, rows), NaN for null.

        Parameters
        ----------
        batch
            The events.
        rows
            Which of them.
        work, work_nulls
            (features, at least len(rows)): column ``i`` belongs to ``rows[i]``.
        """
        out = np.empty((len(self._columns), len(rows)), np.float32)
        straight = np.arange(len(rows))
        none = np.zeros(len(batch), np.uint8)
        for at, (variable, how, divisor) in enumerate(self._columns):
            if variable.source is Source.WORK:
                words, nulls, chosen = work[variable.index], work_nulls[variable.index], straight
            elif variable.source is Source.EVENT:
                words, nulls, chosen = batch.values[variable.index], batch.nulls[variable.index], rows
            else:
                words, nulls, chosen = batch.time, none, rows
            if at in self._codes:
                out[at] = self._coded(at, words[chosen], nulls[chosen])
            else:
                kernel.fill_column(
                    np.ascontiguousarray(words), np.ascontiguousarray(nulls), chosen, how, divisor, out[at]
                )
        return out

    def _coded(self, at: int, words: Words, nulls: Bytes) -> npt.NDArray[np.float32]:
        hashes, numbers = self._codes[at]
        place = np.minimum(np.searchsorted(hashes, words), len(hashes) - 1)
        known = (hashes[place] == words) & (nulls == 0)
        return np.where(known, numbers[place], np.float32(np.nan))


class Planner(Protocol):
    """Knows how a model's matrix is made of events: ``decisions.model_scoring.ModelScoring`` is one."""

    def plan(self, signature: Signature, sha256: str = "", /) -> MatrixPlan:
        """Return where its columns come from, or raise InputError where the detector lacks one."""
        ...


def _column(each: Input, variables: Mapping[str, Variable]) -> tuple[Variable, int, float]:
    variable = variables.get(each.name)
    if variable is None:
        hint = nearest(each.name, variables) or "use the detector that it was trained on"
        raise InputError(f'model: needs "{each.name}", which is no feature or field of the detector; {hint}')
    if variable.type.base.value != each.type:
        raise InputError(
            f'model: needs "{each.name}" as {each.type}, and the detector has it as {variable.type}; train it anew'
        )
    if variable.type.base is Base.FLOAT:
        return variable, kernel.FLOAT, 1.0
    if variable.type.base in (Base.INTERVAL, Base.TIME):
        return variable, kernel.NUMBER, float(_SECOND)
    return variable, kernel.NUMBER, float(10**variable.type.scale)


def _codes(values: Sequence[str], key: IdentityKey) -> tuple[Words, npt.NDArray[np.float32]]:
    hashes = np.array([key.hash(value) for value in values], np.int64)
    order = np.argsort(hashes)
    return hashes[order], order.astype(np.float32)


def matrix_of_frame(frame: pl.DataFrame, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
    """Return the matrix of a table whose columns are called as the inputs: what training must use.

    Parameters
    ----------
    frame
        Money in major units, intervals in seconds, times as such: as ``counterfoil backtest --features`` writes it.
    inputs
        The columns, in order.

    Raises
    ------
    InputError
        If a column is missing.
    """
    out = np.empty((len(inputs), frame.height), np.float32)
    for at, each in enumerate(inputs):
        if each.name not in frame.columns:
            raise InputError(f'table: has no column "{each.name}"; {nearest(each.name, frame.columns)}'.rstrip("; "))
        out[at] = _numbers(frame[each.name], each)
    return out.T


def _numbers(series: pl.Series, each: Input) -> npt.NDArray[np.float32]:
    if each.values:
        codes = {value: float(number) for number, value in enumerate(each.values)}
        series = series.cast(pl.String).replace_strict(codes, default=None, return_dtype=pl.Float64)
    elif each.type == Base.TIME.value and series.dtype.is_temporal():
        series = series.cast(pl.Datetime("us")).cast(pl.Int64) / _SECOND
    wide = series.cast(pl.Float64).fill_null(float("nan"))
    return wide.to_numpy().astype(np.float32)
