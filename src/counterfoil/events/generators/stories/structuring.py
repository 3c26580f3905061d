"""A sum above the limit that must be explained goes from one account to another within a day, in pieces below it."""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.population import phones_of
from counterfoil.events.generators.stories.telling import MINUTE_MS, Story, Telling

LIMIT = 10_000
PIECES = 6


def _tell(telling: Telling) -> None:
    lots = telling.lots
    sender = telling.stays_at_home(0)[:, None]
    home = telling.home()
    country = telling.world.cities[home, 1]
    start = telling.by_day(home, 7, 13, 1)
    pieces = telling.steps_below(3, PIECES, 2)
    count = pieces.sum(axis=1)
    # Six pieces of at most 3 hours apart stay within 15 hours and so within the day.
    time = start[:, None] + np.cumsum(telling.minutes(8, 180, 3, PIECES), axis=1)
    # At least 300 above the limit, so that rounding the pieces down to tens does not bring it below.
    total = LIMIT + 300 + lots.unit(4) * (3_500 * count - LIMIT - 300)
    weight = lots.between(0.7, 1.3, 5, PIECES) * pieces
    amount = (total[:, None] * weight / weight.sum(axis=1, keepdims=True) / 10).astype(np.int64) * 1_000
    device = phones_of(telling.world, telling.person, start)
    telling.log_in(time - lots.whole(1, 3, 6)[:, None] * MINUTE_MS, device, country, when=pieces & sender)
    payee = telling.new_account(7)
    telling.send(time, payee, amount, device, country, fraud=True, when=pieces & sender)


STRUCTURING = Story("structuring", _tell, fraud=True, share=0.08, payments=4.5, days=2, report_days=(5, 40))
