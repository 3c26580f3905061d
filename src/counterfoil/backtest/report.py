"""The report of a back-test: one HTML file that needs nothing else, to read, to print and to pass on."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.backtest.headline import Line, headline
from counterfoil.backtest.notes import notes
from counterfoil.backtest.page import header, listed, page, section, table, tiles, write_page
from counterfoil.backtest.svg import Series, curves, heat_map, legend, lying_bars, stacked_bars
from counterfoil.rules.definition import Outcome

if TYPE_CHECKING:
    from counterfoil.backtest.measures import Measures
    from counterfoil.backtest.replay import Result

_WEEKS_FROM = 120
"""Beyond so many days a bar stands for a week."""
_RULES_MAX = 40
_GROUPS_SHOWN = 40


def write_report(path: Path, result: Result) -> None:
    """Write a report.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    write_page(path, report_html(result, datetime.now(UTC)))


def report_html(result: Result, written: datetime) -> str:
    """Return a report.

    Parameters
    ----------
    result
        What was found.
    written
        The time that stands in it.
    """
    labelled = result.labels is not None and result.measures.labelled > 0
    sections = [
        _header(result, written),
        _tiles(headline(result)),
        _outcomes(result),
        _comparison(result),
        _days(result.measures, labelled),
        _curve(result) if labelled else "",
        _groups(result),
        _rules(result.measures, labelled),
        _overlaps(result.measures),
        listed("To know", map(escape, notes(result))),
    ]
    return page(f"Back-test of {result.detector.name}", "".join(sections))


def _header(result: Result, written: datetime) -> str:
    totals = result.totals
    against = "" if result.other is None else f" against <code>{escape(result.other.detector.version)}</code>"
    span = "" if totals.first_time is None else f", {_day(totals.first_time)} to {_day(totals.last_time or 0)}"
    period = _period(result)
    files = ", ".join(escape(Path(each).name) for each in result.files)
    content = (
        f"<code>{escape(result.detector.version)}</code>{against}<br>"
        f"{files}{span}{period}<br>{totals.events:,} records: {totals.decided:,} decided, "
        f"{totals.observed:,} observed, {totals.duplicates:,} duplicates, {totals.dead:,} dead letters · "
        f"{result.seconds:,.1f} s, {result.events_per_second:,.0f} a second"
    )
    return header(f"Back-test of {result.detector.name}", content, written)


def _period(result: Result) -> str:
    start, end = result.period.start, result.period.end
    if start is None and end is None:
        return ""
    first = "the beginning" if start is None else _moment(start)
    return f"; measured from {first} to {'the end' if end is None else _moment(end)}"


def _tiles(lines: list[Line]) -> str:
    return tiles((line.name, line.text, line.hint, _change(line)) for line in lines)


def _change(line: Line) -> str:
    """Return what has changed against the other detector."""
    if not line.other_text:
        return ""
    style = "" if line.better is None else ' class="up"' if line.better else ' class="down"'
    return f"<em>before {escape(line.other_text)} · <span{style}>{escape(line.change_text or '–')}</span></em>"


def _outcomes(result: Result) -> str:
    measures = result.measures
    rows = []
    for index, outcome in enumerate(Outcome):
        genuine, fraud, missing = measures.counts[index].tolist()
        row = [outcome.value, f"{fraud:,}", f"{genuine:,}", f"{missing:,}"]
        if measures.scale is not None:
            row += [f"{int(each) / 10**measures.scale:,.0f}" for each in measures.value[index][[1, 0, 2]]]
        rows.append(row)
    head = ["outcome", "fraud", "genuine", "no label"]
    if measures.scale is not None:
        head += [f"{result.value}, fraud", "genuine", "no label"]
    return section("What became of the payments", table(head, rows))


def _comparison(result: Result) -> str:
    if result.comparison is None or result.other is None:
        return ""
    names = [outcome.value for outcome in Outcome]
    rows = []
    for row, first in enumerate(names):
        for column, other in enumerate(names):
            if row != column and result.comparison.counts[row, column].any():
                genuine, fraud, missing = result.comparison.counts[row, column].tolist()
                rows.append([f"{other} → {first}", f"{fraud:,}", f"{genuine:,}", f"{missing:,}"])
    content = (
        table(["change", "fraud", "genuine", "no label"], rows)
        if rows
        else "<p>Every payment has the same outcome.</p>"
    )
    hint = f"from {result.other.detector.version} to {result.detector.version}"
    return section("What would change", content, hint)


