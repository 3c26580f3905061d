"""``counterfoil models compare``: the arms of an experiment against each other, as sure as it can be known today."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, messages, output, write_json
from counterfoil.cli.options import Json, SecretEnvironment, moment, open_log
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.models.comparison import Comparison, Interval
    from counterfoil.training.arms import Arms, Asked

_SHARES = {"alert rate", "precision", "recall", "false positive rate"}


def compare(
    decisions: Annotated[
        Path, typer.Argument(metavar="DECISIONS", help="Decisions as JSON lines, or the state folder of a run.")
    ],
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A table of: counterfoil dataset, with labels of the same events.")
    ],
    slot: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="What the definition calls the model.")
    ] = None,
    shadow: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare with this shadow, on the same payments.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Whose payment it is: customers are drawn, not payments.")
    ] = None,
    value: Annotated[str | None, typer.Option(metavar="COLUMN", help="The amounts that count as value.")] = None,
    alert_rate: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Flag this share of each model's highest scores, not what was decided."),
    ] = None,
    label_delay: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="A label is known after this; left out, what the table says.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="Labels known by then; left out, what the table says.")
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of the intervals.")] = 0.95,
    replicates: Annotated[int, typer.Option(min=100, max=100_000, help="Draws of the bootstrap.")] = 1_000,
    secret_env: SecretEnvironment = None,
    as_json: Json = False,
) -> None:
    """Compare the arms of an experiment: precision, recall, value, alert rate, average precision, with intervals.

    Only payments whose label had time to become known count; how many did not is part of the result.
    """
    from counterfoil.models.comparison import compare as compare_arms
    from counterfoil.training.arms import Asked

    asked = Asked(slot, shadow, by, value, _delay(label_delay), moment(as_of, "--as-of"))
    arms = _arms(decisions, table, asked, secret_env)
    if arms.paired and alert_rate is None:
        # A shadow flags nothing: both are given as many alerts as were raised.
        alert_rate = float(arms.arms[0].flagged.mean())
    found = [
        compare_arms(
            arms.arms[0], other, paired=arms.paired, confidence=confidence, replicates=replicates, alert_rate=alert_rate
        )
        for other in arms.arms[1:]
    ]
    if arms.unmatched:
        messages().print(
            f"[yellow]{counted(arms.unmatched, 'decision')} unknown to the table, left out[/]", soft_wrap=True
        )
    if as_json:
        write_json([each.as_dict() | {"unmatched": arms.unmatched} for each in found], indent=True)
        return
    for each in found:
        _print(each)


def _delay(text: str | None) -> int | None:
    from counterfoil.definition.durations import parse_duration
    from counterfoil.errors import ConfigurationError

    if text is None:
        return None
    delay = parse_duration(text)
    if delay is None:
        raise ConfigurationError(f'--label-delay: found "{text}"; allowed: a length of time, such as 7d')
    return delay


def _arms(decisions: Path, table: Path, asked: Asked, secret_env: str | None) -> Arms:
    from counterfoil.training.arms import arms_of, decision_lines
    from counterfoil.training.table import TrainingTable

    content = TrainingTable.read(table)
    if not decisions.is_dir():
        return arms_of(decision_lines(decisions), content, asked)
    with open_log(decisions, secret_env) as log:
        return arms_of(log.decisions(), content, asked)


def _print(found: Comparison) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    console = output()
    counts = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    for name in ("arm", "model", "payments", "too young", "no label", "genuine", "fraud"):
        counts.add_column(name, justify="left" if name in {"arm", "model"} else "right", no_wrap=name != "model")
    for arm in (found.first, found.second):
        numbers = (arm.payments, arm.immature, arm.unknown, arm.genuine, arm.fraud)
        counts.add_row(escape(arm.name), escape(arm.model), *(f"{number:,}" for number in numbers))
    console.print(counts)
    metrics = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    metrics.add_column("", no_wrap=True)
    for name in (found.first.name, found.second.name, "difference", "better"):
        metrics.add_column(escape(name), justify="right")
    for each in found.metrics:
        share = each.name in _SHARES
        metrics.add_row(
            each.name,
            _interval(each.first, share),
            _interval(each.second, share),
            _interval(each.difference, share, signed=True),
            f"[bold]{escape(each.better)}[/]" if each.better else "–",
        )
    console.print(metrics)
    for note in (*found.notes, found.method):
        console.print(f"[dim]• {escape(note)}[/]", soft_wrap=True)


def _interval(interval: Interval, share: bool, signed: bool = False) -> str:
    if interval.value is None or interval.low is None or interval.high is None:
        return "–"

    def text(value: float) -> str:
        sign = "+" if signed else ""
        if share:
            return f"{100 * value:{sign}.2f}%"
        return f"{value:{sign},.1f}" if abs(value) >= 100 else f"{value:{sign}.3f}"

    return f"{text(interval.value)} [dim]{text(interval.low)} … {text(interval.high)}[/]"


def register(application: typer.Typer) -> None:
    """Add the command to ``counterfoil models``."""
    epilog = examples(
        "models compare decisions.ndjson labelled.parquet --by customer_id --value amount",
        "models compare state labelled.parquet --shadow next --alert-rate 0.005",
    )
    application.command("compare", epilog=epilog)(compare)
