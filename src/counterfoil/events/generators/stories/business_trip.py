"""A customer flies: a coffee at home, a taxi and a hotel far away some hours later, as fast as an airliner goes.

The twin of ``impossible_travel``. Every journey of every customer is told, holidays under their own name.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.columns import STORIES
from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.stories.telling import HOUR_MS, Occasion, Story, Telling
from counterfoil.events.generators.whereabouts import AT_HOME, ON_HOLIDAY, journeys_of

LEAD_MS = 2 * HOUR_MS
"""A telling begins so long before the departure."""


def _tell(telling: Telling) -> None:
    world = telling.world
    reason, _, _ = journeys_of(world, telling.person, telling.start + LEAD_MS)
    telling.keep(reason != AT_HOME)
    home = telling.home()
    departure = telling.start + LEAD_MS
    reason, city, stay = journeys_of(world, telling.person, departure)
    label = np.where(reason == ON_HOLIDAY, STORIES.index("family_holiday"), STORIES.index("business_trip"))
    transit = world.journey_ms[home, city]
    coffee = telling.shops(home, CATEGORY["cafe"], 0)
    before = departure - telling.minutes(20, 100, 1)
    telling.pay(before, coffee, telling.money(3, 19, 2), story=label)
    arrival = departure + transit
    taxi = telling.shops(city, CATEGORY["transport"], 3)
    there = arrival + telling.minutes(8, 45, 4)
    telling.pay(there, taxi, telling.money(4, 60, 5), when=telling.lots.chance(0.8, 6), story=label)
    hotel = telling.shops(city, CATEGORY["hotel"], 7)
    checked_in = arrival + telling.minutes(50, 170, 8)
    nights = np.maximum(1, stay // (24 * HOUR_MS))
    telling.pay(checked_in, hotel, telling.money(60, 210, 9) * nights, story=label)
    ride = telling.shops(home, CATEGORY["transport"], 10)
    back = arrival + stay + transit + telling.minutes(8, 45, 11)
    returns = telling.lots.chance(0.6, 12)
    telling.pay(back, ride, telling.money(3, 55, 13), when=returns, story=label)


BUSINESS_TRIP = Story("business_trip", _tell, fraud=False, payments=3.4, days=18, occasion=Occasion.DEPARTURE)
