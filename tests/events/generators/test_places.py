from __future__ import annotations

import numpy as np
import pytest

from counterfoil.events.generators.places import CITIES, COUNTRIES, COUNTRY_OF_CITY, distance_km, distances_km

BY_NAME = {city.name: city for city in CITIES}


@pytest.mark.parametrize(
    ("first", "second", "kilometres"),
    [("London", "New York", 5570), ("Berlin", "Munich", 504), ("Madrid", "Sydney", 17_700), ("Paris", "Paris", 0)],
)
def test_distances_are_those_of_the_atlas(first: str, second: str, kilometres: float) -> None:
    assert distance_km(BY_NAME[first], BY_NAME[second]) == pytest.approx(kilometres, rel=0.01, abs=1)


def test_distances_are_symmetric() -> None:
    table = distances_km()
    assert np.array_equal(table, table.T)
    assert (np.diagonal(table) == 1).all()


def test_every_country_with_homes_has_a_city_to_visit() -> None:
    for city in CITIES:
        if city.homes:
            assert any(other.visits for other in CITIES if other.country == city.country)
    assert [COUNTRIES[number] for number in COUNTRY_OF_CITY] == [city.country for city in CITIES]
    assert len(BY_NAME) == len(CITIES)
