"""A victim is talked into a transfer; the money hurries along the accounts of mules and leaves the bank.

Every account keeps a few per cent, and passes the rest on within the hour.
"""

from __future__ import annotations

import numpy as np

from counterfoil.events.generators.population import phones_of
from counterfoil.events.generators.stories.telling import MINUTE_MS, Numbers, Story, Telling

HOPS = 5
"""Accounts of mules at most."""


def mules(people: int, first: Numbers) -> Numbers:
    """Return the mules of some chains: one customer in 64 lends the account, in a small bank everybody."""
    ring = people // 64
    chain = first[:, None] + np.arange(HOPS)
    return np.asarray(chain % ring * 64 + 1 if ring > HOPS else chain * 7 % people)


def _tell(telling: Telling) -> None:
    world, lots = telling.world, telling.lots
    victim = telling.stays_at_home(0)[:, None]
    chain = mules(world.people, lots.whole(0, 2**31, 1))
    hops = telling.steps_below(3, HOPS, 2)
    home = telling.home()
    time = telling.by_day(home, 8, 20, 3)
    amount = telling.money(2_800, 9_400, 4, step=1000)
    device = phones_of(world, telling.person, time)
    country = world.cities[home, 1]
    telling.log_in(time - 2 * MINUTE_MS, device, country, when=victim)
    telling.send(time, 2 * chain[:, 0], amount, device, country, fraud=True, when=victim)
    exit_account = telling.new_account(5)
    last = hops.sum(axis=1) - 1
    for hop in range(HOPS):
        mule = chain[:, hop]
        time = time + telling.minutes(7, 55, 6 + hop)
        amount = (amount * lots.between(0.92, 0.985, 12 + hop)).astype(np.int64) // 100 * 100
        onward = 2 * chain[:, min(hop + 1, HOPS - 1)]
        payee = np.where(last == hop, exit_account, onward)
        taken = hops[:, hop : hop + 1] & victim
        phone = phones_of(world, mule, time)
        where = world.cities[telling.home(mule), 1]
        telling.log_in(time - MINUTE_MS, phone, where, person=mule, when=taken)
        telling.send(time, payee, amount, phone, where, person=mule, fraud=True, when=taken)


MULE_CHAIN = Story("mule_chain", _tell, fraud=True, share=0.08, payments=5.0, days=2, report_days=(0.5, 30))
