from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from counterfoil.demo import DemoSettings, Session, Shown
from counterfoil.demo.screen import Lines, print_summary, screen
from counterfoil.runtimes.local.summary import RunSummary

TIME = 1_767_225_600_000_000


@pytest.fixture
def session() -> Session:
    found = Session(DemoSettings())
    found.score.stories[0] = (10, 4)
    found.score.stories[7] = (20, 1)
    found.score.frauds, found.score.frauds_flagged, found.score.flagged, found.score.alerts = 10, 4, 5, 2
    found.score.outcomes = np.array([90, 3, 2])
    found.score.first_time, found.score.last_time = TIME, TIME + 3 * 86_400_000_000
    found.latest.append(Shown(TIME, "review", 0.8, "card-testing", "Three [tiny] payments.", "card_testing", 2))
    found.latest.append(Shown(TIME, "block", 0.99, "blocked-device", "The device is on the list.", None))
    found.score.rules.update({"card-testing": 2, "blocked-device": 1})
    found.entities = {"customer": 7, "account<counterparty_id": 3}
    return found


def drawn(session: Session, width: int, height: int = 34) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, height=height).print(screen(session, height, width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [78, 109, 110, 160])
def test_the_screen_fits(session: Session, width: int) -> None:
    text = drawn(session, width)
    lines = text.rstrip("\n").split("\n")
    assert len(lines) <= 34
    assert max(len(line) for line in lines) <= width
    for part in ("latest alerts", "card-testing", "Three [tiny] payments.", "and 2 more", "stolen card burst", "4/10"):
        assert part in text, part
    assert "19 of 20 innocent twins left alone" in text
    assert ("busiest rules" in text) == (width >= 110)


def test_the_newest_alert_is_on_top(session: Session) -> None:
    text = drawn(session, 120)
    assert text.index("blocked-device") < text.index("card-testing")


def test_before_anything_has_happened() -> None:
    assert "–" in drawn(Session(DemoSettings()), 100)


def test_lines(session: Session) -> None:
    written: list[str] = []
    lines = Lines(written.append)
    lines.update(session)
    assert "2 alerts" in written[0]
    assert "precision 80%" in written[0]
    assert "(genuine)" in written[1]
    lines.update(session)
    assert len(written) == 3


def test_the_summary(session: Session) -> None:
    stream = io.StringIO()
    summary = RunSummary(100, 95, 5, 0, 0, 2, 10.0, {"p50": 1.5, "p99": None}, 100, 0.0, stopped=False)
    print_summary(Console(file=stream, width=100), session, summary)
    text = stream.getvalue()
    for part in (
        "100 events in 10.0 s",
        "p50 1.5 ms",
        "3 days of the bank",
        "4 of 10",
        "19 of 20",
        "Try next",
        "7 × customer",
    ):
        assert part in text, part
    assert "counterparty_id" not in text
