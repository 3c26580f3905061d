from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from counterfoil.events.generators import STORIES
from counterfoil.events.generators.columns import EVENT
from counterfoil.events.generators.plan import Plan
from counterfoil.events.generators.population import build_world
from counterfoil.events.generators.stories import BOOK, Occasion, Story
from counterfoil.events.generators.whereabouts import DAY_MS

START = 20_458 * DAY_MS
PEOPLE = 3_000


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(build_world(8, PEOPLE), 8, START, payments_a_day=3_000.0, fraud_share=0.02)


def ordered(rows: np.ndarray) -> np.ndarray:
    return np.sort(rows, order=("number", "kind"))


def test_stretches_of_any_length_tell_the_same(plan: Plan) -> None:
    edges = [START, START + DAY_MS // 7, START + DAY_MS, START + 9 * DAY_MS + 12_345, START + 30 * DAY_MS]
    parts = np.concatenate([plan.within(*pair) for pair in pairwise(edges)])
    whole = plan.within(edges[0], edges[-1])
    assert np.array_equal(ordered(whole), ordered(parts))
    assert len(np.unique(whole["number"])) == len(whole)


def test_nothing_is_told_of_the_past(plan: Plan) -> None:
    for begin in range(START, START + 20 * DAY_MS, DAY_MS):
        assert plan.within(begin, begin + DAY_MS)["time"].min() >= begin
    before = plan.before()
    assert before["time"].min() >= START
    assert {STORIES[code] for code in np.unique(before["story"])} >= {"merchant_compromise", "family_holiday"}


@pytest.mark.parametrize("story", BOOK, ids=lambda story: story.name)
def test_a_story_is_as_long_and_as_rich_as_it_says(plan: Plan, story: Story) -> None:
    rows = plan._tell(story, START, START + 60 * DAY_MS)
    assert rows.dtype == EVENT
    payments = rows[rows["kind"] == 0]
    counted = payments[payments["fraud"] == 1] if story.fraud else payments
    assert story.fraud == bool(payments["fraud"].any())
    tellings = len(np.unique(rows["number"] >> np.uint64(12)))
    assert tellings >= 10
    if story.occasion is Occasion.CHANCE:
        assert 0.75 < len(counted) / tellings / story.payments < 1.35
    # Each telling's last event is no later after the stretch than the story says.
    assert rows["time"].max() < START + (60 + story.days) * DAY_MS
    early = plan._tell(story, START, START + 5 * DAY_MS)
    assert early["time"].max() - START < (story.days + 5) * DAY_MS


def test_without_fraud_only_twins_are_told() -> None:
    plan = Plan(build_world(8, PEOPLE), 8, START, payments_a_day=3_000.0, fraud_share=0.0)
    rows = plan.within(START, START + 20 * DAY_MS)
    assert not rows["fraud"].any()
    assert rows["story"].min() >= 7
