"""``counterfoil alerts``: episodes that want somebody's attention, filtered and followed."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, outcome_style, output, prose, write_json
from counterfoil.cli.decisions import OutcomeName, print_decision
from counterfoil.cli.options import (
    Follow,
    JsonLines,
    KafkaSettings,
    Limit,
    SecretEnvironment,
    Since,
    State,
    Until,
    limit_of,
    moment,
    open_log,
    settings_of,
    warn_of_rule,
)
from counterfoil.cli.topic_view import Content, TopicView, rules_of
from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from counterfoil.runtimes.local.store import StoredAlert


def alerts(
    state: State = Path("state"),
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="TOPIC", help="A topic instead of a folder: kafka://HOST:PORT/TOPIC."),
    ] = None,
    kafka: KafkaSettings = None,
    outcome: Annotated[OutcomeName | None, typer.Option(help="Only alerts whose worst outcome is this.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="Only alerts of this rule.")] = None,
    identifier: Annotated[str | None, typer.Option("--id", metavar="ALERT", help="Only this alert.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    follow: Follow = False,
    as_json: JsonLines = False,
    secret_env: SecretEnvironment = None,
) -> None:
    """List alerts in the order in which they were opened; a run may go on meanwhile.

    Hits of one rule on the same customer, card or pair of accounts are one alert, until it is quiet for long enough.
    With --follow an alert that goes on is shown again. A topic may hold decisions, too: those that were reviewed or
    blocked are shown.
    """
    from counterfoil.runtimes.local.values import time_text

    start, end = moment(since, "--since"), moment(until, "--until")
    first = None if start is None else time_text(start)
    past = None if end is None else time_text(end)

    def wanted(content: Content) -> bool:
        return (
            (outcome is None or content["outcome"] == outcome.value)
            and (identifier is None or identifier == content.get("alert", content.get("id")))
            and (first is None or content["last" if "last" in content else "event_time"] >= first)
            and (past is None or content["opened" if "opened" in content else "event_time"] < past)
        )

    last = limit_of(limit, as_json)
    plain = outcome is None and identifier is None and first is None and past is None
    if source is not None:
        view = TopicView(source, settings_of(kafka), follow, last, whole=not plain or rule is not None)
        view.show(lambda content: wanted(content) and (rule is None or rule in rules_of(content)), _shower(as_json))
        return
    if kafka:
        raise ConfigurationError("--kafka: found without --from; allowed: with --from kafka://HOST:PORT/TOPIC")
    with open_log(state, secret_env) as log:
        warn_of_rule(log, rule)
        alerts = log.alerts(rule, follow=follow, last=last if plain else None)
        found: Iterable[StoredAlert] = (alert for alert in alerts if wanted(alert.content))
        if not plain and last is not None and not follow:
            found = deque(found, last)
        show = _shower(as_json)
        try:
            for alert in found:
                show({**alert.content, "position": alert.position} if as_json else alert.content)
        except KeyboardInterrupt:
            return


def _shower(as_json: bool) -> Callable[[Content], None]:
    """Return what shows one alert, or one decision."""
    console = output()

    def show(content: Content) -> None:
        if as_json:
            write_json(content)
            sys.stdout.flush()
        elif "alert" in content:
            print_alert(console, content)
        else:
            print_decision(console, content)

    return show


def print_alert(console: Console, content: Content) -> None:
    """Print one alert: when, how bad, whose, and why."""
    from rich.text import Text

    opened, last = (content[name].replace("T", " ").removesuffix("Z")[:19] for name in ("opened", "last"))
    count = content["decisions"]
    key = ", ".join(f"{name} {value}" for name, value in content["key"].items())
    text = Text.assemble(
        (opened, "dim"), "  ", (f"{content['outcome']:<7}", outcome_style(content["outcome"])),
        f"  {content['score']:.2f}  ", (content["alert"], "bold"), ("  " + key if key else "", "cyan"),
    )  # fmt: skip
    console.print(text, soft_wrap=True)
    several = f"{count:,} payments until {last}, the last of them {content['last_id']}"
    prose(console, Text(several if count > 1 else f"payment {content['last_id']}", "dim"), "    ")
    for reason in content["reasons"]:
        prose(console, Text(reason), "    ")


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "alerts --state state",
        "alerts --state state --rule structuring --since 2026-01-20",
        "alerts --state state --follow --json",
        "alerts --follow --from kafka://localhost:9092/fraud",
    )
    application.command("alerts", rich_help_panel=panel, epilog=epilog)(alerts)
