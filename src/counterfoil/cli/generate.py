"""``counterfoil generate``: events of a bank that does not exist."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Protocol

import typer

from counterfoil.cli.console import examples, messages
from counterfoil.cli.options import InputFormat, moment
from counterfoil.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    import polars as pl

_HELD = 0.98
"""A rate counts as held when this share of it was reached."""
_TICKS_A_SECOND = 50


class What(StrEnum):
    """What is generated."""

    PAYMENTS = "payments"
    TRANSFERS = "transfers"


class TimeText(StrEnum):
    """How transfer lines write time."""

    RFC850 = "rfc850"
    RFC3339 = "rfc3339"


class _Events(Protocol):
    """Some generated events."""

    def __len__(self) -> int: ...

    def to_frame(self) -> pl.DataFrame: ...


class _Generator(Protocol):
    """Either generator."""

    def chunks(self, count: int | None, size: int) -> Iterator[Any]: ...


@dataclass(slots=True)
class _Pace:
    """Holds a rate, and notices when it cannot be held."""

    rate: float | None
    started: float
    sent: int = 0

    def wait(self, events: int) -> None:
        """Wait until the next ``events`` are due."""
        self.sent += events
        if self.rate is not None:
            ahead = self.started + self.sent / self.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)

    @property
    def reached(self) -> float:
        """Events a second so far."""
        return self.sent / max(time.monotonic() - self.started, 1e-9)


def generate(
    what: Annotated[What, typer.Argument(help="payments: a believable bank with fraud in it. transfers: plain lines.")],
    count: Annotated[int, typer.Option(min=1, help="How many events.")] = 100_000,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second; as fast as possible when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    customers: Annotated[
        int | None, typer.Option(min=1, help="How many customers (10,000) or accounts (100) there are.")
    ] = None,
    destination: Annotated[
        str, typer.Option("--output", metavar="FILE", help="The file; - for standard output.")
    ] = "-",
    form: Annotated[
        InputFormat | None,
        typer.Option(
            "--format",
            help="payments: json, transfers: lines; both: csv or parquet. Left out, the file's name decides.",
        ),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="When the first event happens.")] = None,
    fraud_share: Annotated[
        float | None, typer.Option(min=0.0, max=0.05, help="payments: the share of fraudulent payments.")
    ] = None,
    time_text: Annotated[
        TimeText | None, typer.Option("--time-format", help="transfers: how lines write time; rfc850 when left out.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing on standard error.")] = False,
) -> None:
    """Generate events: labelled payments of a believable bank, or classic transfer lines.

    Payments carry `fraud` and `story`, for back-tests: the payments detector knows both and looks at neither.
    """
    form = _format(what, form, destination)
    generator = _generator(what, seed, customers, moment(start, "--start"), fraud_share, time_text)
    size = 65_536 if rate is None else max(1, min(65_536, int(rate / _TICKS_A_SECOND)))
    pace = _Pace(rate, time.monotonic())
    with _named(destination), ExitStack() as stack:
        write = _writer(form, destination, stack)
        for events in generator.chunks(count, size):
            pace.wait(len(events))
            write(events)
        seconds = time.monotonic() - pace.started
    if quiet:
        return
    place = "standard output" if destination == "-" else destination
    messages().print(f"{pace.sent:,} events to {place} in {seconds:,.1f} s ({pace.reached:,.0f} a second)")
    if rate is not None and pace.reached < _HELD * rate:
        messages().print(
            f"[bold yellow]The rate could not be held:[/] {rate:,.0f} a second were asked for, "
            f"{pace.reached:,.0f} were reached. Whoever reads the output, or this machine, is slower.",
            soft_wrap=True,
        )


def _format(what: What, form: InputFormat | None, destination: str) -> InputFormat:
    """Return the output format, which must be one that the generator can write."""
    first = InputFormat.JSON if what is What.PAYMENTS else InputFormat.LINES
    allowed = (first, InputFormat.CSV, InputFormat.PARQUET)
    if form is None:
        by_name = {".csv": InputFormat.CSV, ".parquet": InputFormat.PARQUET}.get(Path(destination).suffix.lower())
        form = by_name if by_name in allowed else allowed[0]
    if form not in allowed:
        message = (
            f'--format: found "{form.value}"; allowed for {what.value}: {", ".join(each.value for each in allowed)}'
        )
        raise ConfigurationError(message)
    if form is InputFormat.PARQUET and destination == "-":
        raise ConfigurationError('--format: found "parquet"; allowed on standard output: json or csv; name a file')
    return form


def _generator(
    what: What, seed: int, customers: int | None, start: int | None, fraud_share: float | None, time: TimeText | None
) -> _Generator:
    from datetime import UTC, datetime, timedelta

    from counterfoil.events.generators import PaymentsGenerator, TransfersGenerator

    given: dict[str, Any] = {"seed": seed}
    if start is not None:
        given["start"] = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)
    if what is What.PAYMENTS:
        if time is not None:
            raise ConfigurationError("--time-format: found with payments; allowed: with transfers")
        given |= {} if customers is None else {"customers": customers}
        given |= {} if fraud_share is None else {"fraud_share": fraud_share}
        return PaymentsGenerator(**given)
    if fraud_share is not None:
        raise ConfigurationError("--fraud-share: found with transfers; allowed: with payments")
    given |= {} if customers is None else {"accounts": customers}
    given |= {} if time is None else {"time_format": time.value}
    return TransfersGenerator(**given)


def _writer(form: InputFormat, destination: str, stack: ExitStack) -> Any:
    """Return what writes some events."""
    if form is InputFormat.PARQUET:
        from counterfoil.connectors.parquet_output import ParquetOutput

        parquet = stack.enter_context(ParquetOutput(Path(destination)))
        return lambda events: parquet.write(events.to_frame())
    file = _open(destination, stack)
    if form is InputFormat.CSV:
        return _CsvWriter(file)
    if form is InputFormat.LINES:
        return lambda events: _flushed(file, events.to_lines())
    return lambda events: _flushed(file, events.to_ndjson())


class _CsvWriter:
    """Writes the header once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._first = True

    def __call__(self, events: _Events) -> None:
        events.to_frame().write_csv(
            self._file, include_header=self._first, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ", quote_style="necessary"
        )
        self._file.flush()
        self._first = False


def _flushed(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()


@contextmanager
def _named(destination: str) -> Iterator[None]:
    """Name the file in errors of writing to it, which come without."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        place = "standard output" if destination == "-" else destination
        reason = error.strerror or str(error)
        raise StorageError(f"{place}: cannot be written: {reason}; choose another output") from error


def _open(destination: str, stack: ExitStack) -> BinaryIO:
    if destination == "-":
        return sys.stdout.buffer
    try:
        return stack.enter_context(Path(destination).open("wb"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{destination}: cannot be written: {reason}; choose another output") from error


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "generate payments --count 100000 --customers 2000 --seed 7 --output payments.ndjson",
        "generate payments --rate 500 | counterfoil run --detector payments --input - --output -",
        "generate transfers --count 1000 --output transfers.txt",
    )
    application.command("generate", rich_help_panel=panel, epilog=epilog)(generate)
