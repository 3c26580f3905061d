"""200 kills: at every fail-point, and at random instants. ``make crash`` does it for longer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.runtimes.local.failpoints import FAIL_POINTS, KAFKA_FAIL_POINTS
from tests.crash.campaign import Campaign

KILLS = 200
_AT_FAIL_POINTS = 90
"""Fewer than come together at the fail-points, so that each of the two tests does its half where they run apart."""


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    with Campaign(tmp_path, seed=20_260_101) as campaign:
        yield campaign


def test_a_kill_at_any_fail_point_changes_nothing(campaign: Campaign) -> None:
    for name in FAIL_POINTS:
        assert campaign.at_fail_point(name), f"no run came to {name}"
    count = 2
    while campaign.kills < _AT_FAIL_POINTS:
        for name in FAIL_POINTS:
            if name.startswith(("commit", "output.write", "snapshot")) and campaign.kills < _AT_FAIL_POINTS:
                campaign.at_fail_point(name, count)
        count += 1
    assert campaign.reached == set(FAIL_POINTS)


def test_a_kill_at_any_instant_changes_nothing(campaign: Campaign) -> None:
    while campaign.kills < KILLS - _AT_FAIL_POINTS:
        campaign.at_random()


def test_every_fail_point_is_in_the_code_and_listed() -> None:
    package = Path(__file__).resolve().parents[2] / "src" / "counterfoil"
    named = {
        name for path in package.rglob("*.py") for name in re.findall(r'reach\("([\w.]+)"\)', path.read_text("utf-8"))
    }
    assert named == {*FAIL_POINTS, *KAFKA_FAIL_POINTS}
