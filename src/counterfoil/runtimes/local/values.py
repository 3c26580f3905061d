"""Words of a column as the values that people read: money in major units, times as RFC 3339."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from counterfoil.rules.types import Base

if TYPE_CHECKING:
    from counterfoil.rules.types import ValueType
    from counterfoil.runtimes.local.arrays import Bytes, Words

_EPOCH = datetime(1970, 1, 1)
EXACT = 10**15 - 1
"""Decimals of up to 15 digits are told apart by the doubles nearest to them, and so print as they are written."""


def column_values(words: Words, nulls: Bytes, value_type: ValueType) -> list[Any]:
    """Return one Python value for each word; null, failed and non-finite values become None."""
    match value_type.base:
        case Base.BOOL:
            values: list[Any] = (words != 0).tolist()
        case Base.FLOAT:
            floats = np.ascontiguousarray(words).view(np.float64)
            nulls = nulls | ~np.isfinite(floats)
            values = floats.tolist()
        case Base.MONEY:
            values = _money(words, value_type.scale)
        case Base.TIME:
            values = [time_text(word) for word in words.tolist()]
        case Base.INTERVAL:
            # An interval is read by people and programs as seconds.
            values = (words / 1_000_000).tolist()
        case _:
            values = words.tolist()
    return [None if null else value for value, null in zip(values, nulls.tolist(), strict=True)]


def time_text(microseconds: int) -> str:
    """Return a time as RFC 3339 with milliseconds, or with microseconds where it has them.

    Examples
    --------
    >>> time_text(1_500_000_000_123_000), time_text(1)
    ('2017-07-14T02:40:00.123Z', '1970-01-01T00:00:00.000001Z')
    """
    text = (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
    return (text[:-3] if microseconds % 1000 == 0 else text) + "Z"


def _money(words: Words, scale: int) -> list[Any]:
    if len(words) and max(int(words.max()), -int(words.min())) > EXACT:
        return [Decimal(word).scaleb(-scale) for word in words.tolist()]
    return (words / 10**scale).tolist()
