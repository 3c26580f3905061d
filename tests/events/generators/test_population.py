from __future__ import annotations

import numpy as np
import pytest

from counterfoil.events.generators import habits
from counterfoil.events.generators.places import CITIES, ONLINE
from counterfoil.events.generators.population import (
    CUSTOMER,
    DEGREE,
    EXTERNAL,
    NOWHERE,
    World,
    build_world,
    favourite_merchant,
    laptops_of,
    phones_of,
    regular_payees,
)
from counterfoil.events.generators.regular import employers

DAY = 86_400_000


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(5, 20_000)


def test_the_same_seed_builds_the_same_bank(world: World) -> None:
    again = build_world(5, 20_000)
    for name in World._fields:
        assert np.array_equal(getattr(world, name), getattr(again, name)), name
    assert not np.array_equal(world.customers, build_world(6, 20_000).customers)


def test_a_larger_bank_has_the_same_first_customers(world: World) -> None:
    larger = build_world(5, 30_000)
    assert np.array_equal(world.customers[:20_000], larger.customers[:20_000])


def test_people_live_in_their_cities(world: World) -> None:
    people = world.customers
    homes = np.array([(city.latitude, city.longitude) for city in CITIES])[people["home"]]
    assert np.abs(people["latitude"] / DEGREE - homes[:, 0]).max() < 0.1
    assert np.abs(people["longitude"] / DEGREE - homes[:, 1]).max() < 0.2
    shares = np.bincount(people["home"], minlength=len(CITIES)) / len(people)
    weights = np.array([city.homes for city in CITIES])
    assert np.abs(shares - weights / weights.sum()).max() < 0.01
    assert CUSTOMER.itemsize == 20


def test_merchants_are_grouped_by_city_and_category(world: World) -> None:
    for city in (0, 7, ONLINE):
        for category in range(len(habits.CATEGORIES)):
            start, count = world.groups[city, category]
            group = world.merchants[start : start + count]
            assert (group["city"] == city).all()
            assert (group["category"] == category).all()
            online = habits.PURCHASES[category].mode is habits.Mode.ONLINE
            assert (count > 0) == (online == (city == ONLINE))
    assert (world.merchants["latitude"][world.merchants["city"] == ONLINE] == NOWHERE).all()


def test_favourites_are_near_home(world: World) -> None:
    grocery = habits.CATEGORY["grocery"]
    chosen, any_shop = [], []
    for customer in range(500):
        person = world.customers[customer]
        merchant = favourite_merchant(world, customer, int(person["home"]), grocery, 0)
        assert merchant == favourite_merchant(world, customer, int(person["home"]), grocery, 0)
        start, count = world.groups[person["home"], grocery]
        assert start <= merchant < start + count
        away = np.abs(world.merchants["latitude"][start : start + count] - person["latitude"])
        chosen.append(away[merchant - start])
        any_shop.append(away.mean())
    assert np.mean(chosen) < 0.85 * np.mean(any_shop)


def test_a_phone_is_kept_for_700_days(world: World) -> None:
    people = np.repeat(np.arange(50), 1500)
    days = np.tile(np.arange(1500), 50)
    phones = phones_of(world, people, (20_000 + days) * DAY).reshape(50, 1500)
    changes = (np.diff(phones, axis=1) != 0).sum(axis=1)
    assert set(changes.tolist()) <= {2, 3}
    assert len(np.intersect1d(phones, laptops_of(np.arange(50)))) == 0
    assert (phones // 64 == np.arange(50)[:, None]).all()


def test_payees_and_employers_are_for_ever(world: World) -> None:
    people = np.arange(1000)
    payees = regular_payees(world, people, np.zeros(1000, np.int64))
    assert np.array_equal(payees, regular_payees(world, people, np.zeros(1000, np.int64)))
    assert 0.4 < (payees >= EXTERNAL).mean() < 0.6
    companies = employers(world, people)
    assert companies.min() >= world.people
    assert companies.max() < len(world.customers)
    assert (world.customers["persona"][companies] == habits.COMPANY).all()


def test_a_bank_of_one() -> None:
    assert build_world(0, 1).slots.max() == 0
