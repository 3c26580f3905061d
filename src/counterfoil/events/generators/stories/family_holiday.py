"""A family on holiday shops: two cards, one strange city, several payments in an hour. Nothing is stolen.

The twin of ``stolen_card_burst``. What the family does on its other days is ordinary life (``ordinary.py``) with the
same label.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.stories.telling import HOUR_MS, Story, Telling
from counterfoil.events.generators.whereabouts import ON_HOLIDAY

_PLEASURES = tuple(
    CATEGORY[name] for name in ("restaurant", "clothing", "entertainment", "cafe", "clothing", "cash", "electronics")
)


def _tell(telling: Telling) -> None:
    # A day after the beginning, the hour that suits the city comes: somebody is looked for who is there throughout.
    begin = telling.start[:, None]

    def away(people: np.ndarray) -> np.ndarray:
        cities, reasons = telling.reasons(people, begin)
        later, _ = telling.reasons(people, begin + 28 * HOUR_MS)
        return np.asarray((reasons == ON_HOLIDAY) & (cities >= 0) & (cities == later))

    telling.person, found = telling.search(0, away)
    city, _ = telling.reasons(telling.person, telling.start)
    city = np.where(found, city, 0)
    start = telling.by_day(city, 10, 20, 3)
    time = start[:, None] + np.cumsum(telling.minutes(3, 22, 4, 8), axis=1)
    shop = telling.shops(city[:, None], telling.pick(_PLEASURES, 5, 8), 6, 8)
    amount = np.where(telling.lots.chance(0.35, 7, 8), telling.money(9, 49, 8, 8), telling.money(60, 620, 9, 8))
    cards = telling.world.customers["cards"][telling.person].astype(np.int64)
    card = np.arange(8) % cards[:, None]
    telling.pay(time, shop, amount, card=card, when=telling.steps_below(4, 8, 10) & found[:, None])


FAMILY_HOLIDAY = Story("family_holiday", _tell, fraud=False, share=0.25, payments=6.0, days=3)
