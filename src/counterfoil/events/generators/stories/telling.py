"""What a story is, and what it is told with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from counterfoil.events.generators.columns import (
    AUTHENTICATION,
    CUSTOMER_CHANGE,
    STORIES,
    TRANSACTION,
    blank_rows,
    take,
)
from counterfoil.events.generators.draws import Lots, draws, units
from counterfoil.events.generators.habits import (
    ATM_CHANNEL,
    CATEGORY,
    CONTACTLESS,
    ONLINE_CHANNEL,
    POS,
    TRANSFER_CHANNEL,
)
from counterfoil.events.generators.population import CARDS, EXTERNAL, EXTERNAL_COUNT, Rows, World
from counterfoil.events.generators.whereabouts import AT_HOME, DAY_MS, whereabouts_of

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
NUMBERS = 2 << 60
"""Events of stories are numbered from here on: story, telling, step."""
STRANGE_DEVICES = 1 << 40
"""Devices from this number on belong to fraudsters."""

_TELLING_BITS = 42
_STEP_BITS = 12
_SEARCH = 48
"""How many people are looked at to find one who fits."""


class Occasion(StrEnum):
    """What makes a story happen."""

    CHANCE = "chance"
    """Nothing in particular: again and again, at a rate."""
    DEPARTURE = "departure"
    """A customer sets off on a journey."""
    PHONE = "phone"
    """A customer gets a new phone."""


@dataclass(frozen=True, slots=True)
class Story:
    """A story.

    Parameters
    ----------
    name
        As in the label.
    tell
        Adds the events of some tellings to the stream.
    fraud
        Whether it is a fraud.
    share
        Its share of all fraudulent transactions; an innocent story's transactions are about as many in proportion
        to the default rate of fraud. Not used where the occasion is a customer's.
    payments
        How many fraudulent (innocent: how many) transactions one telling has on average.
    days
        How long after its beginning its last event may come, reports left out.
    report_days
        Between how many days a fraud becomes known; most in the first quarter.
    occasion
        What makes it happen.
    """

    name: str
    tell: Callable[[Telling], None]
    fraud: bool
    share: float = 0.0
    payments: float = 1.0
    days: int = 2
    report_days: tuple[float, float] = (1.0, 30.0)
    occasion: Occasion = Occasion.CHANCE


@dataclass(slots=True)
class Telling:
    """Some tellings of one story: everything has a row for each, and a column for each step where there are several.

    Parameters
    ----------
    world
        The bank.
    residents
        People by their home city, and where each city's begin.
    story
        What is told.
    lots
        The draws of each telling.
    start
        (tellings,): when each begins, in milliseconds since 1970.
    person
        (tellings,): whose occasion it is; drawn at random where the occasion is chance.
    """

    world: World
    residents: tuple[Numbers, Numbers]
    story: Story
    lots: Lots
    start: Numbers
    person: Numbers
    _rows: list[Rows] = field(default_factory=list)
    _owners: list[Numbers] = field(default_factory=list)

    def keep(self, chosen: Mask) -> None:
        """Go on with some of the tellings only: those whose occasion came to nothing need not be told."""
        assert not self._rows, "nothing has been told yet"
        self.lots = Lots(self.lots.key, self.lots.number[chosen])
        self.start = self.start[chosen]
        self.person = self.person[chosen]

    # Draws. A label is used for one thing only.

    def minutes(self, low: float, high: float, label: int, steps: int | None = None) -> Numbers:
        """Return lengths of time, in milliseconds."""
        return (self.lots.between(low, high, label, steps) * MINUTE_MS).astype(np.int64)

    def money(self, low: float, high: float, label: int, steps: int | None = None, *, step: int = 1) -> Numbers:
        """Return amounts in cents between two amounts in major units, small ones more often; multiples of ``step``."""
        unit = self.lots.unit(label, steps)
        return np.asarray((100 * (low + (high - low) * unit * (0.4 + 0.6 * unit))).astype(np.int64) // step * step)

    def pick(self, words: tuple[int, ...], label: int, steps: int | None = None) -> Numbers:
        """Return one of some numbers, each as likely."""
        return np.array(words, np.int64)[self.lots.whole(0, len(words) - 1, label, steps)]

    def steps_below(self, low: int, high: int, label: int) -> Mask:
        """Return which of ``high`` steps are taken: the first ``low`` always, the others by a draw."""
        return np.arange(high) < self.lots.whole(low, high, label)[:, None]

    def strange_device(self) -> Numbers:
        """Return a device that no customer has, another for each telling."""
        return np.asarray(STRANGE_DEVICES + (STORIES.index(self.story.name) << 48) + self.lots.number.astype(np.int64))

    def connection(self, label: int) -> Numbers:
        """Return the country that a fraudster's connection comes from: in three of five cases not the person's."""
        count = int(self.world.cities[:, 1].max()) + 1
        home = self.world.customers["country"][self.person].astype(np.int64)
        # Who knows the trade rents a computer in the victim's country.
        hidden = self.lots.chance(0.4, label + 1000)
        return np.asarray(np.where(hidden, home, (home + self.lots.whole(1, count - 1, label)) % count))

    # People and places.

    def home(self, person: Numbers | None = None) -> Numbers:
        """Return home cities."""
        return self.world.customers["home"][self.person if person is None else person].astype(np.int64)

    def search(self, label: int, fits: Callable[[Numbers], Mask]) -> tuple[Numbers, Mask]:
        """Return the first of some people drawn at random who fits, and whether one does.

        ``fits`` is asked about (tellings, candidates) people at once.
        """
        candidates = self.lots.whole(0, self.world.people - 1, label, _SEARCH)
        fit = fits(candidates)
        first = fit.argmax(axis=1)
        rows = np.arange(len(candidates))
        return candidates[rows, first], fit[rows, first]

    def reasons(self, people: Numbers, times: Numbers) -> tuple[Numbers, Numbers]:
        """Return in which city people are (-1 on the way) and why, for arrays of any shape."""
        people, times = np.broadcast_arrays(people, times)
        cities, reasons = whereabouts_of(
            self.world, np.ascontiguousarray(people).ravel(), np.ascontiguousarray(times).ravel()
        )
        return cities.reshape(people.shape), reasons.reshape(people.shape)

    def stays_at_home(self, label: int) -> Mask:
        """Make somebody who is at home at the beginning the person of each telling."""
        start = self.start[:, None]
        self.person, found = self.search(
            label,
            lambda people: np.asarray(
                (self.reasons(people, start)[1] == AT_HOME) & (self.reasons(people, start + DAY_MS)[1] == AT_HOME)
            ),
        )
        return found

    def by_day(self, city: Numbers, low: float, high: float, label: int) -> Numbers:
        """Return the next time after the beginning at which it is between two hours in a city."""
        offset = self.world.cities[city, 0]
        local = self.start + offset
        time = local // DAY_MS * DAY_MS + (self.lots.between(low, high, label) * HOUR_MS).astype(np.int64)
        return np.asarray(np.where(time < local, time + DAY_MS, time) - offset)

    def shops(self, city: Numbers | int, category: Numbers | int, label: int, steps: int | None = None) -> Numbers:
        """Return merchants of a city and category."""
        unit = self.lots.unit(label, steps)
        start = self.world.groups[city, category, 0]
        count = self.world.groups[city, category, 1]
        if unit.ndim == 2:
            start, count = (each[:, None] if np.ndim(each) == 1 else each for each in (start, count))
        return np.asarray(start + (unit * count).astype(np.int64))

    def new_account(self, label: int, steps: int | None = None) -> Numbers:
        """Return accounts at other banks that nobody here has sent money to."""
        return EXTERNAL + (self.lots.words(label, steps) % np.uint64(EXTERNAL_COUNT)).astype(np.int64)

    # Events.

    def pay(
        self,
        time: Numbers,
        merchant: Numbers,
        amount: Numbers,
        *,
        person: Numbers | None = None,
        card: Numbers | int = 0,
        fraud: bool = False,
        when: Mask | None = None,
        **more: Any,
    ) -> None:
        """Add payments at a till or a cash machine; ``card`` is 0 or 1 of the person's cards."""
        category = self.world.merchants["category"][merchant]
        cash = category == CATEGORY["cash"]
        amount = np.asarray(np.where(cash, np.maximum(amount // 2000, 1) * 2000, amount))
        self._card_payment(
            time, merchant, amount, person, card, fraud, when,
            channel=np.where(cash, ATM_CHANNEL, np.where(amount < 5000, CONTACTLESS, POS)),
            country=self.world.merchants["country"][merchant],
            latitude=self.world.merchants["latitude"][merchant],
            longitude=self.world.merchants["longitude"][merchant],
            **more,
        )  # fmt: skip

    def buy(
        self,
        time: Numbers,
        merchant: Numbers,
        amount: Numbers,
        device: Numbers,
        country: Numbers,
        *,
        person: Numbers | None = None,
        card: Numbers | int = 0,
        fraud: bool = False,
        when: Mask | None = None,
        **more: Any,
    ) -> None:
        """Add payments on the internet from a device in a country."""
        self._card_payment(
            time, merchant, amount, person, card, fraud, when,
            channel=ONLINE_CHANNEL, device=device, country=country, **more,
        )  # fmt: skip

    def _card_payment(
        self,
        time: Numbers,
        merchant: Numbers,
        amount: Numbers,
        person: Numbers | None,
        card: Numbers | int,
        fraud: bool,
        when: Mask | None,
        **more: Any,
    ) -> None:
        person = _column(self.person if person is None else person)
        # Field by field: whole records are copied one by one.
        customers = self.world.customers
        self._add(
            when, kind=TRANSACTION, time=time, customer=person, card=person * CARDS + _column(card),
            account=2 * person, merchant=merchant, category=self.world.merchants["category"][merchant],
            amount=amount, currency=customers["currency"][person], card_country=customers["country"][person],
            fraud=fraud, **more,
        )  # fmt: skip

    def send(
        self,
        time: Numbers,
        counterparty: Numbers,
        amount: Numbers,
        device: Numbers,
        country: Numbers,
        *,
        person: Numbers | None = None,
        savings: bool = False,
        fraud: bool = False,
        when: Mask | None = None,
        **more: Any,
    ) -> None:
        """Add transfers from a person's current (or savings) account; nobody sends money from an account to itself."""
        person = _column(self.person if person is None else person)
        account = 2 * person + int(savings)
        differs = account != _column(counterparty)
        self._add(
            differs if when is None else differs & _column(when),
            kind=TRANSACTION, time=time, customer=person, account=account, counterparty=counterparty, amount=amount,
            currency=self.world.customers["currency"][person], country=country, device=device,
            channel=TRANSFER_CHANNEL, fraud=fraud, **more,
        )  # fmt: skip

    def log_in(
        self,
        time: Numbers,
        device: Numbers,
        country: Numbers,
        *,
        success: Mask | bool = True,
        person: Numbers | None = None,
        when: Mask | None = None,
    ) -> None:
        """Add log-ins."""
        self._add(
            when, kind=AUTHENTICATION, time=time, customer=self.person if person is None else person, device=device,
            country=country, flag=success,
        )  # fmt: skip

    def change(self, time: Numbers, what: Numbers | int, *, when: Mask | None = None) -> None:
        """Add profile changes."""
        self._add(when, kind=CUSTOMER_CHANGE, time=time, customer=self.person, field=what)

    def _add(self, when: Mask | None, **columns: Any) -> None:
        """Add events: every column is broadcast to (tellings, steps); only those remain where ``when`` holds."""
        size = len(self.lots)
        kept = np.ones((size, 1), bool) if when is None else _column(when)
        values = {name: _column(value) for name, value in columns.items()}
        shape = np.broadcast_shapes((size, 1), kept.shape, *(value.shape for value in values.values()))
        chosen = np.flatnonzero(np.broadcast_to(kept, shape))
        rows = blank_rows(len(chosen))
        rows["story"] = STORIES.index(self.story.name)
        for name, value in values.items():
            rows[name] = np.broadcast_to(value, shape).ravel()[chosen]
        self._rows.append(rows)
        self._owners.append(chosen // shape[1])

    def finish(self) -> Rows:
        """Return all events that were added, numbered, with the times at which frauds are reported."""
        if not self._rows:
            return blank_rows(0)
        rows = np.concatenate(self._rows)
        owner = np.concatenate(self._owners)
        order = np.argsort(owner, kind="stable")
        rows, owner = take(rows, order), owner[order]
        step = np.arange(len(rows)) - np.searchsorted(owner, owner)
        assert not len(step) or step.max() < 1 << _STEP_BITS, "a telling has at most 4096 events"
        telling = self.lots.number[owner] & np.uint64((1 << _TELLING_BITS) - 1)
        rows["number"] = (
            np.uint64(NUMBERS)
            + (np.uint64(STORIES.index(self.story.name)) << np.uint64(_TELLING_BITS + _STEP_BITS))
            + (telling << np.uint64(_STEP_BITS))
            + step.astype(np.uint64)
        )
        self._report(rows)
        return rows

    def _report(self, rows: Rows) -> None:
        low, high = self.story.report_days
        unit = units(draws(self.lots.key, rows["number"]))
        minutes = ((low + (high - low) * unit * unit) * 1440).astype(np.int32)
        rows["report"] = np.where(rows["fraud"] == 1, minutes, rows["report"])


def _column(value: Any) -> npt.NDArray[Any]:
    """Return a scalar or (tellings,) as (tellings, 1)."""
    array = np.asarray(value)
    return array[:, None] if array.ndim == 1 else array.reshape(1, 1) if array.ndim == 0 else array
