"""A bank in columns for the benchmarks of the ``payments`` detector: as many customers as one likes, ready in seconds.

Not the generator of ``counterfoil generate``: no stories and no habits by the hour, only the load that a bank puts on
state: who pays where how often, which keys repeat, which fields are null. Customers are drawn evenly, which is the
worst case for caches.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.columns import DAY, START, Integers, batch_of, identities
from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector
from counterfoil.events.batch import Batch
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import Schema
from counterfoil.program import Program

CUSTOMERS = 1_000_000
EVENTS_PER_CUSTOMER = 5
"""In the 30 days that fill the state: five million events, most of them payments, in about 7 GB."""
FILL_DAYS = 30
BATCH = 4096
"""Small enough that a batch with its features stays in the cache between stages."""
_CHUNK = 1 << 17
"""Events made at once while state is filled."""

_CHANNELS = ("pos", "contactless", "online", "atm", "transfer")
_CHANNEL_SHARES = (0.34, 0.26, 0.22, 0.04, 0.14)
_ONLINE, _TRANSFER = 2, 4
_COUNTRIES = ("DE", "FR", "GB", "ES", "IT", "NL")
_CATEGORIES = ("grocery", "restaurant", "fuel", "clothing", "electronics", "travel", "pharmacy", "leisure")
_FIELDS = ("email", "phone", "address", "password", "device")


@functools.cache
def payments_detector() -> Detector:
    """Return the built-in detector."""
    return load_detector("payments")


def _words(texts: tuple[str, ...]) -> Integers:
    key = IdentityKey()
    return np.array([key.hash(text) for text in texts], np.int64)


class Bank:
    """A bank whose events come as batches, in order of time.

    Parameters
    ----------
    schema
        Of the ``payments`` detector.
    customers
        How many; each has a card and an account, every fifth a second device. There is a merchant for every twenty.
    seed
        The same seed gives the same events.
    hot_merchant
        The share of payments that goes to one single merchant.
    """

    def __init__(self, schema: Schema, customers: int = CUSTOMERS, *, seed: int = 1, hot_merchant: float = 0.0) -> None:
        self._schema = schema
        self._customers = customers
        self._merchants = max(customers // 20, 10)
        self._random = np.random.default_rng(seed)
        self._hot_merchant = hot_merchant
        self._position = 0
        self._latitude = self._random.uniform(36, 58, customers)
        self._longitude = self._random.uniform(-9, 24, customers)
        self._channels, self._countries = _words(_CHANNELS), _words(_COUNTRIES)
        self._categories, self._fields = _words(_CATEGORIES), _words(_FIELDS)
        self._euro = IdentityKey().hash("EUR")

    def transactions(self, count: int, begin: int, end: int) -> Batch:
        """Return payments, evenly over a time in microseconds."""
        random = self._random
        customer = random.integers(0, self._customers, count)
        channel = random.choice(len(_CHANNELS), count, p=_CHANNEL_SHARES)
        merchant = self._merchant(customer)
        country = random.integers(0, 50, count)
        in_app = (channel == _ONLINE) | (channel == _TRANSFER)
        transfer = channel == _TRANSFER
        columns = {
            "customer_id": identities(customer, 1),
            "card_id": identities(customer, 2),
            "account_id": identities(customer, 3),
            "merchant_id": np.where(transfer, 0, identities(merchant, 4)),
            "counterparty_id": np.where(transfer, identities(self._payee(customer), 3), 0),
            "device_id": np.where(in_app, identities(self._device(customer), 5), 0),
            "amount": np.maximum(1, (random.lognormal(3.4, 1.1, count) * 100)).astype(np.int64),
            "currency": np.full(count, self._euro),
            "country": self._countries[np.where(country < len(_COUNTRIES), country, customer % len(_COUNTRIES))],
            "card_country": self._countries[customer % len(_COUNTRIES)],
            "merchant_category": np.where(transfer, 0, self._categories[merchant % len(_CATEGORIES)]),
            "channel": self._channels[channel],
            "latitude": self._place(self._latitude, customer),
            "longitude": self._place(self._longitude, customer),
        }
        batch = self._batch("transaction", count, begin, end, columns)
        for name in ("latitude", "longitude"):
            row = self._schema.column_index[name]
            batch.nulls[row], batch.values[row, in_app] = in_app, 0
        return batch

    def others(self, count: int, begin: int, end: int) -> list[Batch]:
        """Return as many events of each of the kinds that only feed state, in the proportion that a bank sees them."""
        logins, changes = count * 8 // 10, count // 20
        return [
            self._authentications(logins, begin, end),
            self._changes(changes, begin, end),
            self._outcomes(count - logins - changes, begin, end),
        ]

    def mixed(self, count: int, begin: int, end: int) -> Batch:
        """Return events of all kinds, eight of ten payments, in order of time."""
        payments = count * 8 // 10
        parts = [self.transactions(payments, begin, end), *self.others(count - payments, begin, end)]
        whole = Batch.concatenate(parts)
        ordered = whole.take(np.argsort(whole.time, kind="stable"))
        ordered.position[:] = np.sort(ordered.position)
        return ordered

    def _authentications(self, count: int, begin: int, end: int) -> Batch:
        customer = self._random.integers(0, self._customers, count)
        columns = {
            "customer_id": identities(customer, 1),
            "device_id": identities(self._device(customer), 5),
            "success": (self._random.random(count) < 0.96).astype(np.int64),
            "country": self._countries[customer % len(_COUNTRIES)],
        }
        return self._batch("authentication", count, begin, end, columns)

    def _changes(self, count: int, begin: int, end: int) -> Batch:
        customer = self._random.integers(0, self._customers, count)
        columns = {
            "customer_id": identities(customer, 1),
            "field": self._fields[self._random.integers(0, len(_FIELDS), count)],
        }
        return self._batch("customer_change", count, begin, end, columns)

    def _outcomes(self, count: int, begin: int, end: int) -> Batch:
        customer = self._random.integers(0, self._customers, count)
        columns = {
            "transaction_id": identities(self._random.integers(0, 1 << 39, count), 9),
            "customer_id": identities(customer, 1),
            "card_id": identities(customer, 2),
            "merchant_id": identities(self._merchant(customer), 4),
            "device_id": identities(self._device(customer), 5),
            "fraud": (self._random.random(count) < 0.01).astype(np.int64),
        }
        return self._batch("outcome", count, begin, end, columns)

    def _batch(self, kind: str, count: int, begin: int, end: int, columns: dict[str, Integers]) -> Batch:
        time = np.sort(self._random.integers(begin, end, count))
        batch = batch_of(self._schema, kind, time, columns, self._position)
        self._position += count
        return batch

    def _merchant(self, customer: Integers) -> Integers:
        """Four of five payments go to one of six merchants that the customer knows."""
        known = (customer * 7919 + self._random.integers(0, 6, len(customer)) * 104_729) % self._merchants
        any_one = self._random.integers(0, self._merchants, len(customer))
        merchant = np.where(self._random.random(len(customer)) < 0.8, known, any_one)
        return np.where(self._random.random(len(customer)) < self._hot_merchant, 0, merchant)

    def _payee(self, customer: Integers) -> Integers:
        known = (customer * 31 + self._random.integers(1, 5, len(customer))) % self._customers
        any_one = self._random.integers(0, self._customers, len(customer))
        return np.where(self._random.random(len(customer)) < 0.85, known, any_one)

    def _device(self, customer: Integers) -> Integers:
        second = (customer % 5 == 0) & (self._random.random(len(customer)) < 0.3)
        return customer + np.where(second, self._customers, 0)

    def _place(self, home: npt.NDArray[np.float64], customer: Integers) -> Integers:
        return (home[customer] + self._random.normal(0, 0.05, len(customer))).view(np.int64)


def cut(batch: Batch, size: int = BATCH) -> Iterator[Batch]:
    """Yield a batch in pieces."""
    for first in range(0, len(batch), size):
        yield batch.take(np.arange(first, min(first + size, len(batch))))


def fill(program: Program, bank: Bank, events: int, *, days: int = FILL_DAYS) -> int:
    """Carry events of all kinds, evenly over some days, through a program; return the time at which they end."""
    step = days * DAY // max(1, events)
    now = START
    for first in range(0, events, _CHUNK):
        count = min(_CHUNK, events - first)
        for piece in cut(bank.mixed(count, now, now + count * step)):
            program.process(piece)
        now += count * step
    return now
