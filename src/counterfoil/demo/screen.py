"""What the demo shows: a live screen on a terminal, plain lines elsewhere, and the summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from counterfoil.events.generators import FRAUD_STORIES, STORIES, TWINS
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.demo.session import Session, Shown
    from counterfoil.runtimes.local.summary import RunSummary

_STYLES = {"approve": "green", "review": "yellow", "block": "bold red"}
_BAR = 12
_WIDE = 110
"""From so many columns on, stories stand beside the alerts; below it, under them."""


def story_words(story: str) -> str:
    """Return a story's name for people.

    Examples
    --------
    >>> story_words("card_testing")
    'card testing'
    """
    return story.replace("_", " ")


def screen(session: Session, height: int, width: int) -> RenderableType:
    """Return the whole screen."""
    layout, body = Layout(), Layout()
    stories, top = _stories(session), 7
    if width >= _WIDE:
        rows = max(height - top - 2, 2)
        side, below = Layout(), len(FRAUD_STORIES) + 3
        side.split_column(Layout(stories, size=below), Layout(_rules(session, max(height - top - below - 3, 0))))
        body.split_row(Layout(_alerts(session, rows)), Layout(side, size=50))
    else:
        below = len(FRAUD_STORIES) + 3
        rows = max(height - top - below - 2, 2)
        body.split_column(Layout(_alerts(session, rows)), Layout(stories, size=below))
    layout.split_column(Layout(_top(session), size=top), body)
    return layout


def _top(session: Session) -> Panel:
    score = session.score
    latency = session.latency_ms
    grid = Table.grid(expand=True)
    for _ in range(6):
        grid.add_column(justify="center")
    grid.add_row(
        _number(f"{session.rate:,.0f}", "events/s"),
        _number(_milliseconds(latency["p50"]), "p50 durable"),
        _number(_milliseconds(latency["p99"]), "p99 durable"),
        _number(f"{score.alerts:,}", "alerts"),
        _number(_share(score.precision), "precision"),
        _number(_share(score.recall), "caught"),
    )
    left = max(session.settings.seconds - session.seconds, 0)
    done = min(session.seconds / max(session.settings.seconds, 1e-9), 1.0)
    width = 30
    bar = Text("━" * round(done * width), "cyan") + Text("━" * (width - round(done * width)), "dim")
    note = Text(f"  {left:,.0f} s left, bank time {_time(score.last_time)}", "dim")
    if session.behind:
        note.append("   slower than asked for", "yellow")
    return Panel(
        Group(grid, Text(), Text.assemble(bar, note, justify="center")),
        title=f"[bold]counterfoil[/] [dim]{session.detector.version}[/]",
        box=box.ROUNDED,
        padding=(0, 1),
    )


def _number(value: str, name: str) -> Text:
    return Text.assemble((value, "bold cyan"), "\n", (name, "dim"), justify="center")


def _alerts(session: Session, rows: int) -> Panel:
    with session.lock:
        latest = list(session.latest)[-(rows // 2) :]
    lines = []
    for each in reversed(latest):
        more = f" and {each.more} more" if each.more else ""
        head = Text.assemble(
            _mark(each), "  ", (_time(each.time)[5:], "dim"), "  ", (f"{each.outcome:<7}", _STYLES[each.outcome]),
            (each.rule, "bold"), (more, "dim"),
            no_wrap=True, overflow="ellipsis",
        )  # fmt: skip
        lines += [head, Text(f"   {each.reason}", no_wrap=True, overflow="ellipsis")]
    legend = "[green]●[/] really fraud  [dim]○[/] genuine"
    return Panel(Group(*lines), title="latest alerts", subtitle=legend, box=box.ROUNDED, padding=(0, 1))


def _mark(each: Shown) -> Text:
    return Text("●", "green") if each.truth is not None else Text("○", "dim")


def _stories(session: Session) -> Panel:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    table.add_column("fraud story", no_wrap=True)
    table.add_column("caught", justify="right", no_wrap=True)
    table.add_column("", width=_BAR)
    with session.lock:
        stories = session.score.stories.copy()
    for index, story in enumerate(FRAUD_STORIES):
        payments, caught = stories[index].tolist()
        share = caught / payments if payments else 0.0
        table.add_row(
            story_words(story), f"{caught:,}/{payments:,}", _bar(share, "green", "red" if payments else "dim")
        )
    twins = stories[len(FRAUD_STORIES) :].sum(axis=0).tolist()
    left = f"{twins[0] - twins[1]:,} of {twins[0]:,} innocent twins left alone"
    return Panel(table, title="what was really fraud", subtitle=f"[dim]{left}[/]", box=box.ROUNDED, padding=(0, 1))


def _rules(session: Session, rows: int) -> Panel:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    table.add_column("rule", no_wrap=True, max_width=24, overflow="ellipsis")
    table.add_column("alerts", justify="right", no_wrap=True, width=6)
    table.add_column("", width=_BAR)
    with session.lock:
        busiest = session.score.rules.most_common(rows)
    most = busiest[0][1] if busiest else 1
    for name, count in busiest:
        table.add_row(name, f"{count:,}", Text("█" * max(1, round(count / most * _BAR)), "cyan"))
    return Panel(table, title="busiest rules", box=box.ROUNDED, padding=(0, 1))


def _bar(share: float, full: str, empty: str) -> Text:
    size = round(share * _BAR)
    return Text("█" * size, full) + Text("░" * (_BAR - size), empty)


class Lines:
    """Says now and then, in plain lines, how it goes: for logs and pipes.

    Parameters
    ----------
    write
        Takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._alerts = 0

    def update(self, session: Session) -> None:
        """Write a line, and the latest alert if there is a new one."""
        score, latency = session.score, session.latency_ms
        self._write(
            f"{session.seconds:5.1f} s  {session.rate:,.0f} events/s  p50 {_milliseconds(latency['p50'])}  "
            f"p99 {_milliseconds(latency['p99'])}  {score.alerts:,} alerts  "
            f"{score.frauds_flagged:,} of {score.frauds:,} frauds caught  precision {_share(score.precision)}"
        )
        if score.alerts > self._alerts and session.latest:
            self._alerts = score.alerts
            each = session.latest[-1]
            truth = f"fraud: {story_words(each.truth)}" if each.truth else "genuine"
            self._write(f"         {each.outcome} {each.rule}: {each.reason} ({truth})")


