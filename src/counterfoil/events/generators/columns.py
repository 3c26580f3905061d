"""Generated events as columns: what every part of the generator makes, and what is written, framed or batched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.generators.population import NOWHERE, Rows

if TYPE_CHECKING:
    import polars as pl

    from counterfoil.events.batch import Batch
    from counterfoil.events.identity import IdentityKey
    from counterfoil.events.kinds import Schema

KINDS = ("transaction", "customer_change", "authentication", "outcome")
TRANSACTION, CUSTOMER_CHANGE, AUTHENTICATION, OUTCOME = range(4)

FRAUD_STORIES = (
    "stolen_card_burst",
    "account_takeover",
    "impossible_travel",
    "merchant_compromise",
    "card_testing",
    "structuring",
    "mule_chain",
)
TWIN_STORIES = (
    "family_holiday",
    "new_phone",
    "business_trip",
    "popular_merchant_dispute",
    "subscription_trial",
    "payday_rent",
    "treasury_sweep",
)
STORIES = FRAUD_STORIES + TWIN_STORIES
"""Every story by its number; the fraud first."""
TWINS = dict(zip(FRAUD_STORIES, TWIN_STORIES, strict=True))
"""Each fraud story's innocent twin."""
FAMILY_HOLIDAY = STORIES.index("family_holiday")
BUSINESS_TRIP = STORIES.index("business_trip")

EVENT = np.dtype(
    [
        ("time", "i8"),
        ("number", "u8"),
        ("subject", "u8"),
        ("device", "i8"),
        ("account", "i8"),
        ("counterparty", "i8"),
        ("card", "i8"),
        ("amount", "i8"),
        ("customer", "i4"),
        ("merchant", "i4"),
        ("latitude", "i4"),
        ("longitude", "i4"),
        ("report", "i4"),
        ("kind", "i1"),
        ("country", "i1"),
        ("card_country", "i1"),
        ("currency", "i1"),
        ("category", "i1"),
        ("channel", "i1"),
        ("field", "i1"),
        ("flag", "i1"),
        ("fraud", "i1"),
        ("story", "i1"),
        ("spare", "i2"),
    ],
    align=True,
)
"""One event: 96 bytes, so that sorting, cutting and writing touch one place a row.

``time`` in milliseconds since 1970; ``number`` names the event, ``subject`` the transaction that an outcome is about;
ids are numbers, words are places in their vocabulary, -1 is null; ``amount`` in cents; ``report`` the minutes until
somebody reports the payment, 0 for never; ``flag`` is an authentication's ``success``.
"""

BLANK = np.zeros(1, EVENT)
for _name in EVENT.names or ():
    if _name in {"device", "account", "counterparty", "card", "customer", "merchant", "country", "card_country",
                 "currency", "category", "channel", "field", "story"}:  # fmt: skip
        BLANK[_name] = -1
BLANK["latitude"] = NOWHERE
BLANK["longitude"] = NOWHERE
BLANK.setflags(write=False)


def blank_rows(size: int) -> Rows:
    """Return ``size`` events that say nothing yet."""
    return np.repeat(BLANK, size)


def in_time_order(rows: Rows) -> Rows:
    """Return events sorted by time; those of one instant keep their order."""
    return take(rows, np.argsort(rows["time"], kind="stable"))


def take(rows: Rows, chosen: npt.NDArray[np.int64]) -> Rows:
    """Return some events, in the order given: four times as fast as numpy takes structured rows."""
    return _from_words(_words(rows)[chosen])


def merge(first: Rows, second: Rows) -> Rows:
    """Merge events that are in time order; of one instant, the first come first."""
    merged = np.empty((len(first) + len(second), EVENT.itemsize // 8), np.int64)
    _merge(_words(first), _words(second), merged)
    return _from_words(merged)


def _words(rows: Rows) -> npt.NDArray[np.int64]:
    return np.ascontiguousarray(rows).view(np.int64).reshape(len(rows), EVENT.itemsize // 8)


def _from_words(words: npt.NDArray[np.int64]) -> Rows:
    return words.view(EVENT).reshape(len(words))


@nb.njit(nogil=True, cache=True, _nrt=False)
def _merge(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], merged: npt.NDArray[np.int64]) -> None:
    mine = 0
    other = 0
    for row in range(len(merged)):
        if other == len(second) or (mine < len(first) and first[mine, 0] <= second[other, 0]):
            for word in range(merged.shape[1]):
                merged[row, word] = first[mine, word]
            mine += 1
        else:
            for word in range(merged.shape[1]):
                merged[row, word] = second[other, word]
            other += 1


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Some events of the payments stream, in time order.

    Parameters
    ----------
    rows
        The events, as ``EVENT``.
    key
        The key that turns event numbers into ids.
    """

    rows: Rows
    key: np.uint64

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def time_us(self) -> npt.NDArray[np.int64]:
        """(n,): event time in microseconds since 1970, UTC."""
        return self.rows["time"] * 1000

    @property
    def kind(self) -> npt.NDArray[np.int8]:
        """(n,): place in ``KINDS``."""
        return np.asarray(self.rows["kind"])

    @property
    def fraud(self) -> npt.NDArray[np.bool_]:
        """(n,): whether it is a fraudulent transaction: the label. False for every other kind."""
        return np.asarray((self.rows["fraud"] == 1) & (self.rows["kind"] == TRANSACTION))

    @property
    def story(self) -> npt.NDArray[np.int8]:
        """(n,): place in ``STORIES``, -1 for events that belong to no story."""
        return np.asarray(self.rows["story"])

    def words(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int8]]:
        """Return the rows as 2-D arrays of words of eight, four and one bytes: what table-driven kernels read."""
        size = len(self.rows)
        rows = np.ascontiguousarray(self.rows)
        return (
            rows.view(np.int64).reshape(size, EVENT.itemsize // 8),
            rows.view(np.int32).reshape(size, EVENT.itemsize // 4),
            rows.view(np.int8).reshape(size, EVENT.itemsize),
        )

    def __getitem__(self, rows: slice) -> EventColumns:
        return EventColumns(self.rows[rows], self.key)

    def to_ndjson(self) -> bytes:
        """Return the events as NDJSON."""
        from counterfoil.events.generators.writing import write_ndjson  # noqa: PLC0415 (it compiles kernels)

        return write_ndjson(self).tobytes()

    def to_frame(self) -> pl.DataFrame:
        """Return the events as a table with every field of every kind; what a kind lacks is null."""
        from counterfoil.events.generators.frames import to_frame  # noqa: PLC0415

        return to_frame(self)

    def to_batch(self, schema: Schema, key: IdentityKey, first_position: int = 0) -> Batch:
        """Return the events as a batch, equal to what the JSON decoder makes of ``to_ndjson()``.

        Kinds and fields that the schema lacks are left out; positions count from ``first_position``.
        """
        from counterfoil.events.generators.batches import to_batch  # noqa: PLC0415

        return to_batch(self, schema, key, first_position)
