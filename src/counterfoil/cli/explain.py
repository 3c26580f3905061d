"""``counterfoil explain``: a past decision, performed again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli.console import examples, outcome_style, output, write_json
from counterfoil.cli.options import Json, SecretEnvironment, State, open_log
from counterfoil.words import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from counterfoil.runtimes.local.explain import Explanation

_LONG, _LONGEST = 1e5, 1e15
"""Between these, six digits are too few for an amount."""
_RESULTS = {"hit": "bold red", "failed": "red", "no": "dim"}


def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The event's id; where it has none, its position.")],
    state: State = Path("state"),
    every: Annotated[
        bool, typer.Option("--all", help="Show features without a value and rules that did not hit, too.")
    ] = False,
    as_json: Json = False,
    secret_env: SecretEnvironment = None,
) -> None:
    """Perform a past decision again from the journal: inputs, features, rules with what they saw, versions.

    The exit code is 1 when the repeat is not the recorded decision, bit for bit.
    """
    with open_log(state, secret_env) as log:
        found = log.explain(identifier)
    if as_json:
        write_json(found.as_dict(), indent=True)
    else:
        _print(found, every)
    if not found.equal:
        raise typer.Exit(1)


def _print(found: Explanation, every: bool) -> None:
    from rich import box
    from rich.columns import Columns
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    inputs = {name: value for name, value in found.inputs.items() if every or value is not None}
    features = {name: value for name, value in found.features.items() if every or value is not None}
    head = Text.assemble(
        (found.outcome, outcome_style(found.outcome)), f"  score {found.score:.3f}",
        ("  late" if found.late else "", "yellow"),
    )  # fmt: skip
    reasons = Table.grid()
    for reason in found.reasons:
        reasons.add_row("• ", Text(reason))
    if not found.reasons:
        reasons.add_row("no rule hit")
    versions = Text(
        f"event {found.event_time}   decided {found.decided_at}   position {found.position:,}\n"
        f"detector {found.detector}   performed again with {found.replayed_events:,} events in {found.seconds:.2f} s",
        "dim",
    )
    verdict = (
        Text("✓ the repeat equals the record, every feature included, bit for bit", "green")
        if found.equal
        else Text(
            f"✗ the repeat differs from the record ({found.recorded['outcome']}, score {found.recorded['score']:.3f})",
            "bold red",
        )
    )
    parts: list[RenderableType] = [head, reasons, Text(), versions, verdict]
    console = output()
    console.print(Panel(Group(*parts), title=f"[bold]{found.id}[/]", box=box.ROUNDED, padding=(0, 1)))
    console.print(Panel(_pairs(inputs), title="inputs", box=box.ROUNDED, padding=(0, 1)))
    console.print(Panel(_rules(found, every), title="rules", box=box.ROUNDED, padding=(0, 1)))
    for name, said in found.models.items():
        console.print(Panel(_model(said), title=f"model {name}", box=box.ROUNDED, padding=(0, 1)))
    if found.counterfactual is not None:
        console.print(
            Panel(_change(found.counterfactual, found.intervals), title="what would have let it pass", box=box.ROUNDED)
        )
    halves = _halves(features)
    title = f"features ({len(features):,} of {len(found.features):,})"
    console.print(
        Panel(Columns([_pairs(half, found.intervals) for half in halves], padding=(0, 4)), title=title, box=box.ROUNDED)
    )


def _halves(values: dict[str, Any]) -> list[dict[str, Any]]:
    items = list(values.items())
    middle = (len(items) + 1) // 2
    return [dict(items[:middle]), dict(items[middle:])]


def _pairs(values: dict[str, Any], intervals: tuple[str, ...] = ()) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in values.items():
        table.add_row(Text(name, "cyan"), Text(value_text(value, name in intervals)))
    return table


def value_text(value: Any, interval: bool = False) -> str:
    """Return a value as people read it; one that is a length of time is given in seconds.

    Examples
    --------
    >>> value_text(None), value_text(True), value_text(0.30000000000000004)
    ('–', 'yes', '0.3')
    >>> value_text(1012.61), value_text(Decimal("1012.610")), value_text(2593600.5, interval=True)
    ('1,012.61', '1,012.61', '30 d')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if interval and isinstance(value, int | float):
        from counterfoil.words import duration_text

        return duration_text(round(value * 1_000_000)) if abs(value) >= 1 or not value else f"{value:.3g} s"
    if isinstance(value, float) and _LONG <= abs(value) < _LONGEST:
        return f"{value:,.2f}".removesuffix("0").removesuffix(".0")
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, Decimal):
        return f"{value.normalize():,f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _rules(found: Explanation, every: bool) -> Text:
    from rich.text import Text

    text = Text()
    shown = [rule for rule in found.rules if every or rule.result != "no"]
    for rule in shown:
        text.append(f"{rule.name} ", _RESULTS[rule.result])
        share = f", {rule.contribution:.3f} of the decision's score" if rule.result == "hit" else ""
        text.append(f"{rule.result}, score {rule.score:.2f}{share}\n")
        text.append(f"    {rule.when}\n", "dim")
        for name, value in rule.values.items():
            text.append(f"    {name} ", "cyan")
            text.append(f"{value_text(value, name in found.intervals)}\n")
    rest = len(found.rules) - len(shown)
    text.append(f"{counted(rest, 'rule')} did not hit; --all shows what they saw" if rest else "", "dim")
    text.rstrip()
    return text


def _model(said: dict[str, Any]) -> Text:
    from rich.text import Text

    if said.get("score") is None:
        return Text(f"{said['model'] or 'no version'} gave no score: {said.get('failed', '')}", "yellow")
    text = Text(f"{said['model']}  score {said['score']:.4f}, raw {said['raw']:.4f}")
    text.append("  shadow" if said.get("shadow") else f"  arm {said.get('arm', '')}", "dim")
    why = said.get("why")
    if why is None:
        return text
    text.append(f"\n{why['method']}: {why['base_score']:.4f} on average, and\n", "dim")
    for each in why["features"]:
        points = each["points"]
        text.append(f"  {points:+.4f} ", "red" if points > 0 else "green")
        text.append(f"{each['text']}\n")
    text.append(f"  {why['rest_points']:+.4f} all others", "dim")
    return text


def _change(found: dict[str, Any], intervals: tuple[str, ...]) -> Text:
    from rich.text import Text

    text = Text(found["text"])
    for each in found["changes"][1:]:
        needed, value = (value_text(each[key], each["name"] in intervals) for key in ("needed", "value"))
        text.append(f"\nor {each['name'].replace('_', ' ')}: {needed}, not {value}", "dim")
    if found["without_rule"]:
        text.append(f"\nor without the hit of: {', '.join(found['without_rule'])}", "dim")
    return text


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("explain t50a055247fce1493 --state state", "explain 4711 --state state --json")
    application.command("explain", rich_help_panel=panel, epilog=epilog)(explain)
