"""``counterfoil dataset``: training tables from history or from the journal of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, history_progress, messages, output, write_json
from counterfoil.cli.options import (
    Columns,
    Delimiter,
    Format,
    Json,
    Kind,
    KindField,
    Map,
    NaiveUtc,
    SecretEnvironment,
    Set,
    Shards,
    Threads,
    load,
    moment,
    secret_of,
    source_of,
)

if TYPE_CHECKING:
    from counterfoil.training.dataset import Dataset, Labelling, Written


def dataset(
    detector: Annotated[str, typer.Argument(metavar="DETECTOR", help="A built-in detector, or a definition's file.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILES…", help="Files of events, replayed in this order; or one state folder of a run."),
    ],
    out: Annotated[Path, typer.Option(metavar="TABLE.parquet", help="The table to write.")],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="COLUMN|KIND.FIELD", help="What says which event was fraud: a column, or outcome.fraud."
        ),
    ] = None,
    label_delay: Annotated[
        str | None,
        typer.Option(
            "--label-delay",
            metavar="TIME",
            help="How old an event is when its label is known (7d). Of KIND.FIELD: what was not reported by then is "
            "genuine.",
        ),
    ] = None,
    label_id: Annotated[
        str | None,
        typer.Option("--label-id", metavar="FIELD", help="Of KIND.FIELD: the field of KIND with the event's id."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="Without labels that became known later than this."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Rows from here on; what precedes warms the state up.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Rows up to here, excluded.")] = None,
    as_json: Json = False,
    form: Format = None,
    kind: Kind = None,
    kind_field: KindField = "kind",
    mapping: Map = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    naive_utc: NaiveUtc = False,
    settings: Set = None,
    secret_env: SecretEnvironment = None,
    shards: Shards = 1,
    threads: Threads = 1,
) -> None:
    """Write a training table: a row a decided event, its features as of then, its label as of when it was known.

    The program is the one that decides live events, so a model is served the very values that it learnt from.
    """
    from counterfoil.backtest.replay import Period
    from counterfoil.config import LimitsConfig
    from counterfoil.events.identity import IdentityKey
    from counterfoil.training.dataset import Dataset

    secret = secret_of(secret_env)
    wanted = Dataset(
        load(detector, settings),
        files,
        out,
        _labelling(labels, label_delay, label_id, as_of),
        source_of(str(files[0]), form, kind, kind_field, mapping, columns, delimiter, naive_utc),
        Period(moment(since, "--from"), moment(until, "--to")),
        LimitsConfig(shards=shards, threads=threads),
        IdentityKey() if secret is None else IdentityKey(secret),
    )
    found = _run(wanted)
    if as_json:
        write_json(found.as_dict(), indent=True)
    else:
        _print(found)
    if labels is not None and found.rows and not found.frauds:
        messages().print(
            f'no row has fraud in "{labels}": is that its name, and is the label delay right?',
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _labelling(labels: str | None, delay: str | None, subject: str | None, as_of: str | None) -> Labelling | None:
    from counterfoil.definition.durations import parse_duration
    from counterfoil.errors import ConfigurationError
    from counterfoil.training.dataset import Labelling

    if labels is None:
        for option, value in (("--label-delay", delay), ("--label-id", subject), ("--as-of", as_of)):
            if value is not None:
                raise ConfigurationError(f"{option}: found it without --labels; allowed: both, or neither")
        return None
    length = None
    if delay is not None:
        length = parse_duration(delay)
        if length is None:
            raise ConfigurationError(f'--label-delay: found "{delay}"; allowed: a duration such as 7d or 36h')
    return Labelling(labels, length, subject, moment(as_of, "--as-of"))


def _run(wanted: Dataset) -> Written:
    """Run it behind a progress bar."""
    with history_progress() as wanted.on_progress:
        return wanted.write()


def _print(found: Written) -> None:
    console = output()
    share = found.frauds / max(found.frauds + found.genuine, 1)
    console.print(f"[green]written[/] {found.path}", soft_wrap=True)
    console.print(f"  {found.rows:,} rows, {len(found.content.types)} fields and features of {found.content.detector}")
    if found.content.label is not None:
        console.print(f"  {found.frauds:,} frauds ({share:.3%}), {found.genuine:,} genuine", end="")
        console.print(f", {found.unknown:,} whose label was not known yet")
    if found.totals.dead:
        console.print(f"  [yellow]{found.totals.dead:,} records could not be read[/]")


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "dataset payments payments.ndjson --labels outcome.fraud --label-delay 14d --out table.parquet",
        "dataset handbook-extended cards.parquet --labels TX_FRAUD --label-delay 7d --naive-utc --out table.parquet",
        "dataset payments state --labels outcome.fraud --label-delay 14d --out table.parquet",
    )
    application.command("dataset", rich_help_panel=panel, epilog=epilog)(dataset)
