"""``counterfoil train``: a model from a training table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, messages, output, write_json
from counterfoil.cli.options import Json, Set, load, moment

if TYPE_CHECKING:
    from counterfoil.detector import Detector
    from counterfoil.training.table import TrainingTable
    from counterfoil.training.train import Trained, Training

_SHOWN = 12


def train(
    detector: Annotated[str, typer.Argument(metavar="DETECTOR", help="The detector that made the table.")],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A table of: counterfoil dataset.")],
    model: Annotated[
        str, typer.Option("--model", metavar="KIND", help="logistic, lightgbm or isolation-forest.")
    ] = "lightgbm",
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name in the registry; the detector's when left out.")
    ] = None,
    registry: Annotated[
        str | None, typer.Option("--registry", metavar="PLACE", help="Put the model into this registry.")
    ] = None,
    promote: Annotated[
        str | None, typer.Option("--promote", metavar="ALIAS", help="Give it this alias there, such as champion.")
    ] = None,
    why: Annotated[str, typer.Option("--why", help="For the registry's audit trail.")] = "trained",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="MODEL.onnx", help="Write the model, and its signature beside it.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="OUT.html", help="Write a report to read and pass on.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Learn from here on.")] = None,
    train_to: Annotated[str | None, typer.Option("--train-to", metavar="TIME", help="Learn up to here.")] = None,
    test_from: Annotated[str | None, typer.Option("--test-from", metavar="TIME", help="Measure from here on.")] = None,
    test_to: Annotated[str | None, typer.Option("--test-to", metavar="TIME", help="Measure up to here.")] = None,
    gap: Annotated[
        str | None, typer.Option("--gap", metavar="TIME", help="Between learning and measuring; the label delay else.")
    ] = None,
    test_share: Annotated[float, typer.Option("--test-share", help="The last part of the rows: to measure on.")] = 0.25,
    validation_share: Annotated[
        float, typer.Option("--validation-share", help="The last part before that: to stop early and calibrate.")
    ] = 0.2,
    include: Annotated[
        list[str] | None, typer.Option("--include", metavar="NAME", help="Only these columns. May be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="NAME", help="Not this column. May be repeated.")
    ] = None,
    entity: Annotated[
        str | None, typer.Option("--entity", metavar="ID", help="The id whose alerts people work, such as card_id.")
    ] = None,
    value: Annotated[
        str | None,
        typer.Option("--value", metavar="FIELD", help="What weighs a payment; the first money field else."),
    ] = None,
    class_weight: Annotated[
        str, typer.Option("--class-weight", help="What a fraud weighs: none, balanced or a number.")
    ] = "none",
    calibrate: Annotated[bool, typer.Option(help="Make probabilities of scores, on the validation rows.")] = True,
    checks: Annotated[bool, typer.Option(help="Shuffle features, and labels, to see what the model rests on.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="For everything that is drawn.")] = 1,
    trees: Annotated[int, typer.Option("--trees", help="Trees at most.")] = 500,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="LightGBM: what a tree adds.")] = 0.03,
    leaves: Annotated[int, typer.Option("--leaves", help="LightGBM: leaves of a tree.")] = 12,
    bags: Annotated[int, typer.Option("--bags", help="LightGBM: ensembles that are averaged.")] = 1,
    strength: Annotated[float, typer.Option("--strength", help="Logistic: the inverse of its L2 penalty.")] = 0.1,
    threads: Annotated[int, typer.Option("--threads", min=1, max=1024, help="Threads that learn.")] = 1,
    as_json: Json = False,
    settings: Set = None,
) -> None:
    """Train a model on a table: split by time with a gap for labels, fit, calibrate, convert to ONNX, measure, doubt.

    Needs pip install 'counterfoil[models]'. Warns on standard error of features that are too good to be true.
    """
    from counterfoil.destinations import check_destinations
    from counterfoil.errors import ConfigurationError
    from counterfoil.training.learners import Settings
    from counterfoil.training.split import SplitPlan
    from counterfoil.training.table import TrainingTable
    from counterfoil.training.train import Training

    written = {"--out": out, "--report": report}
    check_destinations([("TABLE", table)], [(name, path) for name, path in written.items() if path is not None])
    if promote is not None and registry is None:
        raise ConfigurationError("--promote: found it without --registry; allowed: both, or neither")
    training = Training(
        model,
        name,
        SplitPlan(
            moment(since, "--from"), moment(train_to, "--train-to"), moment(test_from, "--test-from"),
            moment(test_to, "--test-to"), _duration(gap, "--gap"), test_share, validation_share,
        ),
        Settings(
            seed=seed, class_weight=class_weight, trees=trees, learning_rate=learning_rate, leaves=leaves, bags=bags,
            strength=strength, threads=threads,
        ),
        tuple(include or ()),
        tuple(exclude or ()),
        calibrate,
        entity,
        value,
        checks,
    )  # fmt: skip
    content = TrainingTable.read(table)
    _check_version(load(detector, settings), content)
    found = _run(content, training)
    if out is not None:
        found.write(out)
    if report is not None:
        found.report(report)
    reference = None if registry is None else _register(found, registry, promote, why)
    if as_json:
        write_json(found.as_dict() | {"registered": reference}, indent=True)
    else:
        _print(found)
        for path in (out, report):
            if path is not None:
                messages().print(f"[green]written[/] {path}", soft_wrap=True)
        if reference is not None:
            messages().print(f"[green]registered[/] {reference}", soft_wrap=True)
    for suspect in found.suspects:
        messages().print(f"too good to be true: {suspect}", style="bold red", markup=False, soft_wrap=True)


def _duration(text: str | None, option: str) -> int | None:
    from counterfoil.definition.durations import parse_duration
    from counterfoil.errors import ConfigurationError

    if text is None:
        return None
    length = parse_duration(text)
    if length is None:
        raise ConfigurationError(f'{option}: found "{text}"; allowed: a duration such as 7d or 36h')
    return length


def _check_version(detector: Detector, table: TrainingTable) -> None:
    """Refuse a table that another definition made: what it holds is not what this detector would serve."""
    from counterfoil.errors import ConfigurationError

    if table.content.detector != detector.version:
        raise ConfigurationError(
            f"TABLE: found features of {table.content.detector}; allowed: those of {detector.version}:"
            " write the table anew with counterfoil dataset"
        )


def _run(table: TrainingTable, training: Training) -> Trained:
    """Run it behind a progress bar."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from counterfoil.training.train import train as run

    console = messages()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("reading", total=None)
        return run(
            table,
            training,
            on_progress=lambda told: bar.update(task, description=told.what, completed=told.done, total=told.of),
        )


