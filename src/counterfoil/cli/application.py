"""The program ``counterfoil``: its commands, and what becomes of an error."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from counterfoil.cli import (
    alerts,
    backtest,
    check,
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
from counterfoil.cli.console import examples, print_error
from counterfoil.errors import CounterfoilError

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


class Commands(TyperGroup):
    """The commands, with every deliberate error as a message on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            done = super().invoke(ctx)
            # Here, so that what stands in the way is said as any other error.
            sys.stdout.flush()
            return done
        except CounterfoilError as error:
            print_error(error)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader of a pipe (`| head`) has seen enough. Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except OSError as error:
            _print_system_error(error)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _print_system_error(error: OSError) -> None:
    """Say what the system refused, and where."""
    place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    if error.errno is not None and error.filename is None:
        # Files name themselves in what goes wrong with them, so it is where results are printed. What could not be
        # written would be tried once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        place = "standard output: "
    print_error(CounterfoilError(f"{place}{error.strerror or error}"))


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
    application()
