"""The report of a back-test: one HTML file that needs nothing else, to read, to print and to pass on."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.backtest.headline import Line, headline
from counterfoil.backtest.notes import notes
from counterfoil.backtest.svg import Series, curves, heat_map, legend, lying_bars, stacked_bars
from counterfoil.errors import StorageError
from counterfoil.rules.definition import Outcome

if TYPE_CHECKING:
    from counterfoil.backtest.measures import Measures
    from counterfoil.backtest.replay import Result

_WEEKS_FROM = 120
"""Beyond so many days a bar stands for a week."""
_RULES_MAX = 40
_GROUPS_SHOWN = 40

_STYLE = """
:root { --ink:#1c2430; --soft:#677487; --line:#e3e8ee; --back:#f5f7fa; --card:#fff; --fraud:#c8372d; --genuine:#e8b34b;
  --unknown:#a9b4c2; --good:#2f8f5b; --accent:#2c6fb7; --other:#8a5bb5; }
@media (prefers-color-scheme: dark) { :root { --ink:#e4e9f0; --soft:#93a1b5; --line:#2b3644; --back:#12171e;
  --card:#1a212b; --fraud:#e8675e; --genuine:#d9a53c; --unknown:#5c6a7c; --good:#4cba7e; --accent:#63a0e0;
  --other:#b48be0; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--back); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif; }
main { max-width:980px; margin:0 auto; padding:40px 24px 64px; }
h1 { font-size:26px; margin:0 0 4px; } h2 { font-size:17px; margin:0 0 12px; } code { font-size:.92em; }
.sub { color:var(--soft); margin:0 0 24px; }
section { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:22px 26px;
  margin:0 0 20px; }
.tiles { display:grid; grid-template-columns:repeat(auto-fill,minmax(205px,1fr)); gap:14px; margin-bottom:20px; }
.tile { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:14px 18px; }
.tile b { display:block; font-size:25px; font-variant-numeric:tabular-nums; letter-spacing:-.01em; }
.tile span { color:var(--soft); font-size:13px; } .tile em { font-style:normal; font-size:13px; color:var(--soft); }
.tile .up { color:var(--good); } .tile .down { color:var(--fraud); }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:14px; }
th,td { text-align:right; padding:6px 10px; border-bottom:1px solid var(--line); }
th { color:var(--soft); font-weight:600; }
th:first-child,td:first-child { text-align:left; padding-left:0; } tr:last-child td { border-bottom:0; }
td.quiet { color:var(--soft); } ul { margin:0; padding-left:20px; }
.legend { margin:0 0 8px; color:var(--soft); font-size:13px; } .legend span { margin-right:18px; }
.legend i { display:inline-block; width:11px; height:11px; border-radius:3px; margin-right:6px; vertical-align:-1px; }
svg { width:100%; height:auto; display:block; } .scroll { overflow-x:auto; }
svg text { font:12px system-ui,sans-serif; fill:var(--ink); } svg .tick { fill:var(--soft); font-size:11px; }
svg .middle,svg .cell { text-anchor:middle; } svg .end { text-anchor:end; } svg .cell { font-size:11px; }
svg .cell.light { fill:#fff; } svg .grid { stroke:var(--line); } svg .touch { fill:transparent; }
.fraud { fill:var(--fraud); background:var(--fraud); } .genuine { fill:var(--genuine); background:var(--genuine); }
.unknown { fill:var(--unknown); background:var(--unknown); } .good { fill:var(--good); background:var(--good); }
.accent,.heat { fill:var(--accent); background:var(--accent); } .other { fill:var(--other); background:var(--other); }
.own { fill:var(--line); } .line { fill:none !important; stroke-width:2; }
.line.accent { stroke:var(--accent); } .line.other { stroke:var(--other); }
@media print { body { background:#fff; } section,.tile { break-inside:avoid; } }
"""


def write_report(path: Path, result: Result) -> None:
    """Write a report.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    try:
        path.write_text(report_html(result, datetime.now(UTC)), "utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written: {reason}; choose another report file") from error


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
        _section("To know", "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes(result)) + "</ul>"),
    ]
    title = escape(f"Back-test of {result.detector.name}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def _section(title: str, content: str, hint: str = "") -> str:
    sub = f'<p class="sub" style="margin-bottom:12px">{escape(hint)}</p>' if hint else ""
    return f"<section><h2>{escape(title)}</h2>{sub}{content}</section>"


def _header(result: Result, written: datetime) -> str:
    totals = result.totals
    against = "" if result.other is None else f" against <code>{escape(result.other.detector.version)}</code>"
    span = "" if totals.first_time is None else f", {_day(totals.first_time)} to {_day(totals.last_time or 0)}"
    period = _period(result)
    files = ", ".join(escape(Path(each).name) for each in result.files)
    return (
        f"<h1>Back-test of {escape(result.detector.name)}</h1>"
        f'<p class="sub"><code>{escape(result.detector.version)}</code>{against}<br>'
        f"{files}{span}{period}<br>{totals.events:,} records: {totals.decided:,} decided, "
        f"{totals.observed:,} observed, {totals.duplicates:,} duplicates, {totals.dead:,} dead letters · "
        f"{result.seconds:,.1f} s, {result.events_per_second:,.0f} a second · written {written:%Y-%m-%d %H:%M} UTC</p>"
    )


def _period(result: Result) -> str:
    start, end = result.period.start, result.period.end
    if start is None and end is None:
        return ""
    first = "the beginning" if start is None else _moment(start)
    return f"; measured from {first} to {'the end' if end is None else _moment(end)}"


def _tiles(lines: list[Line]) -> str:
    tiles = []
    for line in lines:
        change = ""
        if line.other_text:
            style = "" if line.better is None else ' class="up"' if line.better else ' class="down"'
            change = (
                f"<em>before {escape(line.other_text)} · <span{style}>{escape(line.change_text or '–')}</span></em>"
            )
        tiles.append(
            f'<div class="tile" title="{escape(line.hint)}"><span>{escape(line.name)}</span>'
            f"<b>{escape(line.text)}</b>{change}</div>"
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{each}</td>" for each in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


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
    return _section("What became of the payments", _table(head, rows))


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
        _table(["change", "fraud", "genuine", "no label"], rows)
        if rows
        else "<p>Every payment has the same outcome.</p>"
    )
    hint = f"from {result.other.detector.version} to {result.detector.version}"
    return _section("What would change", content, hint)


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
    found = _section(f"Alerts a {word}", content)
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
    found += _section(f"Flagged payments a {word}", _legend(flagged) + stacked_bars(places, flagged))
    return found + _section(f"Frauds a {word}", _legend(frauds) + stacked_bars(places, frauds))


def _legend(series: list[Series]) -> str:
    return legend([(each.name, each.style) for each in series])


def _curve(result: Result) -> str:
    lines = [(result.detector.version, "accent", _points(result.measures))]
    if result.other is not None:
        lines.append((result.other.detector.version, "other", _points(result.other.measures)))
    if not any(points for _, _, points in lines):
        return ""
    content = legend([(name, style) for name, style, _ in lines]) + curves(lines, "recall", "precision")
    return _section(
        "Precision and recall", content, "if the score alone decided, for every score that rules have given"
    )


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
    return _section(
        f"By {result.groups}", _table([result.groups or "", "payments", "flagged", "blocked", "share"], rows)
    )


def _rules(measures: Measures, labelled: bool) -> str:
    rules = sorted((each for each in measures.rule_measures() if each.hits or each.failed), key=lambda each: -each.hits)
    if not rules:
        return _section("Rules", "<p>No rule has hit.</p>")
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
    return _section("Rules", chart + _table(head, rows) + tail, hint)


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
    return _section("Overlaps", heat_map(names, values), hint)


def _day(time: int) -> str:
    return str(np.datetime64(time, "us").astype("datetime64[D]"))


def _moment(time: int) -> str:
    return str(np.datetime64(time, "us").astype("datetime64[s]")).replace("T", " ") + " UTC"
