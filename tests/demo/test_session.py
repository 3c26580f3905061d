from __future__ import annotations

import json
import threading

import pytest

from counterfoil.demo import DemoSettings, Session
from counterfoil.events.generators import FRAUD_STORIES, STORIES

SETTINGS = DemoSettings(seconds=2.5, rate=8_000, customers=300)


@pytest.fixture(scope="module")
def finished() -> tuple[Session, dict[str, object]]:
    session = Session(SETTINGS)
    assert session.warm_up() > 0
    summary = session.run()
    return session, session.as_dict(summary)


def test_the_score_agrees_with_the_summary(finished: tuple[Session, dict[str, object]]) -> None:
    session, found = finished
    score = session.score
    assert score.events == found["events"]
    assert score.decided == found["decided"] == score.outcomes.sum()
    assert score.alerts == found["alerts"]
    assert score.flagged == score.outcomes[1:].sum()
    assert score.frauds == score.stories[: len(FRAUD_STORIES), 0].sum() > 0
    assert score.frauds_flagged == score.stories[: len(FRAUD_STORIES), 1].sum()
    assert score.flagged >= score.stories[:, 1].sum()
    json.dumps(found)


def test_stories_are_named(finished: tuple[Session, dict[str, object]]) -> None:
    session, found = finished
    stories = found["stories"]
    assert isinstance(stories, dict)
    assert set(stories) == {STORIES[index] for index in session.score.stories[:, 0].nonzero()[0]}


def test_alerts_are_shown_with_their_truth(finished: tuple[Session, dict[str, object]]) -> None:
    session, _ = finished
    assert session.latest
    rules = {rule.name: rule for rule in session.detector.rules}
    for each in session.latest:
        assert each.outcome in ("review", "block")
        assert each.rule in rules
        assert each.reason
        assert each.truth is None or each.truth in FRAUD_STORIES
    assert any(each.truth for each in session.latest)


def test_nothing_is_left_behind(finished: tuple[Session, dict[str, object]]) -> None:
    session, _ = finished
    assert session._runtime is not None
    assert not session._runtime.folder.exists()


def test_it_can_be_stopped() -> None:
    session = Session(DemoSettings(seconds=600, rate=500, customers=100))
    threading.Timer(1.0, session.stopped.set).start()
    summary = session.run()
    assert summary.stopped
    assert summary.seconds < 60


def test_before_it_begins_there_is_nothing_to_show() -> None:
    session = Session(SETTINGS)
    assert (session.seconds, session.rate, session.behind) == (0.0, 0.0, False)
    assert session.latency_ms == {"p50": None, "p99": None}
    assert (session.score.precision, session.score.recall) == (None, None)


def test_a_rate_that_cannot_be_held_is_noticed() -> None:
    session = Session(DemoSettings(seconds=3, rate=5e6, customers=2_000))
    session.run()
    assert session.behind
