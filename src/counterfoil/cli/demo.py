"""``counterfoil demo``: generated payments being decided, live."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli.console import examples, messages, output, write_json
from counterfoil.cli.options import Json
from counterfoil.signals import clean_stop

if TYPE_CHECKING:
    from counterfoil.demo import Session
    from counterfoil.runtimes.local.summary import RunSummary

_FRAMES_A_SECOND = 6
_LINES_EVERY = 2.0
_HEIGHT_MIN, _WIDTH_MIN = 22, 78
"""A smaller terminal gets plain lines."""


def demo(
    seconds: Annotated[float, typer.Option(min=0.5, max=86_400, help="How long to run.")] = 30.0,
    rate: Annotated[float, typer.Option(min=1, max=1e7, help="Events a second.")] = 4_000.0,
    customers: Annotated[
        int,
        typer.Option(min=10, max=1_000_000, help="How many people bank there; the fewer, the faster their days go by."),
    ] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another bank.")] = 7,
    plain: Annotated[bool, typer.Option("--plain", help="Write lines instead of drawing a screen.")] = False,
    as_json: Json = False,
) -> None:
    """Watch generated payments being decided: rate, latency, alerts with their reasons, and what was really fraud.

    Everything is real but the bank: the journal, the detector, the alerts. Its state is temporary.
    """
    from counterfoil.demo import DemoSettings, Session
    from counterfoil.observability import configure_logs

    configure_logs("warning", "console")
    session = Session(DemoSettings(seconds, rate, customers, seed))
    with clean_stop(session.stopped):
        _warm_up(session)
        if session.stopped.is_set():
            raise typer.Exit(1)
        if as_json:
            summary = _watch(session, None)
            write_json(session.as_dict(summary), indent=True)
            return
        summary = _show(session, plain)
    from counterfoil.demo.screen import print_summary

    print_summary(output(), session, summary)


def _warm_up(session: Session) -> None:
    from counterfoil.cli.warming import FIRST_START, first_start

    console = messages()
    text = FIRST_START if first_start() else "warming up: loading compiled kernels"
    if console.is_terminal:
        with console.status(text):
            seconds = session.warm_up()
    else:
        console.print(text, soft_wrap=True)
        seconds = session.warm_up()
    console.print(f"[dim]ready after {seconds:,.1f} s[/]")


def _show(session: Session, plain: bool) -> RunSummary:
    """Run it, with a screen where there is one."""
    from rich.live import Live

    from counterfoil.demo.screen import Lines, screen

    console = output()
    if plain or not console.is_terminal or console.height < _HEIGHT_MIN or console.width < _WIDTH_MIN:
        lines = Lines(lambda text: console.print(text, soft_wrap=True, markup=False))
        return _watch(session, lines.update, _LINES_EVERY)
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def draw(of: Session) -> None:
            live.update(screen(of, console.height, console.width), refresh=True)

        return _watch(session, draw, 1 / _FRAMES_A_SECOND)


def _watch(session: Session, look: Any, every: float = 0.1) -> RunSummary:
    """Run it in a thread of its own and look at it now and then."""
    found: list[RunSummary] = []
    failures: list[BaseException] = []

    def carry() -> None:
        try:
            found.append(session.run())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=carry, name="demo")
    thread.start()
    due = time.monotonic() + every
    while thread.is_alive():
        thread.join(max(min(due - time.monotonic(), 0.25), 0.01))
        if time.monotonic() >= due:
            due = time.monotonic() + every
            if look is not None and session.started:
                look(session)
    if failures:
        raise failures[0]
    return found[0]


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("demo", "demo --seconds 60 --rate 20000 --customers 20000", "demo --seconds 10 --json")
    application.command("demo", rich_help_panel=panel, epilog=epilog)(demo)
