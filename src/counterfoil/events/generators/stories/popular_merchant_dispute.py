"""A popular shop does not deliver: many customers dispute their payments weeks later. Annoying, and no fraud.

The twin of ``merchant_compromise``: many cards of one merchant, many disputes; but the payments were their owners'.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.places import ONLINE
from counterfoil.events.generators.population import phones_of
from counterfoil.events.generators.stories.telling import HOUR_MS, Story, Telling
from counterfoil.events.generators.whereabouts import DAY_MS

_SHOPS = tuple(CATEGORY[name] for name in ("marketplace", "travel"))
BUYERS = 20


def _tell(telling: Telling) -> None:
    world, lots = telling.world, telling.lots
    merchant = telling.shops(ONLINE, telling.pick(_SHOPS, 0), 1)
    buyers = lots.whole(0, world.people - 1, 2, BUYERS)
    day = telling.start[:, None] // DAY_MS + lots.whole(1, 6, 3, BUYERS)
    time = day * DAY_MS + (lots.between(8, 22, 4, BUYERS) * HOUR_MS).astype(np.int64)
    city, _ = telling.reasons(buyers, time)
    bought = telling.steps_below(10, BUYERS, 5) & (city >= 0)
    report = np.where(lots.chance(0.7, 6, BUYERS), (lots.between(13, 30, 7, BUYERS) * 1440).astype(np.int64), 0)
    telling.buy(
        time,
        merchant[:, None],
        telling.money(35, 380, 8, BUYERS),
        phones_of(world, buyers, time),
        world.cities[np.maximum(city, 0), 1],
        person=buyers,
        when=bought,
        report=report,
    )


POPULAR_MERCHANT_DISPUTE = Story("popular_merchant_dispute", _tell, fraud=False, share=0.20, payments=14.0, days=8)
