"""``counterfoil version``: what is installed."""

from __future__ import annotations

import typer

from counterfoil.cli.console import examples, write_json
from counterfoil.cli.options import Json

_LIBRARIES = ("numba", "numpy", "polars", "sqlglot")


def version(as_json: Json = False) -> None:
    """Print the versions of the program and of the libraries that its results rest on."""
    import platform
    from importlib.metadata import version as installed

    found = {"counterfoil": installed("counterfoil"), "python": platform.python_version()}
    found |= {name: installed(name) for name in _LIBRARIES}
    if as_json:
        write_json(found)
        return
    for name, number in found.items():
        typer.echo(f"{name} {number}")


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    application.command("version", rich_help_panel=panel, epilog=examples("version"))(version)
