"""``counterfoil produce``: a file to a topic, as it once happened, faster, or at once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples
from counterfoil.cli.options import (
    Columns,
    Delimiter,
    Format,
    KafkaSettings,
    Kind,
    KindField,
    Map,
    NaiveUtc,
    Set,
    is_topic,
    load,
    settings_of,
    source_of,
)
from counterfoil.cli.sending import Progress, Told, late_note, open_topic
from counterfoil.errors import ConfigurationError
from counterfoil.signals import clean_stop

if TYPE_CHECKING:
    from counterfoil.connectors.kafka_producer import TopicProducer
    from counterfoil.connectors.pace import Pace, Timetable
    from counterfoil.detector import Detector
    from counterfoil.runtimes.local.replay import Portion, Replay


def produce(
    path: Annotated[str, typer.Argument(metavar="FILE", help="The file; - for standard input.")],
    destination: Annotated[
        str, typer.Option("--output", "--to", metavar="TOPIC", help="Where to: kafka://HOST:PORT/TOPIC.")
    ],
    key: Annotated[str | None, typer.Option(metavar="FIELD", help="The field that is the key of each message.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            metavar="FACTOR",
            help="1: as it once happened. 60: an hour in a minute. Left out, as fast as possible.",
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events a second, whenever they happened.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="FIELD", help="--speed: the field that says when it happened.")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option("--detector", metavar="D", help="--speed: a detector that knows when each kind happened."),
    ] = None,
    form: Format = None,
    kind: Kind = None,
    kind_field: KindField = "kind",
    mapping: Map = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    naive_utc: NaiveUtc = False,
    settings: Set = None,
    kafka: KafkaSettings = None,
    summary_json: Annotated[
        Path | None, typer.Option("--summary-json", metavar="FILE", help="Write what was done, as JSON.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing on standard error.")] = False,
) -> None:
    """Write the records of a file to a topic, a message each, in their order.

    JSON and delimited lines go as they are, be they good or bad; rows of CSV and Parquet go as JSON. Ctrl-C ends it in
    order, and says how many arrived.
    """
    if not is_topic(destination):
        raise ConfigurationError(f'--output: found "{destination}"; allowed: kafka://HOST:PORT/TOPIC')
    if speed is not None and rate is not None:
        raise ConfigurationError("--rate: found beside --speed; allowed: one of them")
    if time is not None and detector is not None:
        raise ConfigurationError("--time: found beside --detector; allowed: one of them")
    properties = settings_of(kafka)

    from counterfoil.config import LimitsConfig
    from counterfoil.connectors.pace import EvenPace, Pace, Timetable
    from counterfoil.runtimes.local.replay import TIME_KIND, Replay, time_reader

    clock: Detector | None = None
    if time is not None:
        clock, kind = time_reader(time), TIME_KIND
    elif detector is not None:
        clock = load(detector, settings)
    config = source_of(path, form, kind, kind_field, mapping, columns, delimiter, naive_utc)
    replay = Replay(config, LimitsConfig(), clock, speed is not None, key)
    stopped = threading.Event()
    pace: Pace = Pace(stopped)
    if speed is not None:
        pace = Timetable(speed, stopped)
    elif rate is not None:
        pace = EvenPace(rate, stopped)
    with clean_stop(stopped), open_topic(destination, properties, stopped) as producer:
        with Progress(count, quiet) as progress:
            keyless = _carry(replay, producer, pace, progress, count, stopped)
            producer.flush()
        pace.arrived(producer.arrived)
        told = Told(pace.kept(), destination, stopped.is_set(), producer.failures, keyless)
    told.tell(quiet, summary_json)


def _carry(
    replay: Replay,
    producer: TopicProducer,
    pace: Pace | Timetable,
    progress: Progress,
    count: int | None,
    stopped: threading.Event,
) -> int:
    """Send the messages; return how many of them have no key although keys are asked for."""
    left = count
    keyless = 0
    for portion in replay.portions(stopped.is_set):
        size = len(portion) if left is None else min(left, len(portion))
        if portion.times is not None and hasattr(pace, "add"):
            pace.add(portion.times[:size])
        sent = _send(portion, size, producer, pace, progress)
        keyless += 0 if portion.keys is None else portion.keys[:sent].count(None)
        if sent < size:
            break
        left = None if left is None else left - size
        if left == 0:
            break
    return keyless


def _send(portion: Portion, size: int, producer: TopicProducer, pace: Pace, progress: Progress) -> int:
    """Send the beginning of a portion as it becomes due; return how much: less than all of it when stopped."""
    at = 0
    while at < size:
        due = pace.release(size - at)
        if not due:
            break
        keys = None if portion.keys is None else portion.keys[at : at + due]
        producer.send(portion.values[at : at + due], keys)
        at += due
        pace.arrived(producer.arrived)
        progress.show(producer.arrived, late_note(pace))
    return at


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "produce payments.ndjson --output kafka://localhost:9092/payments --key customer_id",
        "produce payments.ndjson --output kafka://localhost:9092/payments --detector payments --speed 60",
        "produce transfers.txt --output kafka://localhost:9092/transactions --detector laundering --speed 1",
    )
    application.command("produce", rich_help_panel=panel, epilog=epilog)(produce)
