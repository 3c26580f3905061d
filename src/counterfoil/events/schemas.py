"""Schemas that records name by number, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Words
from counterfoil.events.record_batch import RecordBatch

FRAME_BYTES = 5
"""A zero byte and the number of the schema, highest byte first: how Confluent's serializers begin a record."""

NO_FRAME = -1
"""Stands in the place of a schema's number where a record has none."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as its registry holds it.

    Parameters
    ----------
    type
        ``AVRO``, ``JSON`` or ``PROTOBUF``.
    text
        The schema itself.
    references
        The schemas of types that it names, in an order in which each only needs those before it.
    """

    type: str
    text: str
    references: tuple[str, ...] = ()


class SchemaSource(Protocol):
    """Knows schemas by their number."""

    def get(self, number: int) -> RegisteredSchema | None:
        """Return a schema; None where there is none of this number.

        Raises
        ------
        InputError
            The registry does not answer. That is nobody's dead letter: the records wait where they are.
        ConfigurationError
            The registry refuses us.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneSchema:
    """One schema that every record has, whatever number it names."""

    schema: RegisteredSchema

    def get(self, number: int) -> RegisteredSchema | None:
        """Return the schema."""
        del number
        return self.schema


def schema_numbers(records: RecordBatch) -> npt.NDArray[np.int64]:
    r"""Return the number of each record's schema; ``NO_FRAME`` where it names none, or has no value.

    Examples
    --------
    >>> schema_numbers(RecordBatch.of([b"\0\0\0\1\2x", b"x", None])).tolist()
    [258, -1, -1]
    """
    data = np.frombuffer(records.data, np.uint8)
    numbers: Words = np.full(len(records), NO_FRAME, np.int64)
    long = np.flatnonzero(records.length >= FRAME_BYTES)
    start = records.start[long]
    framed = data[start] == 0
    long, start = long[framed], start[framed]
    found = np.zeros(len(long), np.int64)
    for byte in range(1, FRAME_BYTES):
        found = found << 8 | data[start + byte]
    numbers[long] = found
    return numbers
