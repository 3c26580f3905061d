"""What people pay for, when and how much: purchases, personas, hours of the day, seasons, amounts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import exp
from statistics import NormalDist

import numpy as np
import numpy.typing as npt


class Mode(IntEnum):
    """How a purchase is made."""

    PRESENT = 0
    """At a till, with the card: ``pos`` or, below 50, mostly ``contactless``."""
    ONLINE = 1
    ATM = 2
    TRANSFER = 3
    """From account to account, in the bank's app."""


class Ending(IntEnum):
    """What the last digits of an amount look like."""

    ANY = 0
    NINETY_NINE = 1
    """Half of the prices end in .99."""
    TENS = 2
    """Bank notes."""
    FIVES = 3
    """People round what they send each other."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One reason to pay.

    Parameters
    ----------
    category
        The merchant's category.
    mode
        How it is paid.
    median, sigma
        Of the log-normal amount, in major units.
    hours
        How likely in each of the eight three-hour parts of the day, from midnight, as weights.
    weekend
        How much more likely on Saturday and Sunday.
    personas
        How likely for each persona, and on holiday, as weights.
    ending
        What its amounts end in.
    """

    category: str
    mode: Mode
    median: float
    sigma: float
    hours: tuple[int, ...]
    weekend: float
    personas: tuple[int, ...]
    ending: Ending = Ending.ANY


PERSONAS = ("worker", "student", "pensioner", "night_worker", "traveller", "company")
WORKER, STUDENT, PENSIONER, NIGHT_WORKER, TRAVELLER, COMPANY = range(6)
HOLIDAY = 6
"""The row after the personas: what people buy on a journey."""
PERSONA_SHARES = (0.58, 0.13, 0.18, 0.05, 0.06)
PERSONA_LEVELS = (1000, 620, 850, 900, 1700, 1000)
"""How much they spend, in thousandths."""
PERSONA_ACTIVITY = (1.0, 1.15, 0.6, 0.95, 1.35, 0.0)
"""How often they pay."""

_DAY = (0, 2, 7, 9, 9, 8, 3, 0)
_MEALS = (1, 0, 3, 9, 4, 10, 7, 2)
_MORNING = (0, 2, 10, 7, 6, 3, 1, 0)
_COMMUTE = (1, 5, 9, 4, 7, 9, 3, 1)
_EVENING = (2, 0, 2, 4, 6, 10, 10, 5)
_ALWAYS = (2, 2, 5, 6, 6, 8, 9, 5)

PURCHASES = (
    Purchase("grocery", Mode.PRESENT, 27, 0.80, (0, 2, 7, 7, 9, 10, 3, 0), 1.3, (24, 22, 34, 22, 14, 0, 12)),
    Purchase("restaurant", Mode.PRESENT, 24, 0.60, _MEALS, 1.3, (9, 9, 6, 7, 14, 0, 30)),
    Purchase("cafe", Mode.PRESENT, 5.4, 0.45, _MORNING, 1.1, (8, 9, 6, 5, 11, 0, 16)),
    Purchase("fuel", Mode.PRESENT, 51, 0.38, _COMMUTE, 0.8, (7, 3, 5, 8, 6, 0, 3)),
    Purchase("transport", Mode.PRESENT, 3.4, 0.70, _COMMUTE, 0.6, (8, 12, 6, 6, 13, 0, 14)),
    Purchase("pharmacy", Mode.PRESENT, 14, 0.70, _DAY, 0.7, (3, 2, 9, 3, 2, 0, 2)),
    Purchase("clothing", Mode.PRESENT, 44, 0.80, _DAY, 1.8, (4, 5, 3, 3, 4, 0, 7), Ending.NINETY_NINE),
    Purchase("electronics", Mode.PRESENT, 85, 1.00, _DAY, 1.4, (1, 2, 1, 1, 1, 0, 1), Ending.NINETY_NINE),
    Purchase("household", Mode.PRESENT, 36, 0.90, _DAY, 1.7, (4, 2, 5, 4, 2, 0, 1), Ending.NINETY_NINE),
    Purchase("entertainment", Mode.PRESENT, 19, 0.70, _EVENING, 1.8, (4, 7, 3, 4, 3, 0, 12)),
    Purchase("hotel", Mode.PRESENT, 130, 0.60, _MORNING, 1.0, (0, 0, 0, 0, 4, 0, 5)),
    Purchase("cash", Mode.ATM, 80, 0.65, _COMMUTE, 1.0, (4, 4, 9, 5, 3, 0, 5), Ending.TENS),
    Purchase("marketplace", Mode.ONLINE, 31, 0.95, _ALWAYS, 1.1, (9, 8, 5, 11, 7, 0, 0), Ending.NINETY_NINE),
    Purchase("digital", Mode.ONLINE, 7.5, 0.70, _EVENING, 1.2, (5, 9, 1, 7, 4, 0, 1), Ending.NINETY_NINE),
    Purchase("delivery", Mode.ONLINE, 23, 0.40, _MEALS, 1.4, (4, 7, 1, 6, 4, 0, 1)),
    Purchase("travel", Mode.ONLINE, 120, 1.00, _ALWAYS, 1.0, (1, 1, 1, 1, 6, 0, 1)),
    Purchase("subscription", Mode.ONLINE, 11, 0.45, _ALWAYS, 1.0, (0, 0, 0, 0, 0, 0, 0), Ending.NINETY_NINE),
    Purchase("transfer", Mode.TRANSFER, 62, 1.00, _ALWAYS, 0.9, (6, 6, 5, 6, 5, 0, 1), Ending.FIVES),
)
CATEGORIES = tuple(purchase.category for purchase in PURCHASES if purchase.mode is not Mode.TRANSFER)
"""Merchant categories; a transfer has no merchant and so none."""
CATEGORY = {name: number for number, name in enumerate(CATEGORIES)}
TRANSFER = len(CATEGORIES)
"""The number of the transfer among the purchases."""

