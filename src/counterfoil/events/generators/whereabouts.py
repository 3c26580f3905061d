"""Where a customer is: at home, on the way, or on a journey. A pure function of customer and time.

Every customer has a moment in each period of 45 days at which a journey may begin. Whether one does, where it goes and
how long it lasts are draws of customer and period, so nothing needs to be remembered, and a story can look ahead.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from counterfoil.events.generators.draws import draw
from counterfoil.events.generators.habits import JOURNEYS, TRAVELLER
from counterfoil.events.generators.population import World

DAY_MS = 86_400_000
PERIOD_MS = 45 * DAY_MS
HOLIDAY_DAYS_MAX = 14

AT_HOME = 0
ON_HOLIDAY = 1
ON_BUSINESS = 2

_TRANSIT = -1


@nb.njit(nogil=True, cache=True, _nrt=False)
def departure_phase(world: World, customer: int) -> int:
    """Return when, within each period, a customer's journeys begin."""
    word = draw(world.phase_key, np.uint64(customer) * np.uint64(4))
    return np.int64(np.float64(word >> np.uint64(11)) * 2.0**-53 * PERIOD_MS)


@nb.njit(nogil=True, cache=True, _nrt=False)
def season_month(time: int) -> int:
    """Return the month from 0 to 11, a day or so off: near enough for a season."""
    return min(np.int64(11), (time // DAY_MS * 100 % 36525) // 3044)


@nb.njit(nogil=True, cache=True, _nrt=False)
def journey(world: World, customer: int, period: int, begin: int) -> tuple[int, int, int]:
    """Return a customer's journey in a period.

    Returns
    -------
    tuple
        ``AT_HOME`` where there is none, ``ON_HOLIDAY`` or ``ON_BUSINESS``; the city; how long the stay is, in
        milliseconds.
    """
    word = draw(world.journey_key, (np.uint64(customer) << np.uint64(16)) + np.uint64(period))
    person = world.customers[customer]
    luck = np.int64(word & np.uint64(0xFFFF)) * 1000 >> 16
    business = 550 if person.persona == TRAVELLER else 35
    if luck < business:
        reason = ON_BUSINESS
        days = 1 + np.int64((word >> np.uint64(16)) & np.uint64(3))
    elif luck < business + 2 * JOURNEYS[season_month(begin)]:
        reason = ON_HOLIDAY
        days = 4 + np.int64((word >> np.uint64(16)) & np.uint64(0xFF)) * (HOLIDAY_DAYS_MAX - 3) // 256
    else:
        return AT_HOME, np.int64(person.home), np.int64(0)
    row = np.int64(person.country) if (word >> np.uint64(40)) & np.uint64(0xFF) < np.uint64(80) else -1
    city = np.int64(world.destinations[row, np.int64((word >> np.uint64(24)) & np.uint64(0xFF))])
    if city == person.home:
        return AT_HOME, np.int64(person.home), np.int64(0)
    return reason, city, days * DAY_MS


@nb.njit(nogil=True, cache=True, _nrt=False)
def whereabouts(world: World, customer: int, time: int) -> tuple[int, int]:
    """Return the city where a customer is at a time (-1 on the way) and why."""
    shifted = time - departure_phase(world, customer) + PERIOD_MS
    period = shifted // PERIOD_MS
    since = shifted - period * PERIOD_MS
    home = np.int64(world.customers[customer].home)
    if since > (HOLIDAY_DAYS_MAX + 4) * DAY_MS:
        return home, AT_HOME
    reason, city, stay = journey(world, customer, period, time - since)
    if reason == AT_HOME:
        return home, AT_HOME
    transit = world.journey_ms[home, city]
    if since < transit or transit + stay <= since < 2 * transit + stay:
        return np.int64(_TRANSIT), reason
    if since < transit + stay:
        return city, reason
    return home, AT_HOME


@nb.njit(nogil=True, cache=True)
def whereabouts_of(
    world: World, customers: npt.NDArray[np.int64], times: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return ``whereabouts`` of many."""
    cities = np.empty(len(customers), np.int64)
    reasons = np.empty(len(customers), np.int64)
    for row in range(len(customers)):
        cities[row], reasons[row] = whereabouts(world, customers[row], times[row])
    return cities, reasons


@nb.njit(nogil=True, cache=True)
def journeys_of(
    world: World, customers: npt.NDArray[np.int64], departures: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return ``journey`` of many, by the times at which they would begin."""
    reasons = np.empty(len(customers), np.int64)
    cities = np.empty(len(customers), np.int64)
    stays = np.empty(len(customers), np.int64)
    for row in range(len(customers)):
        period = (departures[row] - departure_phase(world, customers[row]) + PERIOD_MS) // PERIOD_MS
        reasons[row], cities[row], stays[row] = journey(world, customers[row], period, departures[row])
    return reasons, cities, stays