def _days(measures: Measures, labelled: bool) -> str:
    days = measures.days()
    if not days:
        return ""
    size = 7 if len(days) > _WEEKS_FROM else 1
    groups = [days[at : at + size] for at in range(0, len(days), size)]
    places = [str(np.datetime64(group[0].day, "D")) for group in groups]
    word = "week" if size == 7 else "day"
    content = stacked_bars(
        places, [Series("alerts", "accent", [sum(each.alerts for each in group) for group in groups])]
    )
    found = section(f"Alerts a {word}", content)
    if not labelled:
        return found
    flagged = [
        Series("fraud", "fraud", [sum(each.flagged_fraud for each in group) for group in groups]),
        Series("genuine", "genuine", [sum(each.flagged_genuine for each in group) for group in groups]),
        Series("no label", "unknown", [sum(each.flagged_unknown for each in group) for group in groups]),
    ]
    frauds = [
        Series("caught", "good", [sum(each.flagged_fraud for each in group) for group in groups]),
        Series("missed", "fraud", [sum(each.missed_fraud for each in group) for group in groups]),
    ]
    found += section(f"Flagged payments a {word}", _legend(flagged) + stacked_bars(places, flagged))
    return found + section(f"Frauds a {word}", _legend(frauds) + stacked_bars(places, frauds))


def _legend(series: list[Series]) -> str:
    return legend([(each.name, each.style) for each in series])


def _curve(result: Result) -> str:
    lines = [(result.detector.version, "accent", _points(result.measures))]
    if result.other is not None:
        lines.append((result.other.detector.version, "other", _points(result.other.measures)))
    if not any(points for _, _, points in lines):
        return ""
    content = legend([(name, style) for name, style, _ in lines]) + curves(lines, "recall", "precision")
    return section("Precision and recall", content, "if the score alone decided, for every score that rules have given")


def _points(measures: Measures) -> list[tuple[float, float, str]]:
    # A score of 0 flags everything and says nothing about the rules.
    return [
        (recall, precision, f"score ≥ {score:g}: precision {precision:.1%}, recall {recall:.1%}")
        for score, precision, recall in measures.curve()
        if score > 0
    ]


def _groups(result: Result) -> str:
    groups = sorted(result.measures.groups.items(), key=lambda item: -int(item[1][0]))[:_GROUPS_SHOWN]
    if not groups:
        return ""
    rows = [
        [escape(word) or "(empty)", *(f"{int(each):,}" for each in tally), f"{int(tally[1]) / int(tally[0]):.1%}"]
        for word, tally in groups
    ]
    return section(f"By {result.groups}", table([result.groups or "", "payments", "flagged", "blocked", "share"], rows))


def _rules(measures: Measures, labelled: bool) -> str:
    rules = sorted((each for each in measures.rule_measures() if each.hits or each.failed), key=lambda each: -each.hits)
    if not rules:
        return section("Rules", "<p>No rule has hit.</p>")
    shown = rules[:_RULES_MAX]
    if labelled:
        series = [
            Series("fraud", "fraud", [each.fraud for each in shown]),
            Series("genuine", "genuine", [each.genuine for each in shown]),
            Series("no label", "unknown", [each.hits - each.fraud - each.genuine for each in shown]),
        ]
    else:
        series = [Series("hits", "accent", [each.hits for each in shown])]
    rows = [
        [
            escape(each.name),
            f"{each.hits:,}",
            f"{each.fraud:,}",
            "–" if each.precision is None else f"{each.precision:.1%}",
            f"{each.only:,}",
            f"{each.only_fraud:,}",
            f"{each.alerts:,}",
            f"{each.failed:,}",
        ]
        for each in rules
    ]
    head = ["rule", "hits", "fraud", "precision", "alone", "fraud alone", "alerts", "failed"]
    silent = [each.name for each in measures.rule_measures() if not each.hits]
    tail = f'<p class="sub" style="margin:12px 0 0">Never hit: {escape(", ".join(silent))}.</p>' if silent else ""
    chart = (_legend(series) if labelled else "") + lying_bars([each.name for each in shown], series)
    hint = "alone: no other rule hit that payment; fraud alone: what would be missed without the rule"
    return section("Rules", chart + table(head, rows) + tail, hint)


def _overlaps(measures: Measures) -> str:
    chosen = [
        index
        for index in np.argsort(-measures.overlaps.diagonal(), kind="stable").tolist()
        if measures.overlaps[index, index]
    ]
    if len(chosen) < 2:
        return ""
    names = [f"{place + 1}  {measures.rules[index]}" for place, index in enumerate(chosen[:_RULES_MAX])]
    values = [[int(measures.overlaps[row, column]) for column in chosen[:_RULES_MAX]] for row in chosen[:_RULES_MAX]]
    hint = "payments that two rules hit together; on the diagonal, all that one rule hit"
    return section("Overlaps", heat_map(names, values), hint)


def _day(time: int) -> str:
    return str(np.datetime64(time, "us").astype("datetime64[D]"))


def _moment(time: int) -> str:
    return str(np.datetime64(time, "us").astype("datetime64[s]")).replace("T", " ") + " UTC"
