"""The columnar batch: what every decoder makes and every stage reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from counterfoil.events.kinds import Schema

Words = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Texts:
    """The texts of a batch's ids and categories, as slices of one heap.

    Row 0 is the event's own id; row ``1 + i`` belongs to ``Schema.text_columns[i]``.
    """

    heap: Bytes
    """UTF-8 bytes of all texts."""
    offset: Words
    """(texts, n): where each begins in the heap."""
    length: npt.NDArray[np.int32]
    """(texts, n): its length in bytes; -1 for null."""

    def get(self, row: int, index: int) -> str | None:
        """Return one text, or None where it is null. For people and tests: not for the hot path."""
        length = int(self.length[row, index])
        if length < 0:
            return None
        start = int(self.offset[row, index])
        return bytes(self.heap[start : start + length]).decode()

    def take(self, rows: npt.NDArray[np.int64]) -> Texts:
        """Return the texts of some rows; the heap is shared."""
        return Texts(self.heap, self.offset[:, rows], self.length[:, rows])


@dataclass(slots=True)
class Batch:
    """Events as columns, in arrival order.

    Every value is a 64-bit word: see ``FieldType`` for what it means; a ``float`` is the bits of a float64
    (``values.view(np.float64)``), a ``bool`` is 0 or 1, a text is its keyed hash.
    """

    schema: Schema
    kind: npt.NDArray[np.int16]
    """(n,): index into ``schema.kinds``."""
    position: Words
    """(n,): input position (line, row or journal sequence); strictly increasing."""
    time: Words
    """(n,): event time in microseconds since 1970, UTC."""
    identity: Words
    """(n,): keyed hash of kind and id, for finding duplicates; 0 where the kind has no id."""
    values: Words
    """(columns, n)."""
    nulls: Bytes
    """(columns, n): 1 where the value is null (its word is then 0)."""
    texts: Texts

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def empty(cls, schema: Schema, size: int = 0) -> Batch:
        """Return a batch of ``size`` events whose every value is null."""
        columns, texts = len(schema.columns), 1 + len(schema.text_columns)
        return cls(
            schema,
            np.zeros(size, np.int16),
            np.arange(size, dtype=np.int64),
            np.zeros(size, np.int64),
            np.zeros(size, np.int64),
            np.zeros((columns, size), np.int64),
            np.ones((columns, size), np.uint8),
            Texts(np.zeros(0, np.uint8), np.zeros((texts, size), np.int64), np.full((texts, size), -1, np.int32)),
        )

    def take(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Return some rows, in the order given."""
        return Batch(
            self.schema,
            self.kind[rows],
            self.position[rows],
            self.time[rows],
            self.identity[rows],
            self.values[:, rows],
            self.nulls[:, rows],
            self.texts.take(rows),
        )

    @classmethod
    def concatenate(cls, batches: list[Batch]) -> Batch:
        """Return all rows of some batches of one schema, one after the other."""
        starts = np.cumsum([0] + [len(batch.texts.heap) for batch in batches])
        return cls(
            batches[0].schema,
            np.concatenate([batch.kind for batch in batches]),
            np.concatenate([batch.position for batch in batches]),
            np.concatenate([batch.time for batch in batches]),
            np.concatenate([batch.identity for batch in batches]),
            np.concatenate([batch.values for batch in batches], axis=1),
            np.concatenate([batch.nulls for batch in batches], axis=1),
            Texts(
                np.concatenate([batch.texts.heap for batch in batches]),
                np.concatenate(
                    [batch.texts.offset + start for batch, start in zip(batches, starts, strict=False)], axis=1
                ),
                np.concatenate([batch.texts.length for batch in batches], axis=1),
            ),
        )
