"""Drift of a table, as a whole and day by day, and its report."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from counterfoil.errors import InputError
from counterfoil.models.drift import DriftSettings
from counterfoil.models.matrix import matrix_of_frame
from counterfoil.models.model import load_model
from counterfoil.models.profile import Profile, read_profile
from counterfoil.training.drift_report import drift_report_html, write_drift_report
from counterfoil.training.drifting import MOVED, MOVING, STABLE, DriftStudy, study_drift
from tests.training.demo_model import INPUTS, frame, model, write


def study(folder: Path, shift: float = 1.0, rows: int = 12_000) -> DriftStudy:
    random = np.random.default_rng(1)
    onnx, signature = model(write(frame(random, 20_000), folder / "then.parquet"))
    loaded = load_model(onnx, signature)
    table = write(frame(random, rows, 30, shift=shift), folder / "now.parquet")
    profile = read_profile(signature.profile)
    assert isinstance(profile, Profile)
    matrix = matrix_of_frame(table.frame, INPUTS)
    return study_drift("demo@1", INPUTS, profile, matrix, loaded.score(matrix), table.times)


def test_nothing_has_moved_in_more_of_the_same(tmp_path: Path) -> None:
    found = study(tmp_path)
    assert {found.verdict(each) for each in found.drifts} == {STABLE}
    assert [each.rows for each in found.days] == [day.drifts[0].rows for day in found.days]
    assert sum(each.rows for each in found.days) == found.rows == 12_000


def test_what_was_moved_is_named_on_each_day(tmp_path: Path) -> None:
    found = study(tmp_path, shift=5.0)
    content = found.as_dict()
    assert [each["name"] for each in content["features"] if each["verdict"] == MOVED] == ["amount"]
    assert content["score"]["verdict"] == MOVED
    assert all(day["moved"] == ["amount", "score"] for day in content["days"])


def test_what_moved_within_training_is_moving_and_no_news(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    grown = frame(random, 20_000).with_columns(card_count_1h=pl.int_range(pl.len()) // 100)
    onnx, signature = model(write(grown, tmp_path / "then.parquet"))
    table = write(frame(random, 12_000, 30).with_columns(card_count_1h=pl.lit(900)), tmp_path / "now.parquet")
    found_profile = read_profile(signature.profile)
    assert found_profile is not None
    matrix = matrix_of_frame(table.frame, INPUTS)
    scores = load_model(onnx, signature).score(matrix)
    found = study_drift("demo@1", INPUTS, found_profile, matrix, scores, table.times)
    verdicts = {each.name: found.verdict(each) for each in found.drifts}
    assert verdicts == {"amount": STABLE, "card_count_1h": MOVING, "new_device": STABLE, "score": MOVED}
    assert "features moving" in drift_report_html(found, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_day_with_few_rows_is_not_judged(tmp_path: Path) -> None:
    found = study(tmp_path, rows=6_000)
    assert all(day.drifts == () for day in found.days)
    assert "Features a day" not in drift_report_html(found, datetime(2026, 1, 1, tzinfo=UTC))


class _Checked(HTMLParser):
    """Sees to it that every tag is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass


def test_the_report_shows_what_moved(tmp_path: Path) -> None:
    found = study(tmp_path, shift=5.0)
    write_drift_report(tmp_path / "drift.html", found)
    text = (tmp_path / "drift.html").read_text("utf-8")
    checked = _Checked()
    checked.feed(text)
    assert checked.open == []
    assert "<b>moved</b>" in text
    assert text.count("<svg") == 1 + 4
    assert "4 of 4" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_name_cannot_break_the_page(tmp_path: Path) -> None:
    found = study(tmp_path)
    evil = DriftStudy("<script>", found.inputs, found.profile, found.drifts, found.days, found.settings)
    assert "<script>" not in drift_report_html(evil, datetime(2026, 1, 1, tzinfo=UTC))


def test_an_empty_table_and_a_foreign_profile_are_refused(tmp_path: Path) -> None:
    found = study(tmp_path)
    nothing = np.zeros((0, 3), np.float32), np.zeros(0), np.zeros(0, np.int64)
    with pytest.raises(InputError, match="no rows"):
        study_drift("demo@1", INPUTS, found.profile, *nothing)
    foreign = Profile(found.profile.features[:1], found.profile.score)
    with pytest.raises(InputError, match="lacks card_count_1h, new_device"):
        study_drift("demo@1", INPUTS, foreign, np.zeros((1, 3), np.float32), np.zeros(1), np.zeros(1, np.int64))


def test_bounds_can_be_set(tmp_path: Path) -> None:
    found = study(tmp_path, shift=1.3)
    strict = DriftSettings(psi_raise=0.02, psi_clear=0.01, ks_raise=0.02, ks_clear=0.01)
    stricter = DriftStudy("demo@1", found.inputs, found.profile, found.drifts, found.days, strict)
    amount = found.drifts[0]
    assert (found.verdict(amount), stricter.verdict(amount)) != (MOVED, MOVED)
    assert stricter.verdict(amount) == MOVED
