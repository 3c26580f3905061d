"""One column of a table to words: by what the column's own type is, and what the detector wants of it."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt
import polars as pl

from counterfoil.events.batch import Bytes, Words
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.frames import read_texts
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import MONEY_LIMIT, TIME_MAX, TIME_MIN, FieldType
from counterfoil.events.mapping import FIELD_TYPES
from counterfoil.events.rows import RAW, Slots, read_word, reason_number
from counterfoil.events.words import PADDING

Flags = npt.NDArray[np.bool_]
Reasons = npt.NDArray[np.uint8]

_WRONG_TYPE = reason_number(ReasonCode.WRONG_TYPE)
_NUMBER_RANGE = reason_number(ReasonCode.NUMBER_RANGE)
_MONEY_RANGE = reason_number(ReasonCode.MONEY_RANGE)
_MONEY_PRECISION = reason_number(ReasonCode.MONEY_PRECISION)
_NEGATIVE_AMOUNT = reason_number(ReasonCode.NEGATIVE_AMOUNT)
_TIME_RANGE = reason_number(ReasonCode.TIME_RANGE)

MONEY_TOLERANCE = 1e-6
"""How far a float may lie from a whole minor unit, in minor units: a sum of floats stays within, 57.165 does not."""
_LOWEST = -(2**63)
_DAY = 86_400_000_000
_UNIT_SCALES = {"ms": 3, "us": 0, "ns": -3}


@dataclass(slots=True)
class WordColumn:
    """A column that holds no text, as words."""

    words: Words
    """(n,): 0 where null or wrong."""
    nulls: Flags
    """(n,): where the source says nothing."""
    reasons: Reasons
    """(n,): why the value cannot be used; 0 where it can."""


def read_column(series: pl.Series, kind: FieldType, scale: int, naive_utc: bool) -> WordColumn:
    """Return a column as the words of a field.

    Parameters
    ----------
    series
        The column.
    kind
        What the field holds; no text.
    scale
        The digits of an amount's minor unit, or the power of ten that turns an epoch number into microseconds.
    naive_utc
        Whether a time as text may lack its zone. Times of a datetime type without a zone are always UTC.
    """
    dtype = series.dtype
    if dtype == pl.Null:
        return _nothing(len(series))
    if isinstance(dtype, pl.Categorical | pl.Enum) or dtype.is_decimal():
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        return _from_text(series, kind, scale, naive_utc)
    nulls = series.is_null().to_numpy()
    words, reasons = np.zeros(len(series), np.int64), np.zeros(len(series), np.uint8)
    column = WordColumn(words, nulls, reasons)
    if dtype.is_temporal() and kind is FieldType.TIME and dtype != pl.Time and dtype != pl.Duration:
        _instants(series, column)
    elif dtype == pl.Boolean and kind is FieldType.BOOL:
        words[:] = series.fill_null(False).to_numpy()
    elif dtype.is_integer():
        _from_integers(series, column, kind, scale)
    elif dtype.is_float():
        _from_floats(series, column, kind, scale)
    else:
        reasons[~nulls] = _WRONG_TYPE
    words[nulls | (reasons != 0)] = 0
    return column


def _nothing(count: int) -> WordColumn:
    return WordColumn(np.zeros(count, np.int64), np.ones(count, np.bool_), np.zeros(count, np.uint8))


def _from_integers(series: pl.Series, column: WordColumn, kind: FieldType, scale: int) -> None:
    """Fill a column from whole numbers of any width."""
    if kind is FieldType.FLOAT:
        column.words.view(np.float64)[:] = series.cast(pl.Float64).fill_null(0.0).to_numpy()
        return
    narrow = series.cast(pl.Int64, strict=False)
    overflow = narrow.is_null().to_numpy() & ~column.nulls
    numbers = narrow.fill_null(0).to_numpy()
    match kind:
        case FieldType.INTEGER:
            # The lowest is refused as in ``parse_scaled``.
            column.reasons[overflow | (numbers == _LOWEST)] = _NUMBER_RANGE
            column.words[:] = numbers
        case FieldType.BOOL:
            column.reasons[overflow | (numbers < 0) | (numbers > 1)] = _WRONG_TYPE
            column.words[:] = numbers
        case FieldType.MONEY:
            limit = MONEY_LIMIT // 10**scale
            column.reasons[overflow | (numbers > limit)] = _MONEY_RANGE
            column.reasons[numbers < 0] = _NEGATIVE_AMOUNT
            column.words[:] = np.where(column.reasons == 0, numbers, 0) * 10**scale
        case _:
            column.reasons[overflow] = _TIME_RANGE
            _scale_instants(numbers, scale, column)


def _from_floats(series: pl.Series, column: WordColumn, kind: FieldType, scale: int) -> None:
    """Fill a column from floats; NaN says nothing, as in the frames that pandas writes."""
    numbers = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    column.nulls = column.nulls | np.isnan(numbers)
    infinite = np.isinf(numbers)
    numbers = np.where(column.nulls | infinite, 0.0, numbers)
    match kind:
        case FieldType.FLOAT:
            column.words.view(np.float64)[:] = numbers
            column.reasons[infinite] = _NUMBER_RANGE
        case FieldType.MONEY:
            epsilon = np.finfo(np.float32 if series.dtype == pl.Float32 else np.float64).eps
            _amounts(numbers, column, scale, float(epsilon))
            column.reasons[infinite] = _MONEY_RANGE
        case FieldType.TIME:
            scaled = np.rint(numbers * 10.0**scale)
            column.reasons[infinite | (scaled < TIME_MIN) | (scaled > TIME_MAX)] = _TIME_RANGE
            column.words[:] = np.where(column.reasons == 0, scaled, 0).astype(np.int64)
        case _:
            whole = (numbers == np.rint(numbers)) & ~infinite
            column.reasons[~whole] = _WRONG_TYPE
            if kind is FieldType.BOOL:
                column.reasons[whole & (numbers != 0.0) & (numbers != 1.0)] = _WRONG_TYPE
            else:
                column.reasons[whole & (np.abs(numbers) >= 2.0**63)] = _NUMBER_RANGE
            column.words[:] = np.where(column.reasons == 0, numbers, 0.0).astype(np.int64)


def _amounts(numbers: npt.NDArray[np.float64], column: WordColumn, scale: int, epsilon: float) -> None:
    """Round amounts to whole minor units, half to even, where they are whole as far as a float can tell."""
    scaled = numbers * 10.0**scale
    whole = np.rint(scaled)
    tolerance = np.maximum(MONEY_TOLERANCE, np.abs(scaled) * (2 * epsilon))
    column.reasons[np.abs(scaled - whole) > tolerance] = _MONEY_PRECISION
    column.reasons[whole > MONEY_LIMIT] = _MONEY_RANGE
    column.reasons[numbers < 0] = _NEGATIVE_AMOUNT
    column.words[:] = np.where(column.reasons == 0, whole, 0.0).astype(np.int64)


def _instants(series: pl.Series, column: WordColumn) -> None:
    """Fill a column from dates and datetimes; those without a zone are UTC."""
    dtype = series.dtype
    numbers = series.to_physical().cast(pl.Int64).fill_null(0).to_numpy()
    if dtype == pl.Date:
        _multiply_instants(numbers, _DAY, column)
    else:
        assert isinstance(dtype, pl.Datetime)
        _scale_instants(numbers, _UNIT_SCALES[dtype.time_unit], column)


def _scale_instants(numbers: Words, scale: int, column: WordColumn) -> None:
    """Turn epoch numbers into microseconds; what is finer is cut off towards the past."""
    if scale < 0:
        column.words[:] = numbers // 10**-scale
        return
    _multiply_instants(numbers, 10**scale, column)


def _multiply_instants(numbers: Words, factor: int, column: WordColumn) -> None:
    column.reasons[(numbers < TIME_MIN // factor) | (numbers > TIME_MAX // factor)] = _TIME_RANGE
    column.words[:] = np.where(column.reasons == 0, numbers, 0) * factor


def _from_text(series: pl.Series, kind: FieldType, scale: int, naive_utc: bool) -> WordColumn:
    """Return a column of text as a delimited line's fields would be read; empty text says nothing."""
    count = len(series)
    offset, length = np.zeros((1, count), np.int64), np.full((1, count), -1, np.int32)
    heap = read_texts([series], [], offset, length, IdentityKey())
    padded_heap = np.zeros(len(heap) + PADDING, np.uint8)
    padded_heap[: len(heap)] = heap
    words, reasons = np.zeros(count, np.int64), np.zeros(count, np.uint8)
    kind_type = FIELD_TYPES.index(kind)
    _read_words(padded_heap, offset[0], length[0], kind_type, scale, naive_utc, Slots.of(1), words, reasons)
    return WordColumn(words, length[0] <= 0, reasons)


