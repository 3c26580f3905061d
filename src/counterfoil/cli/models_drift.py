"""``counterfoil models drift``: what a model sees now, against what it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, messages, output, write_json
from counterfoil.cli.options import Json, Since, Until, moment

if TYPE_CHECKING:
    from counterfoil.models.model import Model
    from counterfoil.models.profile import Profile
    from counterfoil.training.drifting import DriftStudy

_STYLES = {"stable": "green", "shifted": "yellow", "moving": "dim", "moved": "bold red"}
_SHOWN = 25


def drift(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A version in the registry: payments@champion.")],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A table of: counterfoil dataset.")],
    against: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Compare with this table, not with the one the model was trained on."),
    ] = None,
    since: Since = None,
    until: Until = None,
    report: Annotated[Path | None, typer.Option(metavar="OUT.html", help="Write a report to read and pass on.")] = None,
    registry: Annotated[str | None, typer.Option("--registry", metavar="PLACE", help="Where models are kept.")] = None,
    as_json: Json = False,
) -> None:
    """Hold features and scores of a table against a model's training table: PSI and KS, as a whole and day by day.

    The exit code is 1 when a feature or the score has moved. One that moved within training itself, as an age does, is
    shown as moving and does not count.
    """
    from counterfoil.destinations import check_destinations
    from counterfoil.models.registry import open_registry
    from counterfoil.training.drifting import MOVED

    read = [("TABLE", table)] + ([("--against", against)] if against is not None else [])
    check_destinations(read, [("--report", report)] if report is not None else [])
    found = open_registry(registry, read_only=True)
    try:
        version = found.resolve(model)
        loaded = found.model(version)
    finally:
        found.close()
    study = _study(version.reference, loaded, table, against, moment(since, "--since"), moment(until, "--until"))
    if report is not None:
        from counterfoil.training.drift_report import write_drift_report

        write_drift_report(report, study)
    if as_json:
        write_json(study.as_dict(), indent=True)
    else:
        _print(study)
        if report is not None:
            messages().print(f"[green]written[/] {report}", soft_wrap=True)
    if any(study.verdict(each) == MOVED for each in study.drifts):
        raise typer.Exit(1)


def _study(
    reference: str, model: Model, table: Path, against: Path | None, since: int | None, until: int | None
) -> DriftStudy:
    import numpy as np

    from counterfoil.models.matrix import matrix_of_frame
    from counterfoil.training.drifting import study_drift
    from counterfoil.training.table import TrainingTable

    signature = model.signature
    content = TrainingTable.read(table)
    inside = np.ones(len(content), np.bool_)
    if since is not None:
        inside &= content.times >= since
    if until is not None:
        inside &= content.times < until
    matrix = matrix_of_frame(content.frame, signature.inputs)[inside]
    profile = _profile(reference, model, against)
    return study_drift(reference, signature.inputs, profile, matrix, model.score(matrix), content.times[inside])


def _profile(reference: str, model: Model, against: Path | None) -> Profile:
    from counterfoil.errors import InputError
    from counterfoil.models.matrix import matrix_of_frame
    from counterfoil.models.profile import profile_of, read_profile
    from counterfoil.training.table import TrainingTable

    content = model.signature.profile
    if against is not None:
        matrix = matrix_of_frame(TrainingTable.read(against).frame, model.signature.inputs)
        content = profile_of(model.signature.inputs, matrix, model.score(matrix))
    found = read_profile(content)
    if found is None:
        raise InputError(f"{reference}: its signature holds no profile of a training table; give one with --against")
    return found


def _print(study: DriftStudy) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    console = output()
    shown = Table(box=box.SIMPLE, pad_edge=False, header_style="bold")
    shown.add_column("feature")
    for name in ("PSI", "KS", "missing then", "now", ""):
        shown.add_column(name, justify="right", no_wrap=True)
    ordered = sorted(study.drifts[:-1], key=lambda each: -each.psi)
    for each in [study.drifts[-1], *ordered[:_SHOWN]]:
        verdict = study.verdict(each)
        shown.add_row(
            escape(each.name),
            f"{each.psi:.3f}",
            f"{each.ks:.3f}",
            f"{each.missing_before:.1%}",
            f"{each.missing:.1%}",
            f"[{_STYLES[verdict]}]{verdict}[/]",
        )
    console.print(
        f"[bold cyan]{escape(study.model)}[/]  "
        f"[dim]{study.rows:,} payments against {study.profile.score.rows:,} of the training table[/]"
    )
    console.print(shown)
    if len(ordered) > _SHOWN:
        console.print(f"[dim]{len(ordered) - _SHOWN} more that moved less; --report or --json has them all[/]")


def register(application: typer.Typer) -> None:
    """Add the command to ``counterfoil models``."""
    epilog = examples(
        "models drift payments@champion march.parquet",
        "models drift payments@champion march.parquet --report drift.html --since 2026-03-10",
    )
    application.command("drift", epilog=epilog)(drift)
