"""``counterfoil check``: everything that is wrong with a definition, at once."""

from __future__ import annotations

from typing import Annotated

import typer

from counterfoil.cli.console import examples, output, write_json
from counterfoil.cli.options import Json, Set, load


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A definition, or the name of a built-in detector.")],
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Check a definition and name every mistake at once: where, what stands there, what may, the nearest word.

    The exit code is 2 when something is wrong.
    """
    from counterfoil.errors import DefinitionError

    try:
        detector = load(file, settings)
    except DefinitionError as error:
        if not as_json:
            raise
        problems = [
            {"path": each.path, "found": each.found, "allowed": each.allowed, "hint": each.hint}
            for each in error.problems
        ]
        write_json({"valid": False, "problems": problems}, indent=True)
        raise typer.Exit(error.exit_code) from None
    kinds = [kind.name for kind in detector.schema.kinds]
    counts = {"kinds": len(kinds), "features": len(detector.feature_names), "rules": len(detector.rules)}
    if as_json:
        write_json({"valid": True, "problems": [], "detector": detector.version, **counts}, indent=True)
        return
    text = ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
    output().print(f"[bold green]✓[/] {detector.version}: {text}", soft_wrap=True)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("check mine.yaml", "check laundering --set window=10m", "check mine.yaml --json")
    application.command("check", rich_help_panel=panel, epilog=epilog)(check)
