"""``counterfoil plan``: the steps in which a runtime carries out a detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, output, write_json
from counterfoil.cli.options import Json, Set, load
from counterfoil.cli.run_target import Engine

if TYPE_CHECKING:
    from counterfoil.runtimes.plan import Plan


def plan(
    what: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A run's settings, a definition's file, or a built-in detector.")
    ],
    on: Annotated[Engine | None, typer.Option("--on", help="What runs it; local when nothing says otherwise.")] = None,
    settings: Set = None,
    shards: Annotated[
        int | None, typer.Option("--shards", min=1, max=1024, help="Parts that state is divided into.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how a runtime carries out a detector: steps, parts, keys and state."""
    found = _lowered(what, None if on is None else on.value, settings, shards)
    if as_json:
        write_json(found.as_dict())
    else:
        output().print(str(found), markup=False, highlight=False, soft_wrap=True)


def _lowered(what: str, on: str | None, settings: list[str] | None, shards: int | None) -> Plan:
    from counterfoil.cli.options import pairs
    from counterfoil.cli.run_target import is_settings
    from counterfoil.config import load_config
    from counterfoil.detector_file import load_detector
    from counterfoil.program import Program
    from counterfoil.runtimes.plan import lower

    if not is_settings(Path(what)):
        return lower(Program(load(what, settings)), on or "local", shards or 1)
    config = load_config(what)
    parameters = dict(config.parameters) | dict(pairs(settings, "--set"))
    alerts = any(sink.content == "alerts" for sink in config.sinks)
    program = Program(load_detector(config.detector, parameters))
    return lower(program, on or config.runtime, shards or config.limits.shards, alerts)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("plan payments --on spark --shards 8", "plan run.yaml", "plan run.yaml --on flink --json")
    application.command("plan", rich_help_panel=panel, epilog=epilog)(plan)
