"""``counterfoil detectors``: the built-in detectors, to look at and to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from counterfoil.cli.console import examples, output, write_json
from counterfoil.cli.options import Json

detectors = typer.Typer(no_args_is_help=False)


@detectors.callback(invoke_without_command=True)
def list_all(context: typer.Context, as_json: Json = False) -> None:
    """List the built-in detectors; `show NAME` prints one, to copy and to change."""
    if context.invoked_subcommand is not None:
        return
    from counterfoil.detector_file import load_detector
    from counterfoil.detectors import builtin_names

    found = [load_detector(name) for name in builtin_names()]
    if as_json:
        write_json(
            [
                {
                    "name": each.name,
                    "version": each.version,
                    "description": each.description,
                    "features": len(each.feature_names),
                    "rules": len(each.rules),
                }
                for each in found
            ],
            indent=True,
        )
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", style="cyan", no_wrap=True)
    table.add_column("features", justify="right")
    table.add_column("rules", justify="right")
    table.add_column("what it looks for")
    for each in found:
        table.add_row(each.name, str(len(each.feature_names)), str(len(each.rules)), each.description)
    output().print(table)


@detectors.command("show", epilog=examples("detectors show payments > mine.yaml"))
def show(name: Annotated[str, typer.Argument(metavar="NAME", help="One of the built-in detectors.")]) -> None:
    """Print the definition of a built-in detector."""
    from counterfoil.detectors import builtin_names, builtin_path
    from counterfoil.errors import ConfigurationError, nearest

    if name not in builtin_names():
        hint = nearest(name, builtin_names())
        message = f'NAME: found "{name}"; allowed: {", ".join(builtin_names())}; {hint}'.rstrip("; ")
        raise ConfigurationError(message)
    typer.echo(builtin_path(name).read_text("utf-8"), nl=False)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("detectors", "detectors show payments > mine.yaml")
    application.add_typer(detectors, name="detectors", rich_help_panel=panel, epilog=epilog)
