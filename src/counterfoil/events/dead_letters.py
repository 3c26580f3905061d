"""What cannot be decoded: the record's bytes, where it stood and why it was refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

DEAD_LETTER_BYTES_MAX = 64 * 1024
"""How many bytes of a record a dead letter keeps: enough for every record a person may want to mend and retry."""


class ReasonCode(StrEnum):
    """Why a record is a dead letter."""

    INVALID_UTF8 = "invalid_utf8"
    """The bytes are no UTF-8."""
    INVALID_JSON = "invalid_json"
    """The line is no JSON (RFC 8259): wrong syntax, NaN, Infinity, bad escapes, something behind the object."""
    TRUNCATED = "truncated"
    """The line ends before its JSON does."""
    NOT_AN_OBJECT = "not_an_object"
    """The line is JSON, but no object."""
    TOO_DEEP = "too_deep"
    """Objects and arrays are nested deeper than ``depth_max``."""
    DUPLICATE_KEY = "duplicate_key"
    """A field stands there twice, so nobody knows which is meant."""
    RECORD_TOO_LARGE = "record_too_large"
    """The record is longer than ``record_bytes_max``."""
    INVALID_LINE = "invalid_line"
    """A delimited line has too few or too many fields, or a quote that does not close."""
    MISSING_KIND = "missing_kind"
    UNKNOWN_KIND = "unknown_kind"
    MISSING_ID = "missing_id"
    """The event's id is missing, null or empty."""
    ID_TOO_LONG = "id_too_long"
    """An id is longer than 256 bytes."""
    MISSING_TIME = "missing_time"
    BAD_TIME = "bad_time"
    """A time is neither RFC 3339 nor RFC 850 nor a number."""
    TIME_RANGE = "time_range"
    """A time is absurd: before ``time_min`` or after ``time_max``."""
    TIME_SKEW = "time_skew"
    """The event's time lies further ahead of its arrival than the detector's ``max_skew``."""
    MISSING_FIELD = "missing_field"
    """A required field is missing or null."""
    WRONG_TYPE = "wrong_type"
    """A field holds something that its type cannot hold."""
    NUMBER_RANGE = "number_range"
    """An integer is beyond 64 bits, or a float beyond a double."""
    MONEY_PRECISION = "money_precision"
    """An amount has a fraction of its minor unit."""
    MONEY_RANGE = "money_range"
    """An amount is beyond 2^53 - 1 minor units."""
    NEGATIVE_AMOUNT = "negative_amount"
    INVALID_AVRO = "invalid_avro"
    """The bytes are not what the schema says: too few, too many, or no branch of a union."""
    NO_SCHEMA_ID = "no_schema_id"
    """The record does not begin with the zero byte and the schema's number that a schema registry asks for."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """The schema registry does not know the record's schema."""
    INCOMPATIBLE_SCHEMA = "incompatible_schema"
    """The record's schema lacks what the detector requires, or has it as something that no value can be made of."""
    INVALID_ENVELOPE = "invalid_envelope"
    """The record is JSON, but no change event of Debezium."""
    UNMAPPED_OPERATION = "unmapped_operation"
    """The change (an update, a delete, …) has no event kind, and nobody said that it is to be ignored."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be decoded.

    Parameters
    ----------
    position
        Its input position, counted like an event's.
    reason
        Why, for programs.
    detail
        Why, for people: the field and what stood there. It never shows the value of a card field.
    record
        Its bytes as they came, without the end of the line; no more than 64 KiB of them. They may hold a card number
        and so are not part of the ``repr``.
    size
        How many bytes the record had.
    """

    position: int
    reason: ReasonCode
    detail: str
    record: bytes = field(repr=False)
    size: int

    @classmethod
    def of(cls, position: int, reason: ReasonCode, detail: str, record: bytes | memoryview) -> DeadLetter:
        """Return a dead letter that keeps no more than the first 64 KiB of its record."""
        return cls(position, reason, detail, bytes(record[:DEAD_LETTER_BYTES_MAX]), len(record))
