"""``counterfoil decisions``: the decision log, filtered and followed."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli.console import examples, outcome_style, output, prose
from counterfoil.cli.options import (
    Follow,
    JsonLines,
    Limit,
    SecretEnvironment,
    Since,
    State,
    Until,
    limit_of,
    moment,
    open_log,
    warn_of_rule,
)

if TYPE_CHECKING:
    from rich.console import Console


class OutcomeName(StrEnum):
    """What became of a payment."""

    APPROVE = "approve"
    REVIEW = "review"
    BLOCK = "block"


def decisions(
    state: State = Path("state"),
    outcome: Annotated[OutcomeName | None, typer.Option(help="Only this outcome.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="Only those that this rule hit.")] = None,
    identifier: Annotated[str | None, typer.Option("--id", metavar="ID", help="Only this event.")] = None,
    score: Annotated[float | None, typer.Option("--score", min=0, max=1, help="Only from this score on.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    follow: Follow = False,
    as_json: JsonLines = False,
    secret_env: SecretEnvironment = None,
) -> None:
    """List decisions, the newest last; a run may go on meanwhile."""
    from counterfoil.rules.definition import Outcome
    from counterfoil.runtimes.local.log import DecisionFilter

    wanted = DecisionFilter(
        None if outcome is None else Outcome(outcome.value),
        rule,
        score,
        moment(since, "--since"),
        moment(until, "--until"),
    )
    last = limit_of(limit, as_json)
    with open_log(state, secret_env) as log:
        warn_of_rule(log, rule)
        # An id is looked for among all of them, so the newest are not cut off before.
        lines: Iterable[bytes] = log.decisions(wanted, follow=follow, last=None if identifier else last)
        if identifier is not None:
            lines = _with_id(lines, identifier)
            lines = lines if follow or last is None else deque(lines, last)
        try:
            _print(lines, as_json, follow)
        except KeyboardInterrupt:
            return


def _print(lines: Iterable[bytes], as_json: bool, follow: bool) -> None:
    if as_json:
        for line in lines:
            sys.stdout.buffer.write(line)
            if follow:
                sys.stdout.buffer.flush()
        sys.stdout.buffer.flush()
        return
    import msgspec

    console = output()
    for line in lines:
        print_decision(console, msgspec.json.decode(line))


def _with_id(lines: Iterable[bytes], identifier: str) -> Iterator[bytes]:
    import msgspec

    start = b'{"id":' + msgspec.json.encode(identifier) + b","
    return (line for line in lines if line.startswith(start))


def print_decision(console: Console, decision: dict[str, Any]) -> None:
    """Print one decision, and each of its reasons on a line of its own."""
    from rich.text import Text

    time = decision["event_time"].replace("T", " ").removesuffix("Z")[:19]
    text = Text.assemble(
        (time, "dim"), "  ", (f"{decision['outcome']:<7}", outcome_style(decision["outcome"])),
        f"  {decision['score']:.2f}  ", (decision["id"], "cyan"), ("  late" if decision["late"] else "", "yellow"),
    )  # fmt: skip
    console.print(text, soft_wrap=True)
    for rule, reason in zip(decision["rules"], decision["reasons"], strict=False):
        prose(console, Text.assemble((f"{rule['name']}: ", "bold"), reason), "    ")
    for name in decision.get("failed_rules", ()):
        prose(console, Text(f"{name}: failed and was left out", "red"), "    ")


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "decisions --state state --outcome block",
        "decisions --state state --rule impossible-travel --since 2026-01-20 --json",
        "decisions --state state --follow",
    )
    application.command("decisions", rich_help_panel=panel, epilog=epilog)(decisions)
