"""``counterfoil generate``: events of a bank that does not exist."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Protocol

import typer

from counterfoil.cli.console import examples
from counterfoil.cli.options import InputFormat, KafkaSettings, is_topic, moment, settings_of
from counterfoil.cli.sending import Progress, Told, late_note, open_topic
from counterfoil.errors import ConfigurationError, StorageError, nearest
from counterfoil.signals import clean_stop

if TYPE_CHECKING:
    import polars as pl

    from counterfoil.connectors.message_keys import Keys
    from counterfoil.connectors.pace import Pace

DEFAULT_COUNT = 100_000
CHUNK_EVENTS = 65_536
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


def generate(
    what: Annotated[What, typer.Argument(help="payments: a believable bank with fraud in it. transfers: plain lines.")],
    count: Annotated[
        int | None, typer.Option(min=1, help="How many events; 100,000 when --seconds is left out, too.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.001, help="For how long.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second; as fast as possible when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 1,
    customers: Annotated[
        int | None, typer.Option(min=1, help="How many customers (10,000) or accounts (100) there are.")
    ] = None,
    destination: Annotated[
        str,
        typer.Option("--output", metavar="FILE", help="A file, kafka://HOST:PORT/TOPIC, or - for standard output."),
    ] = "-",
    key: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Kafka: the field that is the key of each message.")
    ] = None,
    kafka: KafkaSettings = None,
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
    summary_json: Annotated[
        Path | None, typer.Option("--summary-json", metavar="FILE", help="Write what was done, as JSON.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing on standard error.")] = False,
) -> None:
    """Generate events: labelled payments of a believable bank, or classic transfer lines.

    Payments carry `fraud` and `story`, for back-tests: the payments detector knows both and looks at neither. A --rate
    is held over the whole time; when it cannot be, the end says so. On a topic, Ctrl-C ends in order.
    """
    form = _format(what, form, destination)
    generator = _generator(what, seed, customers, moment(start, "--start"), fraud_share, time_text)
    if count is None and seconds is None:
        count = DEFAULT_COUNT
    wanted = _Wanted(count, seconds, rate)
    if is_topic(destination):
        told = _to_topic(generator, wanted, destination, _keys(what, form, key), settings_of(kafka), quiet)
    else:
        if key is not None or kafka:
            name = "--key" if key is not None else "--kafka"
            raise ConfigurationError(f"{name}: found with a file; allowed: with --output kafka://HOST:PORT/TOPIC")
        told = _to_file(generator, wanted, destination, form)
    told.tell(quiet, summary_json)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How many events, for how long, how fast."""

    count: int | None
    seconds: float | None
    rate: float | None

    @property
    def total(self) -> int | None:
        """How many events there will be at most; None where nobody knows."""
        by_rate = None if self.rate is None or self.seconds is None else max(1, round(self.rate * self.seconds))
        found = [each for each in (self.count, by_rate) if each is not None]
        return min(found) if found else None

    def pace(self, stopped: threading.Event) -> Pace:
        """Return how fast they go."""
        from counterfoil.connectors.pace import EvenPace, Pace

        return Pace(stopped) if self.rate is None else EvenPace(self.rate, stopped)

    def events(self, generator: _Generator, pace: Pace) -> Iterator[Any]:
        """Yield events as they become due."""
        size = CHUNK_EVENTS if self.rate is None else max(1, min(CHUNK_EVENTS, int(self.rate / _TICKS_A_SECOND)))
        # Behind its rate it ends on time all the same, with fewer.
        from counterfoil.connectors.pace import TOLERANCE_SECONDS

        slack = 0.0 if self.rate is None else TOLERANCE_SECONDS
        for number, events in enumerate(generator.chunks(self.total, size)):
            at = 0
            if number == 0:
                # The kernel that writes is compiled or loaded here, before the clock starts.
                text_of(events[:1])
            while at < len(events):
                due = pace.release(len(events) - at)
                if not due or (self.seconds is not None and pace.kept().seconds > self.seconds + slack):
                    return
                yield events[at : at + due]
                at += due


def text_of(events: Any) -> bytes:
    """Return events as lines, in the way of their generator."""
    return events.to_ndjson() if hasattr(events, "to_ndjson") else events.to_lines()


def _to_file(generator: _Generator, wanted: _Wanted, destination: str, form: InputFormat) -> Told:
    pace = wanted.pace(threading.Event())
    written = 0
    with _named(destination), ExitStack() as stack:
        write = _writer(form, destination, stack)
        for events in wanted.events(generator, pace):
            write(events)
            written += len(events)
            pace.arrived(written)
    return Told(pace.kept(), "standard output" if destination == "-" else destination)


def _to_topic(
    generator: _Generator,
    wanted: _Wanted,
    destination: str,
    keys: Keys | None,
    settings: Mapping[str, str],
    quiet: bool,
) -> Told:
    from counterfoil.connectors.message_keys import split_lines

    stopped = threading.Event()
    pace = wanted.pace(stopped)
    with clean_stop(stopped), open_topic(destination, settings, stopped) as producer:
        with Progress(wanted.total, quiet) as progress:
            for events in wanted.events(generator, pace):
                lines = text_of(events)
                producer.send(split_lines(lines), None if keys is None else keys(lines))
                pace.arrived(producer.arrived)
                progress.show(producer.arrived, late_note(pace))
            producer.flush()
        pace.arrived(producer.arrived)
        return Told(pace.kept(), destination, stopped.is_set(), producer.failures)


def _keys(what: What, form: InputFormat, key: str | None) -> Keys | None:
    """Return what finds the key of each message."""
    from counterfoil.connectors.message_keys import delimited_keys, json_keys
    from counterfoil.events.generators.fields import FIELDS

    if key is None:
        return None
    if what is What.TRANSFERS:
        allowed = ["time", "sender", "receiver", "amount"]
    else:
        allowed = sorted({each.name for fields in FIELDS.values() for each in fields} | {"kind"})
    if key not in allowed:
        hint = nearest(key, allowed)
        raise ConfigurationError(f'--key: found "{key}"; allowed: {", ".join(allowed)}; {hint}'.rstrip("; "))
    return json_keys(key) if form is InputFormat.JSON else delimited_keys(allowed.index(key), ";")


def _format(what: What, form: InputFormat | None, destination: str) -> InputFormat:
    """Return the output format, which must be one that the generator can write."""
    first = InputFormat.JSON if what is What.PAYMENTS else InputFormat.LINES
    several = (first, InputFormat.CSV, InputFormat.PARQUET)
    allowed: tuple[InputFormat, ...] = several[:1] if is_topic(destination) else several
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
    return lambda events: _flushed(file, text_of(events))


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
    from counterfoil.connectors.output_lock import locked_file

    return stack.enter_context(locked_file(Path(destination)))


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "generate payments --count 100000 --customers 2000 --seed 7 --output payments.ndjson",
        "generate payments --rate 500 | counterfoil run --detector payments --input - --output -",
        "generate transfers --count 1000 --output transfers.txt",
        "generate payments --rate 100000 --seconds 60 --key customer_id --output kafka://localhost:9092/payments",
    )
    application.command("generate", rich_help_panel=panel, epilog=epilog)(generate)
