"""Records that come as values of their own, not as lines: what a message broker gives.

A value may be binary, or text that holds newlines; so a batch of them is one buffer and the place of each record in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from counterfoil.events.batch import Words
from counterfoil.events.decoding import Decoded, Decoder
from counterfoil.events.words import PaddedBytes, count_newlines

_NEWLINE = b"\n"


@dataclass(slots=True)
class RecordBatch:
    r"""Some records in one buffer.

    Examples
    --------
    >>> records = RecordBatch.of([b"one", None, b"", b"two\nlines"])
    >>> records.start.tolist(), records.length.tolist()
    ([0, 4, 5, 6], [3, -1, 0, 9])
    >>> records.data[6 : 6 + 9]
    b'two\nlines'
    """

    data: bytes
    """The records one behind the other, with one newline between two of them that belongs to neither."""
    start: Words
    """(n,): where each begins…"""
    length: Words
    """(n,): …and how many bytes it has; -1 for one without a value (a tombstone), which is no event."""
    position: Words
    """(n,): the input position of each, strictly increasing."""

    def __len__(self) -> int:
        return len(self.start)

    def get(self, index: int) -> bytes | None:
        """Return one record's bytes; None for a tombstone."""
        length = int(self.length[index])
        start = int(self.start[index])
        return None if length < 0 else self.data[start : start + length]

    @classmethod
    def of(cls, values: Sequence[bytes | None], first_position: int = 0) -> RecordBatch:
        """Return values as a batch whose positions count from ``first_position`` on."""
        size = len(values)
        try:
            present = cast("Sequence[bytes]", values)
            data = _NEWLINE.join(present)
            length = np.fromiter(map(len, present), np.int64, size)
        except TypeError:
            # A tombstone among them, which is rare.
            data = _NEWLINE.join([value or b"" for value in values])
            length = np.fromiter((-1 if value is None else len(value) for value in values), np.int64, size)
        start = np.zeros(size, np.int64)
        np.cumsum(np.maximum(length[:-1], 0) + 1, out=start[1:])
        return cls(data, start, length, np.arange(first_position, first_position + size, dtype=np.int64))

    @classmethod
    def joined(cls, batches: Sequence[RecordBatch]) -> RecordBatch:
        r"""Return the records of some batches as one.

        Examples
        --------
        >>> both = RecordBatch.joined([RecordBatch.of([b"a", b"b"]), RecordBatch.of([b"c"], 2)])
        >>> both.data, both.start.tolist(), both.position.tolist()
        (b'a\nb\nc', [0, 2, 4], [0, 1, 2])
        """
        if len(batches) == 1:
            return batches[0]
        before = np.cumsum([0] + [len(batch.data) + 1 for batch in batches])
        return cls(
            _NEWLINE.join([batch.data for batch in batches]),
            np.concatenate([batch.start + shift for batch, shift in zip(batches, before, strict=False)]),
            np.concatenate([batch.length for batch in batches]),
            np.concatenate([batch.position for batch in batches]),
        )


class RecordDecoder(Protocol):
    """Turns records into events and dead letters. It never raises on account of what a record holds."""

    def decode_records(self, records: RecordBatch, arrival: int) -> Decoded:
        """Decode records.

        Parameters
        ----------
        records
            What came. A tombstone is neither an event nor a dead letter, unless the format says what it means.
        arrival
            When they arrived, in microseconds since 1970: an event's time may not lie further ahead of it than the
            detector's ``max_skew``.

        Returns
        -------
        Decoded
            Positions of events and of dead letters are those of ``records.position``; ``consumed`` is the bytes of the
            buffer and ``records`` the number of records.
        """
        ...


@dataclass(slots=True)
class TextRecords:
    """A decoder of lines, for records of which each holds one line's worth of text.

    A record may end in a newline. One inside a record is read as a blank: between the parts of a JSON object it means
    the same.
    """

    decoder: Decoder

    def decode_values(self, values: Sequence[bytes | None], first_position: int, arrival: int) -> Decoded:
        """Decode values whose positions count from ``first_position`` on."""
        try:
            data = PaddedBytes.joined(cast("Sequence[bytes]", values))
        except TypeError:
            # A tombstone among them, which is rare.
            return self.decode_records(RecordBatch.of(values, first_position), arrival)
        if not values or int(count_newlines(data.buffer, len(data))) != len(values) - 1:
            return self.decode_records(RecordBatch.of(values, first_position), arrival)
        return self.decoder.decode(data, first_position, arrival)

    def decode_records(self, records: RecordBatch, arrival: int) -> Decoded:
        """Decode records: see ``RecordDecoder.decode_records``."""
        if not len(records):
            return self.decoder.decode(b"", 0, arrival)
        data = records.data
        if data.count(_NEWLINE) != len(records) - 1:
            data = _one_line_each(records)
        first = int(records.position[0])
        decoded = self.decoder.decode(data, first, arrival)
        assert int(records.position[-1]) == first + len(records) - 1, "positions of a batch are contiguous"
        return decoded


def _one_line_each(records: RecordBatch) -> bytes:
    """Return the records joined by newlines, with blanks in the place of every other newline."""
    values = [records.get(index) or b"" for index in range(len(records))]
    return _NEWLINE.join([value.rstrip(b"\r\n").replace(_NEWLINE, b" ") for value in values])
