"""Batches made straight from numpy columns, so that a benchmark measures the detector and not a decoder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Batch
from counterfoil.events.kinds import Schema

Integers = npt.NDArray[np.int64]

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
START = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z in microseconds."""


def identities(numbers: Integers, space: int) -> Integers:
    """Return a well-mixed 64-bit identity for each number: what the keyed hash of an id is, without the text.

    Parameters
    ----------
    numbers
        One small number an entity.
    space
        Keeps the numbers of one kind of id apart from those of another.
    """
    words = numbers.astype(np.uint64) + np.uint64(space << 40)
    # The finaliser of SplitMix64: a bijection, so different numbers stay different.
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (words ^ (words >> np.uint64(31))).view(np.int64)


def batch_of(schema: Schema, kind: str, time: Integers, columns: Mapping[str, Integers], first: int = 0) -> Batch:
    """Return a batch of one kind; columns that are not given are null, and so are words of 0 in id columns.

    Parameters
    ----------
    schema
        Of the detector.
    kind
        The kind of all events.
    time
        Event times in microseconds.
    columns
        Words by field name.
    first
        The position of the first event; positions and event ids count up from it.
    """
    batch = Batch.empty(schema, len(time))
    batch.kind[:] = schema.kind_index[kind]
    batch.position += first
    batch.time[:] = time
    if schema.kinds[schema.kind_index[kind]].id is not None:
        batch.identity[:] = identities(batch.position, 99)
    for name, words in columns.items():
        row = schema.column_index[name]
        batch.values[row] = words
        absent = schema.columns[row].type.is_text & (words == 0)
        batch.nulls[row] = absent
    return batch


def slices(batch: Batch, size: int) -> list[Batch]:
    """Return a batch cut into batches of at most ``size`` events."""
    return [batch.take(np.arange(at, min(at + size, len(batch)))) for at in range(0, len(batch), size)]
