from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import Arrival, ask, histories, payment, variants

WORLD = variants("distance", "latitude", "longitude", windows=False)


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def at(time: float, latitude: float | None, longitude: float | None) -> Arrival:
    return payment(time, latitude=latitude, longitude=longitude)


def test_from_the_previous_position() -> None:
    history = [at(0, 48.8566, 2.3522), at(1, None, 13.0), at(2, 52.52, 13.405), at(3, 52.52, 13.405)]
    assert ask(history, "distance", "latitude", "longitude") == [None, None, pytest.approx(877.46, abs=0.01), 0.0]


def test_half_around_the_earth() -> None:
    history = [at(0, 0.0, 0.0), at(1, 0.0, 180.0)]
    assert ask(history, "distance", "latitude", "longitude")[1] == pytest.approx(20_015.1, abs=0.1)
