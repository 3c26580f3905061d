"""A till is tapped: the cards that paid there within ten days are abused weeks later, all over the internet.

The payments at the tapped till are the owners' own, and labelled so. Only what the cards have in common gives the
merchant away.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.stories.telling import HOUR_MS, Story, Telling
from counterfoil.events.generators.whereabouts import AT_HOME, DAY_MS

_TAPPED = tuple(CATEGORY[name] for name in ("fuel", "restaurant", "hotel", "cash", "household"))
_GOODS = tuple(CATEGORY[name] for name in ("marketplace", "travel", "digital", "marketplace"))
VICTIMS = 18
"""At most so many cards a merchant."""
_USES = 3


def _tell(telling: Telling) -> None:
    world, lots = telling.world, telling.lots
    city = telling.home()
    merchant = telling.shops(city, telling.pick(_TAPPED, 0), 1)
    people, first = telling.residents
    count = first[city + 1] - first[city]
    victims = people[first[city][:, None] + (lots.unit(2, VICTIMS) * count[:, None]).astype(np.int64)]
    day = telling.start[:, None] // DAY_MS + lots.whole(0, 9, 3, VICTIMS)
    paid = day * DAY_MS + (lots.between(8, 20, 4, VICTIMS) * HOUR_MS).astype(np.int64) - world.cities[city, 0][:, None]
    present = telling.steps_below(9, VICTIMS, 5) & (paid > telling.start[:, None])
    # A small bank has fewer customers in a city than a till has victims: each is robbed once.
    ordered = np.sort(victims, axis=1)
    victims = np.where(np.diff(ordered, axis=1, prepend=-1) != 0, ordered, -1)
    present &= victims >= 0
    victims = np.maximum(victims, 0)
    present &= telling.reasons(victims, paid)[1] == AT_HOME
    telling.pay(paid, merchant[:, None], telling.money(8, 90, 6, VICTIMS), person=victims, when=present)
    sold = telling.start + (lots.between(17, 26, 7) * DAY_MS).astype(np.int64)
    # One device serves one to four cards.
    device = telling.strange_device()[:, None] * 64 + np.arange(VICTIMS) // lots.whole(1, 4, 25)[:, None]
    country = telling.connection(8)
    begin = sold[:, None] + telling.minutes(0, 6 * 1440, 9, VICTIMS)
    for use in range(_USES):
        begin = begin + telling.minutes(2, 90, 10 + use, VICTIMS)
        shop = telling.shops(ONLINE, telling.pick(_GOODS, 13 + use, VICTIMS), 16 + use, VICTIMS)
        amount = telling.money(45, 780, 19 + use, VICTIMS)
        again = lots.chance((1.0, 0.7, 0.35)[use], 22 + use, VICTIMS)
        telling.buy(begin, shop, amount, device, country, person=victims, fraud=True, when=present & again)


MERCHANT_COMPROMISE = Story(
    "merchant_compromise", _tell, fraud=True, share=0.20, payments=23.0, days=36, report_days=(1, 35)
)