CHANNELS = ("pos", "contactless", "online", "atm", "transfer")
POS, CONTACTLESS, ONLINE_CHANNEL, ATM_CHANNEL, TRANSFER_CHANNEL = range(5)
PROFILE_FIELDS = ("email", "phone", "address", "password", "device")
EMAIL, PHONE, ADDRESS, PASSWORD, DEVICE = range(5)

QUANTILES = 1024
"""Steps of the table that replaces a log-normal draw: the largest amount is 3.3 deviations out."""


def amount_quantiles() -> npt.NDArray[np.int64]:
    """Return (purchases, QUANTILES + 1) amounts in cents: the quantile function of each purchase's log-normal.

    Rounded to whole cents, so the last bit of a library's ``exp`` cannot show.
    """
    normal = NormalDist()
    scores = [normal.inv_cdf((step + 0.5) / (QUANTILES + 1)) for step in range(QUANTILES + 1)]
    return np.array(
        [[round(100 * each.median * exp(each.sigma * score)) for score in scores] for each in PURCHASES], np.int64
    )


# How lively each hour of the local day is; the rows are the personas, workdays then weekends.
_WORKER = (2, 1, 1, 1, 2, 6, 22, 48, 50, 40, 42, 55, 88, 80, 48, 50, 62, 92, 100, 92, 66, 42, 24, 8)
_WORKER_FREE = (6, 3, 2, 1, 1, 2, 5, 12, 30, 58, 82, 92, 88, 80, 78, 80, 82, 78, 76, 72, 60, 44, 28, 14)
_STUDENT = (12, 7, 4, 2, 1, 2, 6, 18, 32, 38, 46, 62, 84, 72, 56, 56, 62, 76, 90, 98, 92, 76, 52, 28)
_STUDENT_FREE = (28, 20, 12, 6, 3, 2, 2, 5, 12, 28, 48, 66, 78, 80, 78, 76, 76, 80, 92, 100, 96, 84, 66, 44)
_PENSIONER = (1, 1, 1, 1, 1, 4, 14, 38, 76, 100, 98, 82, 64, 50, 58, 66, 58, 42, 30, 18, 10, 6, 3, 1)
_PENSIONER_FREE = (1, 1, 1, 1, 1, 3, 9, 24, 52, 76, 80, 74, 62, 48, 46, 48, 42, 34, 26, 16, 9, 5, 2, 1)
_NIGHT = (62, 52, 44, 38, 42, 60, 76, 62, 30, 16, 12, 14, 22, 34, 50, 66, 76, 80, 82, 84, 86, 76, 66, 62)
_NIGHT_FREE = (44, 34, 24, 18, 14, 14, 18, 22, 26, 34, 46, 58, 66, 70, 72, 74, 76, 78, 80, 80, 76, 68, 60, 52)
_TRAVELLER = (6, 3, 2, 2, 6, 22, 48, 64, 56, 46, 46, 58, 84, 76, 50, 52, 62, 78, 90, 100, 92, 70, 42, 18)

HOURS = np.array(
    [
        (_WORKER, _WORKER_FREE),
        (_STUDENT, _STUDENT_FREE),
        (_PENSIONER, _PENSIONER_FREE),
        (_NIGHT, _NIGHT_FREE),
        (_TRAVELLER, _WORKER_FREE),
        ((0,) * 24, (0,) * 24),
    ],
    np.int64,
)
"""(personas, workday or weekend, hour): liveliness in hundredths."""

WEEKDAYS = np.array([88, 90, 92, 96, 110, 116, 84], np.int64)
"""From Monday on: how lively each day is, in hundredths."""
MONTHS = np.array([90, 92, 96, 98, 100, 102, 104, 100, 98, 100, 106, 124], np.int64)
"""From January on."""
JOURNEYS = np.array([40, 60, 70, 90, 100, 120, 190, 200, 110, 80, 45, 95], np.int64)
"""From January on: how many set off on a journey."""
LIVELIEST = 100 * 116 * 124
"""The product of the three tables' maxima, for thinning: nobody is livelier at any hour."""

PAY_FACTOR = np.array([1250, 1220, 1180, 1150, 1120, 1100, 1070, 1050] + [1000] * 8 + [950] * 8 + [880] * 7, np.int64)
"""By days since pay day: how freely money is spent, in thousandths."""

MIX_SLOTS = 512


def purchase_mix() -> npt.NDArray[np.uint8]:
    """Return (personas and holiday, workday or weekend, part of the day, MIX_SLOTS): purchases by their weights."""
    mix = np.zeros((len(PERSONAS) + 1, 2, 8, MIX_SLOTS), np.uint8)
    for persona in range(mix.shape[0]):
        for weekend in range(2):
            for part in range(8):
                weights = np.array(
                    [
                        each.personas[persona] * (each.hours[part] + 0.05) * (each.weekend if weekend else 1.0)
                        for each in PURCHASES
                    ]
                )
                if weights.sum() == 0:
                    continue
                edges = np.round(np.cumsum(weights) / weights.sum() * MIX_SLOTS).astype(np.int64)
                mix[persona, weekend, part] = np.searchsorted(edges, np.arange(MIX_SLOTS), side="right")
    return mix
