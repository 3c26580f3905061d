"""Stolen card numbers are tried with tiny payments; those that work are emptied within hours.

One device, one merchant who does not look closely, one card after the other.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.stories.telling import Story, Telling

_TRIED = tuple(CATEGORY[name] for name in ("digital", "subscription"))
_GOODS = tuple(CATEGORY[name] for name in ("marketplace", "travel", "marketplace"))
NUMBERS_TRIED = 8


def _tell(telling: Telling) -> None:
    lots = telling.lots
    owners = lots.whole(0, telling.world.people - 1, 0, NUMBERS_TRIED)
    device = telling.strange_device()
    country = telling.connection(1)
    merchant = telling.shops(ONLINE, telling.pick(_TRIED, 2), 3)[:, None]
    tried = telling.start[:, None] + np.cumsum(telling.minutes(0.3, 2.5, 4, NUMBERS_TRIED), axis=1)
    stolen = telling.steps_below(4, NUMBERS_TRIED, 5)
    tiny = telling.money(0.5, 2.2, 6, NUMBERS_TRIED)
    telling.buy(tried, merchant, tiny, device, country, person=owners, fraud=True, when=stolen)
    again = stolen & lots.chance(0.4, 7, NUMBERS_TRIED)
    soon = tried + telling.minutes(0.3, 1.5, 8, NUMBERS_TRIED)
    telling.buy(soon, merchant, tiny, device, country, person=owners, fraud=True, when=again)
    # The first card always works; of the others, two of five.
    works = stolen & ((np.arange(NUMBERS_TRIED) == 0) | lots.chance(0.4, 9, NUMBERS_TRIED))
    time = tried
    for use in range(2):
        time = time + telling.minutes(25, 110, 10 + use, NUMBERS_TRIED)
        shop = telling.shops(ONLINE, telling.pick(_GOODS, 12 + use, NUMBERS_TRIED), 14 + use, NUMBERS_TRIED)
        large = telling.money(220, 1_400, 16 + use, NUMBERS_TRIED)
        emptied = works & lots.chance((1.0, 0.6)[use], 18 + use, NUMBERS_TRIED)
        telling.buy(time, shop, large, device, country, person=owners, fraud=True, when=emptied)


CARD_TESTING = Story("card_testing", _tell, fraud=True, share=0.17, payments=12.9, days=1, report_days=(1, 30))
