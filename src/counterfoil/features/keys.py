"""The keys of a batch's events: the identities of the entities that they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np

from counterfoil.events.batch import Batch, Bytes, Words
from counterfoil.events.identity import IdentityKey, hash_pair
from counterfoil.events.kinds import Schema


@nb.njit(nogil=True, cache=True)
def _fold(
    columns: Words,
    lengths: Words,
    hashed: Bytes,
    values: Words,
    nulls: Bytes,
    key0: np.uint64,
    key1: np.uint64,
    out: Words,
) -> None:
    for key in range(columns.shape[0]):
        for row in range(values.shape[1]):
            folded = np.int64(0)
            for part in range(lengths[key]):
                column = columns[key, part]
                if nulls[column, row] != 0:
                    folded = np.int64(0)
                    break
                value = values[column, row]
                if hashed[column] == 0:
                    # A number is no hash yet: hashed so, it is never 0.
                    value = hash_pair(value, np.int64(0), key0, key1)
                folded = value if part == 0 else hash_pair(folded, value, key0, key1)
            out[key, row] = folded


class Keys:
    """Computes keys from the fields of each entity.

    Parameters
    ----------
    schema
        The event kinds.
    fields
        For each key the names of its fields; their order matters.
    key
        Hashes composite keys.
    """

    def __init__(self, schema: Schema, fields: Sequence[tuple[str, ...]], key: IdentityKey) -> None:
        widest = max((len(each) for each in fields), default=1)
        self._columns = np.zeros((len(fields), widest), np.int64)
        self._lengths = np.array([len(each) for each in fields], np.int64)
        for row, names in enumerate(fields):
            self._columns[row, : len(names)] = [schema.column_index[name] for name in names]
        self._hashed = np.array([column.type.is_text for column in schema.columns], np.uint8)
        self._key = key.words

    def of(self, batch: Batch) -> Words:
        """Return (keys, n) hashes; 0 where a field of the key is null."""
        out = np.empty((len(self._lengths), len(batch)), np.int64)
        _fold(self._columns, self._lengths, self._hashed, batch.values, batch.nulls, *self._key, out)
        return out
