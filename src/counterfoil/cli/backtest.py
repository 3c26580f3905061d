"""``counterfoil backtest``: what a detector would have done with history."""

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
    Set,
    Shards,
    Threads,
    load,
    moment,
    source_of,
)

if TYPE_CHECKING:
    from counterfoil.backtest import Backtest, Result


def backtest(
    detector: Annotated[str, typer.Argument(metavar="DETECTOR", help="A built-in detector, or a definition's file.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILES…", help="Files of events, replayed in this order.")],
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="COLUMN", help="What says which payment was fraud.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Another detector, to decide the same events side by side.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Measure from here; what precedes warms the state up.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Measure up to here, excluded.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="COLUMN", help="Break the result down by a column, such as story.")
    ] = None,
    value: Annotated[
        str | None, typer.Option("--value", metavar="FIELD", help="The money field that counts as value.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(metavar="OUT.parquet", help="Write every feature of every decided payment.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(metavar="OUT.parquet", help="Write every decision with rules and reasons.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="OUT.html", help="Write a report to read and pass on.")] = None,
    as_json: Json = False,
    form: Format = None,
    kind: Kind = None,
    kind_field: KindField = "kind",
    mapping: Map = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    naive_utc: NaiveUtc = False,
    settings: Set = None,
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="DIR", help="Where the detector's models are; see: counterfoil models."),
    ] = None,
    shards: Shards = 1,
    threads: Threads = 1,
) -> None:
    """Replay history through a detector and measure it: alerts, precision, recall, value, rule by rule.

    The program is the one that decides live events. Labels never reach it.
    """
    from counterfoil.backtest import Backtest, Period
    from counterfoil.config import LimitsConfig

    _check_files([detector, against], files, {"--features": features, "--decisions": decisions, "--report": report})
    tried = Backtest(
        load(detector, settings),
        files,
        source_of(str(files[0]), form, kind, kind_field, mapping, columns, delimiter, naive_utc),
        against=None if against is None else load(against, None),
        labels=labels,
        groups=by,
        value=value,
        period=Period(moment(since, "--from"), moment(until, "--to")),
        features=features,
        decisions=decisions,
        limits=LimitsConfig(shards=shards, threads=threads),
        models=models,
    )
    from rich.markup import escape

    result = _run(tried)
    if report is not None:
        from counterfoil.backtest.report import write_report

        write_report(report, result)
    if labels is not None and result.measures.decided and not result.measures.labelled:
        messages().print(
            f'[bold red]no payment has a label[/] in "{escape(labels)}": is that the name of the column?',
            soft_wrap=True,
        )
    if as_json:
        write_json(result.as_dict(), indent=True)
        return
    from counterfoil.backtest.terminal import print_result

    print_result(output(), result)
    for path in (features, decisions, report):
        if path is not None:
            messages().print(f"[green]written[/] {path}", soft_wrap=True)


def _check_files(detectors: list[str | None], files: list[Path], written: dict[str, Path | None]) -> None:
    """Refuse to overwrite what is read, and what cannot be read more than once."""
    from counterfoil.destinations import check_destinations
    from counterfoil.errors import InputError

    read = [("FILES", path) for path in files]
    read += [("DETECTOR", Path(each)) for each in detectors if each is not None and Path(each).is_file()]
    check_destinations(read, [(name, path) for name, path in written.items() if path is not None])
    for path in files:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "a pipe or a device, and history is read more than once"
            raise InputError(f"{path}: cannot be read: it is {what}; give the path of a file")


def _run(tried: Backtest) -> Result:
    """Run it behind a progress bar."""
    with history_progress() as tried.on_progress:
        return tried.run()


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "backtest payments payments.ndjson --labels fraud --by story --report report.html",
        "backtest mine.yaml payments.ndjson --labels fraud --against payments",
        "backtest payments 2026.parquet --from 2026-03-01 --features features.parquet --json",
    )
    application.command("backtest", rich_help_panel=panel, epilog=epilog)(backtest)
