"""``counterfoil compile``: a detector's own kernels, before they are needed."""

from __future__ import annotations

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

    Long runs do it by themselves, beside their work (`limits.specialise_events`). It takes half a minute, once for each
    set of features: rules and policy may change as they like. Decisions are the same with and without.
    """
    from counterfoil.program import Program
    from counterfoil.runtimes.special_kernels import compile_now

    program = Program(load(detector, settings))
    stages = len(program.stage_plans)
    told: list[Told] = []
    console = messages()
    with console.status(f"compiling the kernels of {stages} stages", spinner="dots"):

        def tell(each: Told) -> None:
            told.append(each)
            if not as_json:
                mark = "[green]✓[/]" if each.error is None else "[bold red]✗[/]"
                console.print(
                    f"{mark} {each.stage} [dim]{each.seconds:,.1f} s[/] {each.error or ''}".rstrip(), soft_wrap=True
                )

        left = compile_now(program, tell)
    if as_json:
        compiled = [{"stage": each.stage, "seconds": each.seconds, "error": each.error} for each in told]
        write_json({"stages": stages, "compiled": compiled, "without": left}, indent=True)
    elif left == 0:
        done = f"{len(told)} compiled" if told else "all were there"
        output().print(f"[bold green]✓[/] {program.detector.version}: {stages} stages, {done}", soft_wrap=True)
    if left:
        messages().print(f"{left} of {stages} stages go on with the general kernel", soft_wrap=True)
        raise typer.Exit(1)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples("compile payments", "compile mine.yaml --json")
    application.command("compile", rich_help_panel=panel, epilog=epilog)(compile_kernels)
