"""How far from the previous position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from counterfoil.features import layout
from counterfoil.features.aggregations.base import Aggregation, Operation, Request, Row, Terms, Value

if TYPE_CHECKING:
    from counterfoil.features.planner import StagePlanner

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the Earth (IUGG; Moritz, Geodetic Reference System 1980)."""


class Distance(Aggregation):
    """Great-circle distance in kilometres from the latest earlier event with a position; null where either has none.

    Its arguments are latitude and longitude in degrees.
    """

    name = "distance"
    about_before = True
    code = layout.DISTANCE

    def plan(self, request: Request, planner: StagePlanner) -> None:
        """Keep positions in the entries of a track of events that have one; compare with the event's own."""
        feature = request.feature
        track = planner.track(feature, only_present=True)
        high, _ = track.edges(feature, None)
        latitude = track.measure(layout.RAW, feature.arguments[0])
        longitude = track.measure(layout.RAW, feature.arguments[1])
        operation = Operation(self.code, request.output, high, -1, latitude, longitude)
        operation.first_input = planner.input(feature.arguments[0])
        operation.second_input = planner.input(feature.arguments[1])
        track.add(feature, operation, prior=True)

    def twin(self, rows: Sequence[Row], own: tuple[Value, ...], time: int, divisor: float) -> Value:  # noqa: ARG002
        """Measure from the last row that has a position."""
        known = [row for row in rows if row.values[0] is not None and row.values[1] is not None]
        if not known or own[0] is None or own[1] is None:
            return None
        latitude, longitude = known[-1].values[:2]
        assert latitude is not None
        assert longitude is not None
        return float(great_circle.py_func(latitude, longitude, own[0], own[1]))

    def sql(self, terms: Terms) -> str:
        """Return the haversine formula."""
        latitude, longitude = (previous(argument, terms) for argument in terms.arguments)
        return great_circle_sql(latitude, longitude, terms.own[0], terms.own[1])


def previous(argument: str, terms: Terms) -> str:
    """Return SQL for an argument's value on the latest row that has all of them."""
    return terms.over(f"arg_max({argument}, (s.time, s.position))", *known(terms))


def known(terms: Terms) -> list[str]:
    """Return the conditions that a row has all arguments."""
    return [f"{each} IS NOT NULL" for each in terms.arguments]


def great_circle_sql(latitude: str, longitude: str, own_latitude: str, own_longitude: str) -> str:
    """Return the haversine formula as SQL, in kilometres."""
    square = (
        f"(pow(sin(radians({own_latitude} - {latitude}) / 2), 2) + cos(radians({latitude})) * "
        f"cos(radians({own_latitude})) * pow(sin(radians({own_longitude} - {longitude}) / 2), 2))"
    )
    # The arc sine of the square's root, so written that rounding cannot leave its domain and a null stays one.
    return f"2 * {EARTH_RADIUS_KM} * atan2(sqrt({square}), sqrt(abs(1 - {square})))"


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False, error_model="numpy")
def great_circle(
    latitude: np.float64, longitude: np.float64, own_latitude: np.float64, own_longitude: np.float64
) -> np.float64:
    """Return the great-circle distance of two points in kilometres, by the haversine formula.

    References
    ----------
    Sinnott: Virtues of the haversine, Sky and Telescope 68 (2), 1984.
    """
    first = math.radians(latitude)
    second = math.radians(own_latitude)
    half_latitude = math.sin((second - first) / 2.0)
    half_longitude = math.sin(math.radians(own_longitude - longitude) / 2.0)
    chord = half_latitude * half_latitude + math.cos(first) * math.cos(second) * half_longitude * half_longitude
    return 2.0 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))
