from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.features.harness import Arrival, ask, histories, payment, variants

WORLD = variants("speed", "latitude", "longitude", windows=False)


@settings(max_examples=10)
@given(history=histories())
def test_kernel_twin_and_sql_agree(history: list[Arrival]) -> None:
    WORLD.agree(history)


def test_kilometres_an_hour() -> None:
    history = [payment(0, latitude=0.0, longitude=0.0), payment(1_800, latitude=1.0, longitude=0.0)]
    assert ask(history, "speed", "latitude", "longitude") == [None, pytest.approx(222.39, abs=0.01)]


def test_no_time_counts_as_a_second() -> None:
    history = [payment(0, latitude=0.0, longitude=0.0), payment(0, latitude=1.0, longitude=0.0)]
    assert ask(history, "speed", "latitude", "longitude") == [None, pytest.approx(111.195 * 3_600, rel=1e-5)]
