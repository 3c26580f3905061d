"""What every decoder promises, and the settings that all share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from counterfoil.errors import ConfigurationError
from counterfoil.events.batch import Batch, Bytes
from counterfoil.events.dead_letters import DeadLetter
from counterfoil.events.kinds import TIME_MAX, TIME_MIN
from counterfoil.events.words import PaddedBytes

EncodedRecords = bytes | bytearray | memoryview | Bytes | PaddedBytes
"""Whole records as they came from a source."""

ID_BYTES_MAX = 256
"""Longest id, in bytes of UTF-8. Ids are keys: a longer one is a mistake of the source, and it would fill the state."""


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """How one source writes the events of a detector.

    Parameters
    ----------
    mapping
        The detector's field name to the source's, for fields, ids and times; those left out have the same name.
    kind_field
        The source's field that names the event kind.
    kind
        The one event kind of this source; then no kind field is needed, and one that is there is not looked at.
    record_bytes_max
        Longest record in bytes, 64 to 1 GiB.
    depth_max
        Deepest nesting of JSON, 1 to 60; the record itself is 1.
    time_min, time_max
        Bounds of an event's time in microseconds since 1970; a time beyond them is a dead letter.
    naive_utc
        Whether a time without a zone is read as UTC; else it is a dead letter.
    delimiter
        One character between the fields of a delimited line.
    quote
        One character around a field of a delimited line that holds the delimiter; None where there are no quotes.
    header
        Whether the first line of a delimited file names its fields.
    fields
        The names of the fields of a delimited line, in order, where there is no header; the source's own names.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    kind_field: str = "kind"
    kind: str | None = None
    record_bytes_max: int = 1 << 20
    depth_max: int = 32
    time_min: int = 0
    time_max: int = 7_258_118_400_000_000
    naive_utc: bool = False
    delimiter: str = ","
    quote: str | None = '"'
    header: bool = False
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_bounds("record_bytes_max", self.record_bytes_max, 64, 1 << 30)
        _check_bounds("depth_max", self.depth_max, 1, 60)
        _check_bounds("time_min", self.time_min, TIME_MIN, TIME_MAX)
        _check_bounds("time_max", self.time_max, self.time_min, TIME_MAX)
        for name, character in (("delimiter", self.delimiter), ("quote", self.quote)):
            if character is not None and (len(character) != 1 or not " " <= character < "\x7f") and character != "\t":
                message = f"{name}: found {character!r}; allowed: one ASCII character"
                raise ConfigurationError(message)
        if self.delimiter == self.quote:
            message = f"quote: found {self.quote!r}; allowed: a character other than the delimiter"
            raise ConfigurationError(message)


def _check_bounds(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        message = f"{name}: found {value}; allowed: {lowest} to {highest}"
        raise ConfigurationError(message)


@dataclass(slots=True)
class Decoded:
    """What came out of some records: every record is an event of the batch, a dead letter or blank."""

    batch: Batch
    dead: list[DeadLetter]
    unknown_fields: dict[str, int]
    """How often each field that the detector does not know stood in an event; no more than 1,000 names."""
    consumed: int
    """How many bytes (rows, for a table) were read: all that were given."""
    records: int
    """How many positions were used up, blank lines included."""


class Decoder(Protocol):
    """Turns records into events and dead letters. It never raises on account of what a record holds."""

    def decode(self, data: EncodedRecords, first_position: int, arrival: int) -> Decoded:
        """Decode whole records.

        Parameters
        ----------
        data
            Whole lines; the last one need not end in a newline.
        first_position
            The position of the first line. Every line takes one, a blank one too, so a line's position is its number.
        arrival
            When they arrived, in microseconds since 1970: an event's time may not lie further ahead of it than the
            detector's ``max_skew``.
        """
        ...
