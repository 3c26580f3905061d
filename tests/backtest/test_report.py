from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from counterfoil.backtest import Period
from counterfoil.backtest.report import report_html, write_report
from counterfoil.detector_file import read_detector
from counterfoil.errors import StorageError
from tests.backtest.sample import DEFINITION, START, detector, events, run, write

WRITTEN = datetime(2026, 1, 2, tzinfo=UTC)
VOID = {"meta", "br", "link", "img", "hr"}


class Balanced(HTMLParser):
    """Sees to it that what is opened is closed, and keeps what could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetches: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetches += [str(value) for name, value in attrs if name in {"src", "href", "action", "data"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("report") / "history.ndjson", events(), broken=True)


def check(html: str) -> None:
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert parser.fetches == []
    assert "<script" not in html
    assert re.findall(r"https?://[^\"]+", html.replace("http://www.w3.org/2000/svg", "")) == []
    for chart in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(chart)


def test_a_report_needs_nothing_else(history: Path) -> None:
    html = report_html(run(history, groups="story"), WRITTEN)
    check(html)
    for title in ("Alerts a day", "Frauds a day", "Precision and recall", "Rules", "Overlaps", "By story", "To know"):
        assert f"<h2>{title}</h2>" in html
    assert "2026-01-02 00:00 UTC" in html
    assert "2 records could not be read" in html


def test_two_side_by_side(history: Path) -> None:
    html = report_html(run(history, detector=detector(2), against=detector(5)), WRITTEN)
    check(html)
    assert "What would change" in html
    assert "before " in html


def test_without_labels(history: Path) -> None:
    html = report_html(run(history, labels=None), WRITTEN)
    check(html)
    assert "Precision and recall" not in html
    assert "No labels were given" in html


def test_with_a_period(history: Path) -> None:
    html = report_html(run(history, period=Period((START + 86_400) * 1_000_000)), WRITTEN)
    check(html)
    assert "measured from 2026-01-02 00:00:00 UTC to the end" in html


def test_nothing_at_all(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    check(report_html(run(empty), WRITTEN))


def test_weeks_when_there_are_many_days(tmp_path: Path) -> None:
    records = events(200)
    for number, record in enumerate(records):
        record["at"] = START + number * 86_400
    html = report_html(run(write(tmp_path / "history.ndjson", records)), WRITTEN)
    check(html)
    assert "Alerts a week" in html


def test_names_are_escaped(tmp_path: Path) -> None:
    nasty = read_detector(DEFINITION.replace("LIMIT", "3").replace("name: many", "name: many-x"))
    records = events()
    for record in records:
        if record.get("story"):
            record["story"] = "<script>alert(1)</script>"
    path = write(tmp_path / "<b>.ndjson", records)
    html = report_html(run(path, detector=nasty, groups="story"), WRITTEN)
    check(html)
    assert "&lt;script&gt;" in html


def test_writing(history: Path, tmp_path: Path) -> None:
    result = run(history)
    write_report(tmp_path / "report.html", result)
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")
    with pytest.raises(StorageError, match="choose another report file"):
        write_report(tmp_path / "absent" / "report.html", result)
