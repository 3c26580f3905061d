from __future__ import annotations

import numpy as np
import pytest

from counterfoil.events.generators.population import World, build_world
from counterfoil.events.generators.whereabouts import (
    AT_HOME,
    DAY_MS,
    HOLIDAY_DAYS_MAX,
    ON_BUSINESS,
    ON_HOLIDAY,
    whereabouts_of,
)

HOUR_MS = 3_600_000
YEAR = 20_458 * DAY_MS
"""2026-01-05."""


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(1, 2_000)


def walk(world: World, customer: int, days: int = 400) -> tuple[np.ndarray, np.ndarray]:
    times = YEAR + np.arange(days * 24) * HOUR_MS
    return whereabouts_of(world, np.full(len(times), customer), times)


def test_journeys_begin_and_end_with_the_way(world: World) -> None:
    journeys = 0
    for customer in range(200):
        cities, reasons = walk(world, customer)
        home = world.customers["home"][customer]
        assert ((cities == home) == (reasons == AT_HOME)).all()
        moves = np.flatnonzero(np.diff(cities))
        for at in moves:
            # Between home and a strange city one is always on the way for some hours.
            assert cities[at] == -1 or cities[at + 1] == -1
        journeys += len(moves) // 4
    assert 200 < journeys < 800, "about one to four a year"


def test_stays_are_of_plausible_length(world: World) -> None:
    for customer in range(200):
        cities, reasons = walk(world, customer)
        away = np.flatnonzero((cities >= 0) & (reasons != AT_HOME))
        for stay in np.split(away, np.flatnonzero(np.diff(away) > 1) + 1):
            if len(stay) > 0 and stay[-1] < len(cities) - 1 and stay[0] > 0:
                days = len(stay) / 24
                longest = 4 if reasons[stay[0]] == ON_BUSINESS else HOLIDAY_DAYS_MAX
                assert 0.9 < days < longest + 0.1


def test_more_people_travel_in_summer(world: World) -> None:
    people = np.arange(2_000)

    def travelling(day: int) -> float:
        _, reasons = whereabouts_of(world, people, np.full(2_000, YEAR + day * DAY_MS))
        return float((reasons == ON_HOLIDAY).mean())

    summer = np.mean([travelling(day) for day in range(180, 230, 7)])
    winter = np.mean([travelling(day) for day in range(10, 60, 7)])
    assert 0.01 < winter < summer < 0.15
