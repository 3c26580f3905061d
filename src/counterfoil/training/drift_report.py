"""The report on drift: which features moved, since when, and how they lie now."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.backtest.page import header, listed, page, section, table, tiles, write_page
from counterfoil.backtest.svg import Series, legend, paired_bars, stacked_bars
from counterfoil.models.drift import groups
from counterfoil.models.explanations import readable, value_in_words
from counterfoil.training.drifting import MOVED, MOVING, SHIFTED, STABLE

if TYPE_CHECKING:
    from counterfoil.models.drift import Drift, DriftSettings
    from counterfoil.training.drifting import DriftStudy

_SHOWN = 12
"""Features whose distributions are drawn: the score, and those that moved most."""


def write_drift_report(path: Path, study: DriftStudy) -> None:
    """Write a report.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    write_page(path, drift_report_html(study, datetime.now(UTC)))


def drift_report_html(study: DriftStudy, written: datetime) -> str:
    """Return a report.

    Parameters
    ----------
    study
        What was found.
    written
        The time that stands in it.
    """
    ordered = sorted(study.drifts[:-1], key=lambda each: -each.psi)
    parts = [_header(study, written), _tiles(study), _table(study, ordered), _days(study)]
    parts += [_distribution(study, each) for each in [study.drifts[-1], *ordered][:_SHOWN]]
    parts.append(listed("To know", _to_know(study.settings)))
    return page(f"Drift of {study.model}", "".join(parts))


_MOVING = (
    "moving: it moved within training itself, as an age or a count since ever does: the last quarter of the training"
    " table lies apart from the one before it. Where such a feature lies now is no news"
)
_MEASURES = (
    "both are over the bins of the training table, with missing values as a bin of their own; KS is at most one bin's"
    " share below the true one"
)
_MEANING = "drift says that payments differ from those of training, not that the model is worse: labels say that, later"


def _to_know(settings: DriftSettings) -> tuple[str, ...]:
    moved = f"moved: PSI above {settings.psi_raise:g} or KS above {settings.ks_raise:g}"
    stable = f"stable: PSI below {settings.psi_clear:g} and KS below {settings.ks_clear:g}"
    few = f"a day with fewer than {settings.rows_min:,} rows is not judged"
    return f"{moved}; {stable}", _MOVING, _MEASURES, _MEANING, few


def _header(study: DriftStudy, written: datetime) -> str:
    first, last = (str(np.datetime64(study.days[place].day, "D")) for place in (0, -1))
    content = f"{study.rows:,} payments, {first} to {last}, against {study.profile.score.rows:,} of the training table"
    return header(f"Drift of {study.model}", content, written)


def _tiles(study: DriftStudy) -> str:
    verdicts = [study.verdict(each) for each in study.drifts[:-1]]
    score = study.drifts[-1]
    found = [
        ("features moved", f"{verdicts.count(MOVED)}", f"of {len(verdicts)}"),
        ("features shifted", f"{verdicts.count(SHIFTED)}", "worth a look"),
        ("features moving", f"{verdicts.count(MOVING)}", "as they did in training"),
        ("score", study.verdict(score), f"PSI {score.psi:.3f}, KS {score.ks:.3f}"),
        ("days", f"{len(study.days):,}", f"{sum(bool(each.drifts) for each in study.days):,} with enough rows"),
    ]
    return tiles((name, value, "", f"<em>{escape(hint)}</em>") for name, value, hint in found)


def _table(study: DriftStudy, ordered: list[Drift]) -> str:
    rows = []
    for each in [study.drifts[-1], *ordered]:
        verdict = study.verdict(each)
        cell = verdict if verdict != MOVED else f"<b>{verdict}</b>"
        rows.append(
            [
                escape(readable(each.name)),
                f"{each.psi:.3f}",
                f"{each.ks:.3f}",
                f"{each.missing_before:.1%}",
                f"{each.missing:.1%}",
                _days_moved(study, each),
                cell,
            ]
        )
    head = ["feature", "PSI", "KS", "missing then", "missing now", "days moved", ""]
    return section("Features", table(head, rows), "the score first, then those that moved most")


def _days_moved(study: DriftStudy, drift: Drift) -> str:
    judged = [day for day in study.days if day.drifts]
    place = next(index for index, each in enumerate(study.drifts) if each is drift)
    moved = sum(study.verdict(day.drifts[place]) == MOVED for day in judged)
    return f"{moved} of {len(judged)}" if judged else "–"


def _days(study: DriftStudy) -> str:
    judged = [day for day in study.days if day.drifts]
    if not judged:
        return ""
    series = [
        Series(verdict, style, [sum(study.verdict(each) == verdict for each in day.drifts) for day in judged])
        for verdict, style in ((MOVED, "fraud"), (SHIFTED, "genuine"), (MOVING, "other"), (STABLE, "good"))
    ]
    places = [str(np.datetime64(day.day, "D")) for day in judged]
    chart = legend([(each.name, each.style) for each in series]) + stacked_bars(places, series)
    return section("Features a day", chart)


def _distribution(study: DriftStudy, drift: Drift) -> str:
    profile = study.profile_of(drift)
    if not profile.rows:
        return ""
    starts = groups(profile.all_counts.astype(np.float64))
    then, now = (np.add.reduceat(each, starts) for each in (profile.all_counts, np.array(drift.counts)))
    inputs = {each.name: each for each in study.inputs}
    each = None if drift is study.drifts[-1] else inputs[drift.name]
    kind, values = ("float", ()) if each is None else (each.type, each.values)
    ends = [profile.cuts[start - 1] for start in starts[1:-1].tolist()]
    places = [f"≤ {value_in_words(kind, end, values)}" for end in ends]
    places += [f"> {value_in_words(kind, ends[-1], values)}" if ends else "known", "missing"]
    first = Series("training", "other", (then / max(then.sum(), 1)).tolist())
    second = Series("now", "accent", (now / max(now.sum(), 1)).tolist())
    chart = legend([(series.name, series.style) for series in (first, second)]) + paired_bars(places, first, second)
    return section(readable(drift.name), chart, f"share of payments in percent; PSI {drift.psi:.3f}, KS {drift.ks:.3f}")