def _register(found: Trained, registry: str, promote: str | None, why: str) -> str:
    from getpass import getuser

    from counterfoil.models.registry import open_registry

    place = open_registry(registry)
    try:
        who = getuser()
        version = place.add(found.onnx, found.signature, who, why)
        if promote is not None:
            place.promote(version.name, version.number, promote, who, why)
    finally:
        place.close()
    return version.reference


def _print(found: Trained) -> None:
    from rich.table import Table

    console = output()
    signature = found.signature
    console.print(f"[bold]{signature.name}[/]: {signature.kind}, {len(signature.inputs)} inputs, {found.seconds:.1f} s")
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "from", "to", "rows", "frauds"):
        rows.add_column(column, justify="left" if column in ("", "from", "to") else "right")
    for name, border in found.as_dict()["borders"].items():
        chosen = getattr(found.split, name)
        frauds = int((found.split.labels[chosen] == 1).sum())
        rows.add_row(name, *border, f"{len(chosen):,}", f"{frauds:,}")
    console.print(rows)
    for name, number in signature.metrics.items():
        console.print(f"  {name:<26} {number:.6g}")
    console.print("it rests on  " + ", ".join(each.name for each in found.importances[:_SHOWN]), soft_wrap=True)
    for note in found.notes:
        messages().print(note, style="yellow", markup=False, soft_wrap=True)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "train payments table.parquet --model lightgbm --entity card_id --report report.html --registry models",
        "train payments table.parquet --model logistic --class-weight balanced --out payments.onnx",
        "train handbook-extended table.parquet --from 2018-07-25 --train-to 2018-08-01 --test-from 2018-08-08",
    )
    application.command("train", rich_help_panel=panel, epilog=epilog)(train)
