"""The rent is paid in two or three parts after pay day, always to the same landlord.

The twin of ``structuring``: several transfers between two accounts within a day; but they stay below the limit, even
where somebody pays some months ahead.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.population import phones_of, regular_payees
from counterfoil.events.generators.stories.telling import MINUTE_MS, Mask, Numbers, Story, Telling
from counterfoil.events.generators.whereabouts import AT_HOME

_PARTS = 3


def _tell(telling: Telling) -> None:
    world, lots = telling.world, telling.lots
    date = telling.start.astype("datetime64[ms]").astype("datetime64[D]")
    day_of_month = (date - date.astype("datetime64[M]")).astype(np.int64) + 1

    def was_paid(people: Numbers) -> Mask:
        since = (day_of_month[:, None] - world.customers["payday"][people]) % 30
        return np.asarray((since <= 6) & (telling.reasons(people, telling.start[:, None])[1] == AT_HOME))

    telling.person, found = telling.search(0, was_paid)
    home = telling.home()
    country = world.cities[home, 1]
    time = telling.by_day(home, 7, 12, 1)[:, None] + np.cumsum(telling.minutes(3, 240, 2, _PARTS), axis=1)
    parts = telling.steps_below(2, _PARTS, 3) & found[:, None]
    ahead = np.where(lots.chance(0.12, 4), 4, 1)
    amount = telling.money(250, 780, 5, _PARTS, step=500) * ahead[:, None]
    device = phones_of(world, telling.person, time[:, 0])
    telling.log_in(time[:, 0] - MINUTE_MS, device, country, when=found[:, None])
    landlord = regular_payees(world, telling.person, np.full(len(lots), 0))
    telling.send(time, landlord, amount, device, country, when=parts)


PAYDAY_RENT = Story("payday_rent", _tell, fraud=False, share=0.15, payments=2.4, days=2)
