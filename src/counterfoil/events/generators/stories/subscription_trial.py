"""A customer tries a service for a euro, buys something else within the hours after, and is charged a week later.

The twin of ``card_testing``: a tiny payment on the internet and then a larger one; but from the customer's own device.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.population import phones_of
from counterfoil.events.generators.stories.telling import Story, Telling
from counterfoil.events.generators.whereabouts import DAY_MS

_GOODS = tuple(CATEGORY[name] for name in ("marketplace", "travel", "marketplace"))


def _tell(telling: Telling) -> None:
    world = telling.world
    customer = telling.stays_at_home(0)[:, None]
    time = telling.by_day(telling.home(), 9, 23, 1)
    country = world.cities[telling.home(), 1]
    device = phones_of(world, telling.person, time)
    service = telling.shops(ONLINE, CATEGORY["subscription"], 2)
    trial = telling.pick((50, 99, 100, 100, 199), 3)
    telling.buy(time, service, trial, device, country, when=customer)
    later = time + telling.minutes(20, 200, 4)
    shop = telling.shops(ONLINE, telling.pick(_GOODS, 5), 6)
    telling.buy(later, shop, telling.money(40, 620, 7), device, country, when=customer)
    week = time + 7 * DAY_MS + telling.minutes(0, 60, 8)
    stays = telling.lots.chance(0.7, 9)[:, None]
    price = telling.pick((799, 999, 1299, 1999), 10)
    # The merchant charges the card: no device, and the country is the card's.
    telling.buy(week, service, price, np.full(len(device), -1), country, when=customer & stays)


SUBSCRIPTION_TRIAL = Story("subscription_trial", _tell, fraud=False, share=0.20, payments=2.7, days=9)
