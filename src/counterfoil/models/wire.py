"""Protobuf's wire format, read without trust: every length is checked and every count has a limit.

The protobuf library would build an object for each of the millions of empty messages that a few megabytes can hold.
Here a message is a table of its fields, and a message with more fields than its place allows is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from counterfoil.errors import InputError
from counterfoil.models import kernel

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NOTHING = np.zeros((0, 3), np.int64)


@dataclass(frozen=True, slots=True)
class Message:
    """One message inside of some bytes.

    Parameters
    ----------
    data
        All bytes.
    start, end
        Where it lies in them.
    most
        The most fields that it may have.
    """

    data: kernel.Bytes
    start: int
    end: int
    fields: npt.NDArray[np.int64]

    @classmethod
    def of(cls, data: kernel.Bytes, start: int, end: int, most: int, what: str) -> Message:
        """Return a message after checking its shape.

        Raises
        ------
        InputError
            If it is damaged or has more than ``most`` fields.
        """
        count = kernel.wire_fields(data, start, end, most, _NOTHING)
        if count == kernel.TOO_MANY:
            raise InputError(f"model file: found more than {most:,} fields in {what}; allowed: {most:,}")
        if count < 0:
            raise InputError(f"model file: {what} is damaged or no ONNX; give a file that an ONNX converter wrote")
        fields = np.empty((count, 3), np.int64)
        kernel.wire_fields(data, start, end, most, fields)
        return cls(data, start, end, fields)

    def numbers(self) -> set[int]:
        """Return the numbers of the fields that are there."""
        return set((np.unique(self.fields[:, 0]) >> 3).tolist())

    def messages(self, number: int, most: int, most_fields: int, what: str) -> list[Message]:
        """Return the messages in a repeated field."""
        rows = self._rows(number, _BYTES)
        if len(rows) > most:
            raise InputError(f"model file: found {len(rows):,} of {what}; allowed: at most {most:,}")
        return [
            Message.of(self.data, offset, offset + length, most_fields, what) for offset, length in rows[:, 1:].tolist()
        ]

    def text(self, number: int, most: int = 1_000) -> str:
        """Return a text; empty where there is none."""
        found = self.texts(number, 1_000_000, most)
        return found[-1] if found else ""

    def texts(self, number: int, count: int, most: int = 1_000) -> list[str]:
        """Return the texts in a repeated field."""
        rows = self._rows(number, _BYTES)
        if len(rows) > count or (len(rows) and int(rows[:, 2].max()) > most):
            raise InputError(f"model file: found a name of more than {most:,} bytes; allowed: shorter ones")
        return [
            self.data[offset : offset + length].tobytes().decode("utf-8", "replace")
            for offset, length in rows[:, 1:].tolist()
        ]

    def integer(self, number: int, default: int = 0) -> int:
        """Return a whole number."""
        found = self.integers(number)
        return int(found[-1]) if len(found) else default

    def integers(self, number: int) -> npt.NDArray[np.int64]:
        """Return the whole numbers in a repeated field, packed or not."""
        plain = self._rows(number, _VARINT)
        if len(plain):
            return plain[:, 2].copy()
        parts = [self._packed_integers(offset, length) for offset, length in self._rows(number, _BYTES)[:, 1:].tolist()]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _packed_integers(self, offset: int, length: int) -> npt.NDArray[np.int64]:
        out = np.empty(length, np.int64)
        count = kernel.wire_varints(self.data, offset, offset + length, out)
        if count < 0:
            raise InputError("model file: a list of numbers is damaged; give a file that an ONNX converter wrote")
        return out[:count].copy()

    def floats(self, number: int) -> npt.NDArray[np.float32]:
        """Return the float32 numbers in a repeated field, packed or not."""
        return self._fixed(number, _FIXED32, 4).view(np.float32)

    def doubles(self, number: int) -> npt.NDArray[np.float64]:
        """Return the float64 numbers in a repeated field, packed or not."""
        return self._fixed(number, _FIXED64, 8).view(np.float64)

    def _fixed(self, number: int, wire: int, size: int) -> npt.NDArray[np.uint8]:
        plain = self._rows(number, wire)
        if len(plain):
            return self.data[plain[:, 1, None] + np.arange(size)].reshape(-1)
        parts = [self.bytes(offset, length) for offset, length in self._rows(number, _BYTES)[:, 1:].tolist()]
        if any(len(part) % size for part in parts):
            raise InputError("model file: a list of numbers is damaged; give a file that an ONNX converter wrote")
        return np.concatenate(parts) if parts else np.zeros(0, np.uint8)

    def bytes(self, offset: int, length: int) -> npt.NDArray[np.uint8]:
        """Return some bytes of the data."""
        return self.data[offset : offset + length]

    def raw(self, number: int) -> npt.NDArray[np.uint8] | None:
        """Return the bytes of a field; None where it is not there."""
        rows = self._rows(number, _BYTES)
        return None if not len(rows) else self.bytes(int(rows[-1, 1]), int(rows[-1, 2]))

    def _rows(self, number: int, wire: int) -> npt.NDArray[np.int64]:
        return self.fields[self.fields[:, 0] == number * 8 + wire]
