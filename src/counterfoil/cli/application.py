"""The program ``counterfoil``: its commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from counterfoil.cli import (
    alerts,
    backtest,
    check,
    compiling,
    dataset,
    dead_letters,
    decisions,
    demo,
    detectors,
    explain,
    features,
    generate,
    models,
    plan,
    produce,
    run,
    schema,
    stack,
    submit,
    topics,
    train,
    verify,
    version,
)
from counterfoil.cli.console import STANDARD_OUTPUT, examples, name_standard_output, print_error
from counterfoil.errors import CounterfoilError

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


class Commands(TyperGroup):
    """The commands, with every deliberate error as a message on standard error and an exit code."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the command line; the program's own help is shown here."""
        with _told(lambda: info_name or "counterfoil"):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _told(lambda: f"counterfoil {ctx.invoked_subcommand}"):
            done = super().invoke(ctx)
            # Here, so that what stands in the way is said as any other error.
            sys.stdout.flush()
            return done


@contextmanager
def _told(command: Callable[[], str]) -> Iterator[None]:
    """Turn an error into a message and an exit code."""
    try:
        yield
    except CounterfoilError as error:
        print_error(error)
        raise typer.Exit(error.exit_code) from None
    except OSError as error:
        if error.filename == STANDARD_OUTPUT:
            # What could not be written would be tried once more when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                # The reader of a pipe (`| head`) has seen enough.
                raise typer.Exit(1) from None
        _print_system_error(error, command())
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _print_system_error(error: OSError, command: str) -> None:
    """Say what the system refused, and of what; where it does not say, in which command and which line of ours."""
    reason = error.strerror or str(error)
    if error.filename is not None:
        print_error(CounterfoilError(f"{os.fsdecode(error.filename)}: {reason}"))
        return
    import traceback

    package = str(Path(__file__).parents[1])
    lines = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith(package)]
    place = "".join(f" ({os.path.relpath(each.filename, package)}, line {each.lineno})" for each in lines[-1:])
    print_error(CounterfoilError(f"{command}: {reason}; the system does not say of what{place}"))


application = typer.Typer(
    name="counterfoil",
    cls=Commands,
    help="Real-time fraud and money-laundering detection. New here? Try [bold]counterfoil demo[/bold].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog=examples(
        "demo", "run --detector payments --input payments.ndjson --output decisions.ndjson --state state", "run --help"
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)

_DECIDE, _LOOK, _DEFINE, _TRY = "Decide", "Look at what was decided", "Define a detector", "Try it on data"
_ABOUT = "About the program"

demo.register(application, _DECIDE)
run.register(application, _DECIDE)
submit.register(application, _DECIDE)
decisions.register(application, _LOOK)
alerts.register(application, _LOOK)
explain.register(application, _LOOK)
verify.register(application, _LOOK)
dead_letters.register(application, _LOOK)
check.register(application, _DEFINE)
compiling.register(application, _DEFINE)
detectors.register(application, _DEFINE)
features.register(application, _DEFINE)
plan.register(application, _DEFINE)
schema.register(application, _DEFINE)
backtest.register(application, _TRY)
dataset.register(application, _TRY)
train.register(application, _TRY)
models.register(application, _TRY)
generate.register(application, _TRY)
produce.register(application, _TRY)
stack.register(application, _TRY)
topics.register(application, _TRY)
version.register(application, _ABOUT)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"counterfoil {installed('counterfoil')}")
        raise typer.Exit


@application.callback()
def _program(
    wanted: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    del wanted


def main() -> None:
    """Run the program."""
    name_standard_output()
    application()
