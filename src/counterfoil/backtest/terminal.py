"""A back-test's result for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from counterfoil.backtest.headline import headline
from counterfoil.backtest.notes import SAME, notes
from counterfoil.rules.definition import Outcome
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.backtest.measures import Measures
    from counterfoil.backtest.replay import Result

_BARS = "▁▂▃▄▅▆▇█"
_DAYS_SHOWN = 60
_PAIRS_SHOWN = 5
_RULE_WIDTH = 24
"""So that the table fits a terminal of 80 columns."""
_STYLES = {Outcome.APPROVE: "green", Outcome.REVIEW: "yellow", Outcome.BLOCK: "red"}


def print_result(console: Console, result: Result) -> None:
    """Print a result."""
    console.print()
    console.print(_title(result))
    parts: list[RenderableType] = [_headline(result), _outcomes(result.measures)]
    if result.comparison is not None:
        parts.append(_comparison(result))
    for part in parts:
        console.print(part)
    _print_days(console, result.measures)
    if result.measures.groups:
        console.print(_groups(result))
    console.print(_rules(result.measures))
    silent = [each.name for each in result.measures.rule_measures() if not each.hits]
    if silent:
        console.print(Text(f"never hit: {', '.join(silent)}\n", "dim"))
    _print_overlaps(console, result.measures)
    console.print(Panel(Group(*(Text(f"• {note}") for note in notes(result))), title="to know", box=box.ROUNDED))


def _title(result: Result) -> Text:
    totals = result.totals
    text = Text()
    text.append(result.detector.version, "bold cyan")
    if result.other is not None:
        text.append(" against ").append(result.other.detector.version, "bold magenta")
    text.append(
        f"\n{counted(totals.events, 'record')}: {totals.decided:,} decided, {totals.observed:,} observed, "
        f"{counted(totals.duplicates, 'duplicate')}, {counted(totals.dead, 'dead letter')}; "
        f"{result.seconds:,.1f} s, {result.events_per_second:,.0f} a second\n",
        "dim",
    )
    return text


def _headline(result: Result) -> Table:
    both = result.other is not None
    table = _table("")
    table.show_header = both
    table.add_column(result.detector.version if both else "", justify="right", style="bold")
    if result.other is not None:
        table.add_column(result.other.detector.version, justify="right")
        table.add_column("change", justify="right")
    for line in headline(result):
        cells = [line.name, line.text]
        if both:
            cells += [line.other_text, _coloured(line.change_text, line.better)]
        table.add_row(*cells)
    return table


def _coloured(text: str, better: bool | None) -> str:
    return text if better is None else f"[{'green' if better else 'red'}]{text}[/]"


def _outcomes(measures: Measures) -> Table:
    table = _table("outcome")
    table.add_column("fraud", justify="right")
    table.add_column("genuine", justify="right")
    table.add_column("no label", justify="right")
    for index, outcome in enumerate(Outcome):
        genuine, fraud, missing = measures.counts[index].tolist()
        table.add_row(f"[{_STYLES[outcome]}]{outcome.value}[/]", f"{fraud:,}", f"{genuine:,}", f"{missing:,}")
    return table


def _comparison(result: Result) -> Text:
    assert result.comparison is not None
    assert result.other is not None
    if result.detector.version == result.other.detector.version:
        return Text.from_markup(f"[bold yellow]{SAME}[/]\n")
    gained, lost = result.comparison.gained, result.comparison.lost
    return Text.from_markup(
        f"[bold]Only {escape(result.detector.name)} flags[/] {_labelled(gained)}.\n"
        f"[bold]Only the other flags[/] {_labelled(lost)}.\n"
    )


def _labelled(counts: dict[str, int]) -> str:
    return f"{counts['fraud']:,} frauds, {counts['genuine']:,} genuine, {counts['missing']:,} without a label"


def _print_days(console: Console, measures: Measures) -> None:
    days = measures.days()
    if not days:
        return
    # Several days share a bar where there are more days than columns.
    each = -(-len(days) // _DAYS_SHOWN)
    sums = [
        sum(day.alerts for day in days[at : at + each]) / len(days[at : at + each]) for at in range(0, len(days), each)
    ]
    first, last = (np.datetime64(day, "D") for day in (days[0].day, days[-1].day))
    text = Text("alerts a day", "bold")
    text.append(f"  {first} to {last}, at most {max(day.alerts for day in days):,}\n", "dim")
    text.append(sparkline(sums) + "\n", "cyan")
    console.print(text)


def sparkline(values: Sequence[float]) -> str:
    """Return values as a line of bars.

    Examples
    --------
    >>> sparkline([0, 1, 2, 4])
    '▁▃▅█'
    """
    most = max(values, default=0)
    if most <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in values)


def _groups(result: Result) -> Table:
    table = _table(result.groups or "group")
    for name in ("payments", "flagged", "blocked", "share flagged"):
        table.add_column(name, justify="right", no_wrap=True)
    ordered = sorted(result.measures.groups.items(), key=lambda item: -int(item[1][0]))
    for word, tally in ordered[:30]:
        payments, flagged, blocked = tally.tolist()
        table.add_row(
            escape(word) or "(empty)", f"{payments:,}", f"{flagged:,}", f"{blocked:,}", f"{flagged / payments:.1%}"
        )
    return table


def _rules(measures: Measures) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    table.add_column("rule", no_wrap=True, max_width=_RULE_WIDTH, overflow="ellipsis")
    headers = ["hits", "fraud", "precision", "alone (fraud)", "alerts"]
    failed = bool(measures.failed.any())
    for name in headers + (["failed"] if failed else []):
        table.add_column(name, justify="right", no_wrap=True)
    for each in sorted(measures.rule_measures(), key=lambda rule: -rule.hits):
        if not each.hits and not each.failed:
            continue
        share = "–" if each.precision is None else f"{each.precision:.1%}"
        alone = f"{each.only:,} ({each.only_fraud:,})" if each.only else "–"
        cells = [f"{each.hits:,}", f"{each.fraud:,}", share, alone, f"{each.alerts:,}"]
        table.add_row(escape(each.name), *cells, *([f"[red]{each.failed:,}[/]"] if failed else []))
    return table


def _print_overlaps(console: Console, measures: Measures) -> None:
    pairs = [
        (int(measures.overlaps[row, column]), first, second)
        for row, first in enumerate(measures.rules)
        for column, second in enumerate(measures.rules)
        if row < column and measures.overlaps[row, column]
    ]
    for count, first, second in sorted(pairs, reverse=True)[:_PAIRS_SHOWN]:
        console.print(f"  {count:,} payments hit by both [cyan]{escape(first)}[/] and [cyan]{escape(second)}[/]")
    if pairs:
        console.print()


def _table(first: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    return table
