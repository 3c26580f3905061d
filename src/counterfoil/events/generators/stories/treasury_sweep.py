"""In the evening, subsidiaries pass their takings to the parent company, which puts them into its savings account.

The twin of ``mule_chain``: money comes in and goes out at once, along several accounts; but the companies have done so
before, and will again.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.population import laptops_of
from counterfoil.events.generators.stories.telling import MINUTE_MS, Story, Telling

SUBSIDIARIES = 3


def _tell(telling: Telling) -> None:
    world, lots = telling.world, telling.lots
    # Groups of five companies: the parent is the first, the others are its subsidiaries.
    group = lots.whole(0, world.companies // 5 - 1, 0)
    parent = world.people + group * 5
    home = telling.home(parent)
    country = world.cities[home, 1]
    time = telling.by_day(home, 16, 18, 1)[:, None] + np.cumsum(telling.minutes(2, 14, 2, SUBSIDIARIES), axis=1)
    subsidiary = parent[:, None] + 1 + (lots.whole(0, 3, 3)[:, None] + np.arange(SUBSIDIARIES)) % 4
    passed_on = telling.steps_below(1, SUBSIDIARIES, 4)
    amount = telling.money(2_500, 9_800, 5, SUBSIDIARIES)
    where = world.cities[telling.home(subsidiary), 1]
    telling.send(time, 2 * parent, amount, laptops_of(subsidiary), where, person=subsidiary, when=passed_on)
    total = (amount * passed_on).sum(axis=1)
    put_aside = time[:, -1] + telling.minutes(9, 50, 6)
    device = laptops_of(parent)
    telling.log_in(put_aside - MINUTE_MS, device, country, person=parent)
    telling.send(put_aside, 2 * parent + 1, total * 97 // 100 // 100 * 100, device, country, person=parent)


TREASURY_SWEEP = Story("treasury_sweep", _tell, fraud=False, share=0.15, payments=3.0, days=2)
