"""The types of values in expressions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from counterfoil.events.kinds import Field, FieldType


class Base(StrEnum):
    """What a value is. All are stored as int64 words."""

    BOOL = "bool"
    """0 or 1."""
    INT = "int"
    MONEY = "money"
    """Minor units: cents for scale 2."""
    FLOAT = "float"
    """The bits of a float64, always finite."""
    TIME = "time"
    """Microseconds since 1970-01-01T00:00:00Z."""
    INTERVAL = "interval"
    """Microseconds."""
    TEXT = "text"
    """The keyed hash of the text."""


_OF_FIELD = {
    FieldType.ID: Base.TEXT,
    FieldType.CATEGORY: Base.TEXT,
    FieldType.CARD: Base.TEXT,
    FieldType.MONEY: Base.MONEY,
    FieldType.INTEGER: Base.INT,
    FieldType.FLOAT: Base.FLOAT,
    FieldType.BOOL: Base.BOOL,
    FieldType.TIME: Base.TIME,
}


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a value.

    Parameters
    ----------
    base
        What it is.
    scale
        Decimal digits of the minor unit; 0 for everything but money.
    """

    base: Base
    scale: int = 0

    @classmethod
    def of(cls, field: Field) -> ValueType:
        """Return the type of a field's values."""
        base = _OF_FIELD[field.type]
        return cls(base, field.scale if base is Base.MONEY else 0)

    @property
    def is_number(self) -> bool:
        """Whether one can reckon with it: int, money or float."""
        return self.base in (Base.INT, Base.MONEY, Base.FLOAT)

    @property
    def is_exact(self) -> bool:
        """Whether it is a whole number of units: int or money."""
        return self.base in (Base.INT, Base.MONEY)

    def __str__(self) -> str:
        return self.base.value


BOOL = ValueType(Base.BOOL)
INT = ValueType(Base.INT)
FLOAT = ValueType(Base.FLOAT)
TIME = ValueType(Base.TIME)
INTERVAL = ValueType(Base.INTERVAL)
TEXT = ValueType(Base.TEXT)
