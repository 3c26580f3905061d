"""Where people live, shop and travel: real cities, their countries, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import asin, cos, radians, sin, sqrt

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class City:
    """A city.

    Parameters
    ----------
    name, country
        Its name, and the two letters of its country.
    latitude, longitude
        In degrees.
    offset
        Hours ahead of UTC (the standard time; there is no daylight saving time in this world).
    homes
        Its share of the bank's customers, as a weight.
    visits
        Its share of journeys abroad, as a weight.
    """

    name: str
    country: str
    latitude: float
    longitude: float
    offset: float
    homes: int
    visits: int


CITIES = (
    City("Berlin", "DE", 52.520, 13.405, 1, 36, 8),
    City("Hamburg", "DE", 53.551, 9.994, 1, 19, 3),
    City("Munich", "DE", 48.137, 11.576, 1, 16, 6),
    City("Cologne", "DE", 50.938, 6.960, 1, 11, 2),
    City("Frankfurt", "DE", 50.110, 8.682, 1, 9, 4),
    City("Leipzig", "DE", 51.340, 12.373, 1, 6, 1),
    City("Paris", "FR", 48.857, 2.352, 1, 34, 14),
    City("Lyon", "FR", 45.764, 4.836, 1, 10, 2),
    City("Marseille", "FR", 43.296, 5.370, 1, 9, 3),
    City("Toulouse", "FR", 43.605, 1.444, 1, 7, 1),
    City("Lille", "FR", 50.629, 3.057, 1, 5, 1),
    City("Madrid", "ES", 40.417, -3.704, 1, 24, 7),
    City("Barcelona", "ES", 41.387, 2.169, 1, 17, 10),
    City("Valencia", "ES", 39.470, -0.376, 1, 8, 3),
    City("Seville", "ES", 37.389, -5.984, 1, 7, 3),
    City("Palma", "ES", 39.570, 2.650, 1, 2, 9),
    City("Rome", "IT", 41.903, 12.496, 1, 19, 10),
    City("Milan", "IT", 45.464, 9.190, 1, 15, 6),
    City("Naples", "IT", 40.852, 14.268, 1, 9, 3),
    City("Turin", "IT", 45.070, 7.687, 1, 7, 1),
    City("Amsterdam", "NL", 52.368, 4.904, 1, 12, 7),
    City("Rotterdam", "NL", 51.922, 4.479, 1, 7, 1),
    City("Brussels", "BE", 50.850, 4.352, 1, 8, 4),
    City("Vienna", "AT", 48.208, 16.374, 1, 11, 6),
    City("Lisbon", "PT", 38.722, -9.139, 0, 8, 7),
    City("Porto", "PT", 41.158, -8.629, 0, 4, 3),
    City("Dublin", "IE", 53.350, -6.260, 0, 6, 4),
    City("London", "GB", 51.507, -0.128, 0, 30, 14),
    City("Manchester", "GB", 53.481, -2.243, 0, 10, 2),
    City("Birmingham", "GB", 52.480, -1.903, 0, 8, 1),
    City("Edinburgh", "GB", 55.953, -3.188, 0, 5, 3),
    City("Zurich", "CH", 47.377, 8.542, 1, 6, 4),
    City("Geneva", "CH", 46.204, 6.143, 1, 3, 3),
    City("New York", "US", 40.713, -74.006, -5, 14, 9),
    City("Chicago", "US", 41.878, -87.630, -6, 7, 2),
    City("Los Angeles", "US", 34.052, -118.244, -8, 9, 5),
    City("Miami", "US", 25.762, -80.192, -5, 4, 4),
    City("Copenhagen", "DK", 55.676, 12.568, 1, 0, 4),
    City("Stockholm", "SE", 59.329, 18.069, 1, 0, 3),
    City("Oslo", "NO", 59.914, 10.752, 1, 0, 2),
    City("Warsaw", "PL", 52.230, 21.012, 1, 0, 3),
    City("Krakow", "PL", 50.065, 19.945, 1, 0, 3),
    City("Prague", "CZ", 50.076, 14.438, 1, 0, 6),
    City("Budapest", "HU", 47.498, 19.040, 1, 0, 4),
    City("Bucharest", "RO", 44.427, 26.103, 2, 0, 2),
    City("Athens", "GR", 37.984, 23.728, 2, 0, 6),
    City("Heraklion", "GR", 35.339, 25.144, 2, 0, 5),
    City("Dubrovnik", "HR", 42.651, 18.094, 1, 0, 4),
    City("Istanbul", "TR", 41.008, 28.978, 3, 0, 7),
    City("Antalya", "TR", 36.897, 30.713, 3, 0, 7),
    City("Marrakesh", "MA", 31.629, -7.981, 1, 0, 3),
    City("Cairo", "EG", 30.044, 31.236, 2, 0, 3),
    City("Lagos", "NG", 6.524, 3.379, 1, 0, 1),
    City("Cape Town", "ZA", -33.925, 18.424, 2, 0, 2),
    City("Dubai", "AE", 25.205, 55.271, 4, 0, 5),
    City("Mumbai", "IN", 19.076, 72.878, 5.5, 0, 2),
    City("Bangkok", "TH", 13.756, 100.502, 7, 0, 4),
    City("Singapore", "SG", 1.352, 103.820, 8, 0, 3),
    City("Ho Chi Minh City", "VN", 10.823, 106.630, 7, 0, 2),
    City("Hong Kong", "HK", 22.320, 114.169, 8, 0, 2),
    City("Tokyo", "JP", 35.676, 139.650, 9, 0, 3),
    City("Sydney", "AU", -33.869, 151.209, 10, 0, 2),
    City("Toronto", "CA", 43.653, -79.383, -5, 0, 2),
    City("Mexico City", "MX", 19.433, -99.133, -6, 0, 2),
    City("Sao Paulo", "BR", -23.551, -46.633, -3, 0, 2),
)
"""Every city; its number is its place here. The last number, ``len(CITIES)``, stands for "on the internet"."""

ONLINE = len(CITIES)

COUNTRIES = tuple(sorted({city.country for city in CITIES}))
CURRENCIES = ("EUR", "GBP", "CHF", "USD")
"""What accounts are held in. Every payment is stated in its account's currency, as the bank books it."""
_CURRENCY_OF = {"GB": 1, "CH": 2, "US": 3}

COUNTRY_OF_CITY = np.array([COUNTRIES.index(city.country) for city in CITIES], np.int8)
CURRENCY_OF_CITY = np.array([_CURRENCY_OF.get(city.country, 0) for city in CITIES], np.int8)
OFFSET_MS = np.array([int(city.offset * 3_600_000) for city in CITIES], np.int64)

_EARTH_RADIUS_KM = 6371.0088


def distance_km(first: City, second: City) -> float:
    """Return the great-circle distance between two cities.

    Examples
    --------
    >>> round(distance_km(CITIES[0], CITIES[6]))
    877
    """
    half_latitude = radians(second.latitude - first.latitude) / 2
    half_longitude = radians(second.longitude - first.longitude) / 2
    chord = (
        sin(half_latitude) ** 2
        + cos(radians(first.latitude)) * cos(radians(second.latitude)) * sin(half_longitude) ** 2
    )
    return 2 * _EARTH_RADIUS_KM * asin(sqrt(min(1.0, chord)))


@cache
def distances_km() -> npt.NDArray[np.int64]:
    """Return the distances between all cities, rounded up to whole kilometres."""
    return np.array([[int(distance_km(first, second)) + 1 for second in CITIES] for first in CITIES], np.int64)
