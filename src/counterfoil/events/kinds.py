"""The shape of what flows: event kinds and their fields, and the one table layout that all kinds share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property


class FieldType(StrEnum):
    """What a field holds, and so how it is stored in a column of 64-bit words."""

    ID = "id"
    """An identifier: stored as its keyed 64-bit hash; the text is kept beside it for people."""
    CATEGORY = "category"
    """A word of a small vocabulary: stored like an identifier."""
    CARD = "card"
    """A card number: replaced by its keyed token (HMAC-SHA-256) while decoding, then stored like an identifier."""
    MONEY = "money"
    """A decimal amount: stored exactly, as int64 minor units."""
    INTEGER = "int"
    FLOAT = "float"
    BOOL = "bool"
    TIME = "time"
    """An instant: stored as int64 microseconds since 1970-01-01T00:00:00Z."""

    @property
    def is_text(self) -> bool:
        """Whether the column holds the hash of a text."""
        return self in (FieldType.ID, FieldType.CATEGORY, FieldType.CARD)


class TimeUnit(StrEnum):
    """What an epoch number counts. Text is always read as RFC 3339 or RFC 850, whatever the unit."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def per_second(self) -> int:
        """How many of this unit make a second."""
        return {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[self.value]


MONEY_LIMIT = 2**53 - 1
"""Largest amount in minor units: every amount up to it is exact in JSON, in a double and in int64 sums of windows."""

TIME_MIN = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z in microseconds: nothing earlier can be written as RFC 3339."""
TIME_MAX = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z in microseconds."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event kind.

    Parameters
    ----------
    name
        Its name, in the user's words.
    type
        What it holds.
    required
        Whether an event without it is a dead letter; otherwise it is null.
    scale
        Decimal digits of a ``money`` field's minor unit: 2 for cents.
    unit
        What a number in a ``time`` field counts.
    """

    name: str
    type: FieldType
    required: bool = False
    scale: int = 2
    unit: TimeUnit = TimeUnit.SECONDS


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of event.

    Parameters
    ----------
    name
        Its name, as the ``kind`` field of a mixed source holds it.
    fields
        What it carries beside its id and time.
    id
        The field that holds its id; None where an event's position is its id.
    time
        The field that holds its time.
    decide
        Whether each event gets a decision; the others only feed state.
    time_unit
        What a number in the time field counts.
    ignore
        Fields that are known and not used: they do not count as unknown.
    """

    name: str
    fields: tuple[Field, ...]
    id: str | None
    time: str
    decide: bool = False
    time_unit: TimeUnit = TimeUnit.SECONDS
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """All kinds of a detector, and the columns that a batch of them has.

    A column is shared by all kinds that have a field of its name; where a kind lacks it, it is null.
    """

    kinds: tuple[EventKind, ...]
    columns: tuple[Field, ...] = field(init=False)
    """Every field of every kind once, in order of first appearance."""

    def __post_init__(self) -> None:
        columns: dict[str, Field] = {}
        for kind in self.kinds:
            for each in kind.fields:
                columns.setdefault(each.name, each)
        object.__setattr__(self, "columns", tuple(columns.values()))

    @cached_property
    def column_index(self) -> dict[str, int]:
        """Column name to its row in ``Batch.values``."""
        return {each.name: index for index, each in enumerate(self.columns)}

    @cached_property
    def kind_index(self) -> dict[str, int]:
        """Kind name to the number in ``Batch.kind``."""
        return {each.name: index for index, each in enumerate(self.kinds)}

    @cached_property
    def text_columns(self) -> tuple[int, ...]:
        """Columns that hold text; row ``1 + i`` of ``Texts`` belongs to ``text_columns[i]`` (row 0: the event's id)."""
        return tuple(index for index, each in enumerate(self.columns) if each.type.is_text)

    def with_columns(self, extra: Iterable[Field]) -> Schema:
        """Return a schema in which every kind also carries ``extra`` (labels for a back-test, say)."""
        extra = tuple(extra)
        names = {each.name for each in extra}
        return Schema(
            tuple(
                EventKind(
                    kind.name,
                    tuple(each for each in kind.fields if each.name not in names) + extra,
                    kind.id,
                    kind.time,
                    kind.decide,
                    kind.time_unit,
                    tuple(name for name in kind.ignore if name not in names),
                )
                for kind in self.kinds
            )
        )