@nb.njit(nogil=True, cache=True, _nrt=False)
def _read_words(
    heap: Bytes,
    offset: Words,
    length: npt.NDArray[np.int32],
    kind: int,
    scale: int,
    naive: bool,
    slots: Slots,
    words: Words,
    reasons: Reasons,
) -> None:
    for row in range(len(length)):
        if length[row] > 0:
            slots.start[0] = offset[row]
            slots.end[0] = offset[row] + length[row]
            reason, word = read_word(heap, slots, 0, RAW, kind, scale, naive)
            reasons[row] = reason
            words[row] = 0 if reason else word


def text_of(series: pl.Series) -> tuple[pl.Series, Reasons]:
    """Return a column as texts, and why a value is none: whole numbers are their decimal text."""
    dtype = series.dtype
    reasons = np.zeros(len(series), np.uint8)
    if dtype == pl.String:
        return series, reasons
    if dtype.is_integer() or dtype == pl.Null or isinstance(dtype, pl.Categorical | pl.Enum):
        return series.cast(pl.String), reasons
    if dtype.is_float():
        # Where one number is missing, pandas makes floats of whole numbers.
        numbers = series.cast(pl.Float64).fill_nan(None)
        whole = numbers.cast(pl.Int64, strict=False)
        reasons[((whole.cast(pl.Float64) != numbers).fill_null(True) & numbers.is_not_null()).to_numpy()] = _WRONG_TYPE
        return whole.cast(pl.String), reasons
    reasons[series.is_not_null().to_numpy()] = _WRONG_TYPE
    return pl.Series(series.name, [None] * len(series), dtype=pl.String), reasons
