"""Where the commands write: data to standard output, everything else to standard error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterfoil.errors import ConfigurationError, CounterfoilError, DefinitionError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from counterfoil.backtest.replay import Progress

STANDARD_OUTPUT = "standard output"
"""The file that errors of writing to it name."""


class _NamedOutput(io.FileIO):
    """A descriptor whose errors say that it is standard output: the system names only what is opened."""

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        """Write some bytes."""
        try:
            return super().write(data)
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise


def name_standard_output() -> None:
    """Let what goes wrong with standard output be told from what goes wrong with anything else."""
    former: Any = sys.stdout
    if former is None:
        # Closed by who started us: what is printed is not wanted, and the next file must not become standard output.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the program runs
    if not isinstance(former, io.TextIOWrapper):
        return
    raw = _NamedOutput(former.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        raw if isinstance(former.buffer, io.RawIOBase) else io.BufferedWriter(raw),  # the former under PYTHONUNBUFFERED
        encoding=former.encoding,
        errors=former.errors,
        newline="\n",
        line_buffering=former.line_buffering,
        write_through=former.write_through,
    )


def examples(*lines: str) -> str:
    """Return the end of a command's help: its examples, one a line."""
    return "\n\n".join(["[bold]Examples[/bold]", *(f"[cyan]$ counterfoil {line}[/cyan]" for line in lines)])


def output() -> Console:
    """Return a console on standard output, for people; what scripts read goes through ``write_json``."""
    from rich.console import Console

    return Console(highlight=False)


def messages() -> Console:
    """Return a console on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def prose(console: Console, text: str | Text, before: str | Text = "") -> None:
    """Print a sentence: on a terminal broken between words, elsewhere on one line, for other programs.

    Parameters
    ----------
    console
        Where to.
    text
        The sentence; a plain text may have markup.
    before
        What stands before it; what is broken goes on below the sentence and not below this.
    """
    from rich.table import Table
    from rich.text import Text

    first, rest = (Text.from_markup(each) if isinstance(each, str) else each for each in (before, text))
    if not console.is_terminal:
        console.print(Text.assemble(first, rest), soft_wrap=True)
        return
    if not first:
        console.print(rest)
        return
    table = Table.grid()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(first, rest)
    console.print(table)


def write_json(value: Any, indent: bool = False) -> None:
    """Write a value as JSON to standard output; decimals stay exact."""
    import msgspec

    data = msgspec.json.Encoder(decimal_format="number").encode(value)
    if indent:
        data = msgspec.json.format(data, indent=2)
    sys.stdout.write(data.decode() + "\n")


def outcome_style(outcome: str) -> str:
    """Return how an outcome is coloured everywhere."""
    return {"approve": "green", "review": "yellow", "block": "bold red"}[outcome]


def print_error(error: CounterfoilError) -> None:
    """Show an error on standard error: a wrong definition with all its problems, one below the other."""
    console = messages()
    if isinstance(error, DefinitionError):
        count = len(error.problems)
        for problem in error.problems:
            console.print(f"[bold red]✗[/] [bold]{_plain(problem.path)}[/]")
            prose(console, _plain(problem.found), "    found    ")
            prose(console, _plain(problem.allowed), "    allowed  ")
            if problem.hint:
                prose(console, f"[cyan]{_plain(problem.hint)}[/]", "    ")
        console.print(f"[bold red]{count} problem{'' if count == 1 else 's'}[/]")
        return
    label = "wrong use" if isinstance(error, ConfigurationError) else "failed"
    prose(console, f"[bold red]{label}[/] {_plain(str(error))}")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@contextmanager
def history_progress() -> Iterator[Callable[[Progress], None]]:
    """Show on standard error how far a replay of history is; what is given is told at each step."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = messages()
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("compiling", total=1.0, events="")
        yield lambda each: bar.update(
            task, completed=each.done, description=each.file, events=f"{each.events:,} events"
        )
