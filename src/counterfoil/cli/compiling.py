"""``counterfoil compile``: a detector's own kernels, before they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, messages, output, write_json
from counterfoil.cli.options import Json, Set, load

if TYPE_CHECKING:
    from counterfoil.runtimes.special_kernels import Told


def compile_kernels(
    detector: Annotated[
        str, typer.Argument(metavar="DETECTOR", help="A definition, or the name of a built-in detector.")
    ],
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Compile the kernels of a detector's stages, so that whatever decides on this machine is faster from its start.

    Long runs do it by themselves, beside their work (`limits.specialise_events`). It is done once for each set of
    features, and takes half a minute for `payments`; rules and policy may change as they like. Decisions are the same
    with and without. A stage with so many features that three minutes are not enough goes on without.
    """
    from counterfoil.program import Program
    from counterfoil.runtimes.special_kernels import compile_now

    program = Program(load(detector, settings))
    stages = len(program.stage_plans)
    told: list[Told] = []
    console = messages()
    with console.status("looking for kernels", spinner="dots") as status:

        def tell(each: Told) -> None:
            if not each.ended:
                waits = " (another process is at it)" if each.state == "waiting" else ""
                status.update(f"{each.stage}{waits} [dim]{program.detector.version}[/]")
                return
            told.append(each)
            if not as_json:
                console.print(_line(each), soft_wrap=True)

        left = compile_now(program, tell)
    if as_json:
        results = [
            {"stage": each.stage, "state": each.state, "seconds": each.seconds, "reason": each.reason or None}
            for each in told
        ]
        write_json({"stages": stages, "results": results, "without": left}, indent=True)
    elif left == 0:
        output().print(f"[bold green]✓[/] {program.detector.version}: {_sum(stages, told)}", soft_wrap=True)
    if left:
        messages().print(f"{left} of {stages} stages go on with the general kernel", soft_wrap=True)
        raise typer.Exit(1)


def _line(told: Told) -> str:
    """Return what a person reads of a stage that is done with."""
    if told.state == "failed":
        return f"[bold red]✗[/] {told.stage + ': ' if told.stage else ''}{told.reason}"
    took = "another process has compiled it" if told.state == "there" else f"{told.seconds:,.1f} s"
    return f"[green]✓[/] {told.stage} [dim]{took}[/]"


def _sum(stages: int, told: Sequence[Told]) -> str:
    if stages == 0:
        return "it has no windows, so there is nothing to compile"
    compiled = sum(each.state == "compiled" for each in told)
    return f"{stages} {'stage' if stages == 1 else 'stages'}, {compiled or 'none'} compiled now"


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("compile payments", "compile mine.yaml --json")
    application.command("compile", rich_help_panel=panel, epilog=epilog)(compile_kernels)
