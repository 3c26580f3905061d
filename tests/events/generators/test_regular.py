from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from counterfoil.events.generators.population import World, build_world
from counterfoil.events.generators.regular import (
    ENTRIES_MEAN,
    SALARY,
    Calendar,
    due,
    employers,
    make_calendar,
)

DAY_MS = 86_400_000
JANUARY = int(np.datetime64("2026-01-01", "ms").astype(np.int64))
APRIL = int(np.datetime64("2026-04-01", "ms").astype(np.int64))


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(2, 3_000)


@pytest.fixture(scope="module")
def calendar(world: World) -> Calendar:
    return make_calendar(world, 2, 1.0)


def test_stretches_of_any_length_add_up(world: World, calendar: Calendar) -> None:
    whole = due(world, calendar, JANUARY, APRIL)
    edges = [JANUARY, JANUARY + 1, JANUARY + 13 * DAY_MS + 77, JANUARY + 45 * DAY_MS, APRIL - 5, APRIL]
    parts = np.concatenate([due(world, calendar, *pair) for pair in pairwise(edges)])
    assert np.array_equal(np.sort(whole, order=("time", "number")), np.sort(parts, order=("time", "number")))
    assert len(np.unique(whole["number"])) == len(whole)


def test_every_entry_comes_once_a_month(world: World, calendar: Calendar) -> None:
    whole = due(world, calendar, JANUARY, APRIL)
    assert len(whole) == 3 * len(calendar.moment)
    assert abs(len(calendar.moment) / world.people - ENTRIES_MEAN) < 0.1


def test_salaries_come_from_the_employer_on_pay_day(world: World, calendar: Calendar) -> None:
    month = due(world, calendar, JANUARY, JANUARY + 31 * DAY_MS)
    salaries = month[(month["number"] & np.uint64(7)) == SALARY]
    person = salaries["counterparty"] // 2
    assert np.array_equal(salaries["customer"], employers(world, person))
    assert np.array_equal(salaries["account"], 2 * salaries["customer"].astype(np.int64))
    day = (salaries["time"] - JANUARY) // DAY_MS + 1
    assert np.array_equal(day, world.customers["payday"][person])
    assert 150_000 < np.median(salaries["amount"]) < 350_000


def test_a_quieter_bank_has_fewer(world: World) -> None:
    full, half = make_calendar(world, 2, 1.0), make_calendar(world, 2, 0.5)
    assert abs(len(half.moment) / len(full.moment) - 0.5) < 0.05
