"""Somebody guesses a password, locks the owner out, and empties the account.

Failed log-ins from a strange device, mostly abroad, then one that succeeds; the e-mail, phone or password is changed;
within the hour, transfers to accounts that the owner never paid.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.habits import EMAIL, PASSWORD, PHONE
from counterfoil.events.generators.stories.telling import Story, Telling


def _tell(telling: Telling) -> None:
    victim = telling.stays_at_home(0)[:, None]
    device = telling.strange_device()
    country = telling.connection(1)
    # Six guesses at most; the last of them is half a minute before the one that is right.
    guesses = telling.steps_below(3, 6, 2) & victim
    time = telling.start[:, None] + np.cumsum(telling.minutes(0.1, 0.8, 3, 6), axis=1)
    telling.log_in(time, device, country, success=False, when=guesses)
    inside = time[:, -1] + telling.minutes(0.2, 1.5, 4)
    telling.log_in(inside, device, country, when=victim)
    changed = inside + telling.minutes(0.5, 6, 5)
    telling.change(changed, telling.pick((PASSWORD, EMAIL, PHONE), 6), when=victim)
    again = telling.lots.chance(0.6, 7)[:, None]
    telling.change(changed + telling.minutes(0.5, 3, 8), telling.pick((EMAIL, PHONE), 9), when=victim & again)
    sent = changed[:, None] + np.cumsum(telling.minutes(3, 16, 10, 4), axis=1)
    payees = np.take_along_axis(telling.new_account(11, 2), telling.lots.whole(0, 1, 12, 4), axis=1)
    telling.send(
        sent,
        payees,
        telling.money(700, 4_900, 13, 4, step=1000),
        device,
        country,
        fraud=True,
        when=telling.steps_below(1, 4, 14) & victim,
    )


ACCOUNT_TAKEOVER = Story("account_takeover", _tell, fraud=True, share=0.14, payments=2.5, days=1, report_days=(0.2, 12))
