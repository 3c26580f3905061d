"""The fields of each kind, in the order in which they are written: one table for lines, tables and batches.

Names, order and meaning are those of the built-in ``payments`` detector.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from counterfoil.events.generators import habits
from counterfoil.events.generators.columns import EVENT, KINDS, STORIES
from counterfoil.events.generators.places import COUNTRIES, CURRENCIES


class Format(IntEnum):
    """How a number becomes text."""

    TIME = 0
    """Milliseconds since 1970, as RFC 3339."""
    EVENT = 1
    """An event's number: a letter for its kind and 16 hexadecimal digits that its key decides."""
    TOKEN = 2
    """The number of a card or device: a letter and 16 such digits."""
    ACCOUNT = 3
    """``A`` and ten digits that do not tell whose it is."""
    NUMBER = 4
    """A letter and the number in eight digits."""
    WORD = 5
    """A place in a vocabulary."""
    FLAG = 6
    """``false`` or ``true``."""
    MONEY = 7
    """Cents, as a decimal with two digits."""
    POSITION = 8
    """1/100,000 degree, as a decimal with five digits."""


@dataclass(frozen=True, slots=True)
class GeneratedField:
    """One field of a generated event.

    Parameters
    ----------
    name
        As in the definition of ``payments``.
    column
        Where its number lies in ``EVENT``.
    format
        How the number becomes text.
    letter
        What its ids begin with.
    words
        Its vocabulary.
    """

    name: str
    column: str
    format: Format
    letter: str = ""
    words: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Bytes of its column in ``EVENT``."""
        return int(EVENT[self.column].itemsize)

    @property
    def place(self) -> int:
        """Place of its column in a row seen as words of its width."""
        fields = EVENT.fields
        assert fields is not None
        return int(fields[self.column][1]) // self.width


_CUSTOMER = GeneratedField("customer_id", "customer", Format.NUMBER, "C")
_CARD = GeneratedField("card_id", "card", Format.TOKEN, "K")
_MERCHANT = GeneratedField("merchant_id", "merchant", Format.NUMBER, "M")
_DEVICE = GeneratedField("device_id", "device", Format.TOKEN, "D")
_COUNTRY = GeneratedField("country", "country", Format.WORD, words=COUNTRIES)
_FRAUD = GeneratedField("fraud", "fraud", Format.FLAG)

FIELDS: dict[str, tuple[GeneratedField, ...]] = {
    "transaction": (
        GeneratedField("transaction_id", "number", Format.EVENT, "t"),
        GeneratedField("event_time", "time", Format.TIME),
        _CUSTOMER,
        _CARD,
        GeneratedField("account_id", "account", Format.ACCOUNT, "A"),
        _MERCHANT,
        GeneratedField("counterparty_id", "counterparty", Format.ACCOUNT, "A"),
        _DEVICE,
        GeneratedField("amount", "amount", Format.MONEY),
        GeneratedField("currency", "currency", Format.WORD, words=CURRENCIES),
        _COUNTRY,
        GeneratedField("merchant_category", "category", Format.WORD, words=habits.CATEGORIES),
        GeneratedField("channel", "channel", Format.WORD, words=habits.CHANNELS),
        GeneratedField("card_country", "card_country", Format.WORD, words=COUNTRIES),
        GeneratedField("latitude", "latitude", Format.POSITION),
        GeneratedField("longitude", "longitude", Format.POSITION),
        _FRAUD,
        GeneratedField("story", "story", Format.WORD, words=STORIES),
    ),
    "customer_change": (
        GeneratedField("change_id", "number", Format.EVENT, "c"),
        GeneratedField("changed_at", "time", Format.TIME),
        _CUSTOMER,
        GeneratedField("field", "field", Format.WORD, words=habits.PROFILE_FIELDS),
    ),
    "authentication": (
        GeneratedField("login_id", "number", Format.EVENT, "l"),
        GeneratedField("event_time", "time", Format.TIME),
        _CUSTOMER,
        _DEVICE,
        GeneratedField("success", "flag", Format.FLAG),
        _COUNTRY,
    ),
    "outcome": (
        GeneratedField("outcome_id", "number", Format.EVENT, "o"),
        GeneratedField("known_at", "time", Format.TIME),
        GeneratedField("transaction_id", "subject", Format.EVENT, "t"),
        _CUSTOMER,
        _CARD,
        _MERCHANT,
        _DEVICE,
        _FRAUD,
    ),
}
"""Fields by kind: the id first, the time second."""

assert tuple(FIELDS) == KINDS, "kinds are numbered by their place"
LABELS = ("fraud", "story")
"""Fields of a transaction that no detector may look at: what really happened."""
