"""A stolen card is used for all it is worth, within two hours or three, before its owner notices.

First small contactless payments to see whether it works, then shops whose goods sell well, and cash.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.stories.telling import Story, Telling

_LOOT = tuple(CATEGORY[name] for name in ("electronics", "clothing", "electronics", "fuel", "grocery", "cash"))


def _tell(telling: Telling) -> None:
    victim = telling.stays_at_home(0)
    home = telling.home()
    # Two of five cards are carried off to another city of the country.
    elsewhere = telling.world.destinations[
        telling.world.customers["country"][telling.person], telling.lots.whole(0, 255, 1)
    ].astype(np.int64)
    city = np.where(telling.lots.chance(0.4, 2), elsewhere, home)
    start = telling.by_day(city, 11, 22, 3)
    time = start[:, None] + np.cumsum(telling.minutes(3, 24, 4, 9), axis=1)
    category = telling.pick(_LOOT, 5, 9)
    shop = telling.shops(city[:, None], category, 6, 9)
    probing = np.arange(9) < 2
    amount = np.where(probing, telling.money(12, 49, 7, 9), telling.money(110, 950, 8, 9))
    taken = telling.steps_below(4, 9, 9) & victim[:, None]
    telling.pay(time, shop, amount, fraud=True, when=taken)


STOLEN_CARD_BURST = Story(
    "stolen_card_burst", _tell, fraud=True, share=0.20, payments=6.5, days=2, report_days=(0.4, 20)
)
