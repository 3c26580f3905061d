from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from counterfoil.backtest import Result
from counterfoil.backtest.headline import headline
from counterfoil.backtest.terminal import print_result, sparkline
from tests.backtest.sample import detector, events, run, write


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("terminal") / "history.ndjson", events())


def printed(result: Result) -> str:
    stream = io.StringIO()
    print_result(Console(file=stream, width=100), result)
    return stream.getvalue()


def test_everything_is_there(history: Path) -> None:
    result = run(history, groups="story")
    text = printed(result)
    for part in ("precision", "recall", "value caught", "alerts a day", "many", "stolen", "hit by both", "never hit"):
        assert part in text or (part == "never hit" and all(each.hits for each in result.measures.rule_measures()))
    assert f"{result.measures.recall():.1%}" in text


def test_two_side_by_side(history: Path) -> None:
    result = run(history, detector=detector(2), against=detector(5))
    text = printed(result)
    assert "change" in text
    assert "Only the other flags 0 frauds" in text
    lines = {line.name: line for line in headline(result)}
    assert lines["recall"].better in (True, None)
    assert lines["flagged"].change_text.startswith("+")


def test_without_labels_nothing_is_claimed(history: Path) -> None:
    names = {line.name for line in headline(run(history, labels=None))}
    assert "precision" not in names
    assert "value caught" not in names


def test_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    assert "0 records" in printed(run(empty))


def test_sparkline() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([1, 8]) == "▂█"