def print_summary(console: Console, session: Session, summary: RunSummary) -> None:
    """Print what was seen, and what to try next; commands are left to the terminal, which breaks lines within words."""
    score = session.score
    p50, p99 = summary.latency_ms.get("p50"), summary.latency_ms.get("p99")
    console.print()
    console.print(
        f"[bold]{summary.events:,} events in {summary.seconds:,.1f} s[/] ({summary.events_per_second:,.0f} a second), "
        f"from reading to a durable decision p50 {_milliseconds(p50)}, p99 {_milliseconds(p99)}",
        soft_wrap=not console.is_terminal,
    )
    console.print(
        f"{summary.decided:,} decided, {summary.observed:,} observed, "
        f"{counted(summary.duplicates, 'duplicate')}, {counted(summary.dead_letters, 'dead letter')}; "
        f"{counted(summary.alerts, 'alert')} over "
        f"{max((score.last_time - score.first_time) / 86_400_000_000, 0):,.0f} days of the bank",
        soft_wrap=not console.is_terminal,
    )
    if session.behind:
        console.print(f"[yellow]This machine could not hold {session.settings.rate:,.0f} events a second.[/]")
    console.print()
    console.print(_verdict(session))
    console.print(
        f"[bold]{score.frauds_flagged:,} of {score.frauds:,}[/] fraudulent payments caught "
        f"({score.value_saved / 100:,.0f} of {(score.value_saved + score.value_lost) / 100:,.0f} in value), "
        f"precision {_share(score.precision)}",
        soft_wrap=not console.is_terminal,
    )
    known = ", ".join(f"{count:,} × {name}" for name, count in session.entities.items() if count and "<" not in name)
    if known:
        console.print(f"[dim]state at the end: {known}[/]")
    console.print()
    console.print("[bold]Try next[/]")
    for line, why in _NEXT:
        console.print(f"  [cyan]{line}[/]\n      [dim]{why}[/]", soft_wrap=True)


def _verdict(session: Session) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    table.add_column("fraud", no_wrap=True)
    table.add_column("caught", justify="right", no_wrap=True)
    table.add_column("its innocent twin", no_wrap=True)
    table.add_column("left alone", justify="right", no_wrap=True)
    stories = session.score.stories
    for index, story in enumerate(FRAUD_STORIES):
        twin = TWINS[story]
        payments, caught = stories[index].tolist()
        innocent, bothered = stories[STORIES.index(twin)].tolist()
        found = f"[green]{caught:,}[/] of {payments:,}" if payments else "–"
        alone = f"{innocent - bothered:,} of {innocent:,}" if innocent else "–"
        table.add_row(story_words(story), found, story_words(twin), alone)
    return table


_NEXT = (
    ("counterfoil generate payments --count 200000 --output payments.ndjson", "a file of such events, with labels"),
    (
        "counterfoil run --detector payments --input payments.ndjson --output decisions.ndjson --state state",
        "decide them durably; kill it, and the same command goes on",
    ),
    ("counterfoil alerts --state state", "what it found; counterfoil explain ID --state state says why"),
    (
        "counterfoil backtest payments payments.ndjson --labels fraud --by story --report report.html",
        "how good the detector is, rule by rule",
    ),
    ("counterfoil detectors show payments > mine.yaml", "the definition, to change and to check"),
)


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _time(microseconds: int) -> str:
    if not microseconds:
        return "–"
    return str(np.datetime64(microseconds, "us").astype("datetime64[m]")).replace("T", " ")
