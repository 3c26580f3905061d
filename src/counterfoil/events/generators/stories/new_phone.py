"""A customer gets a new phone: a failed log-in or two, a new device, perhaps a new password, and then shopping.

The twin of ``account_takeover``: the merchants are the customer's own, and so are the payees.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY, DEVICE, PASSWORD
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.population import phones_of, regular_payees
from counterfoil.events.generators.stories.telling import Occasion, Story, Telling

_GOODS = tuple(CATEGORY[name] for name in ("marketplace", "digital", "delivery", "marketplace"))


def _tell(telling: Telling) -> None:
    world = telling.world
    time = telling.by_day(telling.home(), 9, 21, 0)
    city, _ = telling.reasons(telling.person, time)
    there = (city >= 0)[:, None]
    country = world.cities[np.maximum(city, 0), 1]
    device = phones_of(world, telling.person, time)
    failed = telling.steps_below(0, 2, 1) & there
    tried = time[:, None] + np.cumsum(telling.minutes(0.2, 1.0, 2, 2), axis=1)
    telling.log_in(tried, device, country, success=False, when=failed)
    inside = tried[:, -1] + telling.minutes(0.2, 2, 3)
    telling.log_in(inside, device, country, when=there)
    telling.change(inside + telling.minutes(0.2, 2, 4), DEVICE, when=there)
    forgot = telling.lots.chance(0.5, 5)[:, None]
    telling.change(inside + telling.minutes(2, 9, 6), PASSWORD, when=there & forgot)
    bought = inside[:, None] + np.cumsum(telling.minutes(12, 240, 7, 4), axis=1)
    shop = telling.shops(ONLINE, telling.pick(_GOODS, 8, 4), 9, 4)
    at_hand = telling.steps_below(1, 4, 10) & there
    telling.buy(bought, shop, telling.money(6, 180, 11, 4), device, country, when=at_hand)
    payee = regular_payees(world, telling.person, telling.lots.whole(0, 4, 12))
    pays = telling.lots.chance(0.5, 13)[:, None]
    sent = inside + telling.minutes(20, 400, 14)
    telling.send(sent, payee, telling.money(20, 900, 15, step=500), device, country, when=there & pays)


NEW_PHONE = Story("new_phone", _tell, fraud=False, payments=3.0, days=3, occasion=Occasion.PHONE)
