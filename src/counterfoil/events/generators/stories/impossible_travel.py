"""A card pays at home and, within the hour, a thousand miles away: one of the two is a copy.

The payment at home is the owner's own, and labelled so; those far away are the fraud.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import CATEGORY
from counterfoil.events.generators.stories.telling import Numbers, Story, Telling

_AT_HOME = tuple(CATEGORY[name] for name in ("grocery", "cafe", "restaurant", "fuel"))
_FAR_AWAY = tuple(CATEGORY[name] for name in ("electronics", "clothing", "cash", "hotel", "electronics"))
FAR_KM = 1_600
"""Within 70 minutes, 1,600 km are more than 1,300 km/h."""


def far_city(telling: Telling, label: int) -> Numbers:
    """Return a city at least ``FAR_KM`` from the person's home: the first of many draws that is."""
    home = telling.home()
    candidates = telling.world.destinations[-1, telling.lots.whole(0, 255, label, 32)].astype(np.int64)
    kilometres = (telling.world.journey_ms[home[:, None], candidates] - 5_400_000) // 4_800
    return np.asarray(candidates[np.arange(len(home)), (kilometres >= FAR_KM).argmax(axis=1)])


def _tell(telling: Telling) -> None:
    victim = telling.stays_at_home(0)[:, None]
    home = telling.home()
    time = telling.by_day(home, 9, 20, 1)
    shop = telling.shops(home, telling.pick(_AT_HOME, 2), 3)
    telling.pay(time, shop, telling.money(4, 70, 4), when=victim)
    city = far_city(telling, 5)
    copied = time[:, None] + np.cumsum(telling.minutes(18, 65, 6, 4), axis=1)
    goods = telling.shops(city[:, None], telling.pick(_FAR_AWAY, 7, 4), 8, 4)
    amount = telling.money(90, 1_300, 9, 4)
    telling.pay(copied, goods, amount, fraud=True, when=telling.steps_below(2, 4, 10) & victim)


IMPOSSIBLE_TRAVEL = Story(
    "impossible_travel", _tell, fraud=True, share=0.13, payments=3.0, days=2, report_days=(0.5, 25)
)
