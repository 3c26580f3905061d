"""``counterfoil dead-letters``: records that could not be read, and what to do with them."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli.console import examples, messages, output, prose, write_json
from counterfoil.cli.options import (
    Columns,
    Delimiter,
    Encodings,
    Json,
    JsonLines,
    KafkaSettings,
    Kind,
    KindField,
    Limit,
    Map,
    NaiveUtc,
    Operation,
    RecordFormat,
    Registry,
    SchemaFile,
    SecretEnvironment,
    Set,
    State,
    limit_of,
    load,
    open_log,
    pairs,
    secret_of,
    settings_of,
)
from counterfoil.errors import ConfigurationError, InputError
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.runtimes.local.store import StoredDeadLetter


dead_letters = typer.Typer(no_args_is_help=True, help="Look at records that could not be read, and try them again.")


@dead_letters.command(
    "list",
    epilog=examples(
        "dead-letters list --state state --reason bad_time", "dead-letters list --from kafka://localhost:9092/dead"
    ),
)
def list_all(
    state: State = Path("state"),
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="TOPIC", help="A topic instead of a folder: kafka://HOST:PORT/TOPIC."),
    ] = None,
    kafka: KafkaSettings = None,
    reason: Annotated[str | None, typer.Option(metavar="CODE", help="Only those with this reason.")] = None,
    limit: Limit = None,
    as_json: JsonLines = False,
    secret_env: SecretEnvironment = None,
) -> None:
    """List dead letters, the newest last, without their bytes."""
    if source is not None:
        from counterfoil.cli.topic_letters import show_letters

        show_letters(source, settings_of(kafka), reason, limit_of(limit, as_json), as_json)
        return
    if kafka:
        raise ConfigurationError("--kafka: found without --from; allowed: with --from kafka://HOST:PORT/TOPIC")
    with open_log(state, secret_env) as log:
        tally: Counter[str] = Counter()
        shown: deque[StoredDeadLetter] = deque(maxlen=limit_of(limit, as_json))
        for letter in log.dead_letters(reason):
            tally[letter.reason] += 1
            shown.append(letter)
    if as_json:
        for letter in shown:
            write_json(_content(letter))
        return
    _print(shown, tally)


def _print(shown: Iterable[StoredDeadLetter], tally: Counter[str]) -> None:
    from rich.markup import escape

    console = output()
    for letter in shown:
        mark = " [green]retried[/]" if letter.retried else " [yellow]cut[/]" if letter.cut else ""
        prose(
            console,
            f"[dim]record {letter.position:,} of {escape(letter.source)}[/]  "
            f"[red]{letter.reason}[/]  {escape(letter.detail)}{mark}",
            f"[bold]{letter.letter}[/]  ",
        )
    if not tally:
        console.print("no dead letters")
        return
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.most_common())
    prose(console, f"[dim]{tally.total():,} in all: {reasons}[/]")


def _content(letter: StoredDeadLetter) -> dict[str, Any]:
    return {
        "number": letter.letter,
        "source": letter.source,
        "position": letter.position,
        "reason": letter.reason,
        "detail": letter.detail,
        "retried": letter.retried,
        "cut": letter.cut,
        "sealed": letter.sealed,
    }


@dead_letters.command(
    "show", epilog=examples("dead-letters show 3 --state state", "dead-letters show 3 --raw > bad.json")
)
def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Its number in the list.")],
    state: State = Path("state"),
    raw: Annotated[bool, typer.Option("--raw", help="Write only the record's bytes, as they came.")] = False,
    as_json: Json = False,
    secret_env: SecretEnvironment = None,
) -> None:
    """Show one dead letter with the bytes of its record. They may hold a card number: mind who looks on."""
    with open_log(state, secret_env) as log:
        letter, data = log.dead_letter(number)
    if raw:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    text = data.decode(errors="backslashreplace")
    if as_json:
        write_json({**_content(letter), "record": text}, indent=True)
        return
    console = output()
    console.print(f"{letter.letter}  record {letter.position:,} of {letter.source}", soft_wrap=True, markup=False)
    console.print(f"{letter.reason}  {letter.detail}", soft_wrap=True, markup=False, style="red")
    sys.stdout.write(text + "\n")
    if letter.cut:
        messages().print("[yellow]only its beginning was kept (limits.dead_letter_bytes); it cannot be tried again[/]")


@dead_letters.command(
    "retry",
    epilog=examples(
        "dead-letters retry --state state",
        "dead-letters retry 3 4 --state state --detector mine.yaml --accept-detector",
    ),
)
def retry(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="NUMBER…", help="Which; all that were not tried again when left out."),
    ] = None,
    state: State = Path("state"),
    detector: Annotated[
        str | None,
        typer.Option("--detector", metavar="D", help="Read them by this detector; else by the folder's own."),
    ] = None,
    accept_detector: Annotated[
        bool, typer.Option("--accept-detector", help="Go on in the folder with another detector version.")
    ] = False,
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="FILE", help="A file of JSON lines that gets the decisions, too."),
    ] = None,
    form: Annotated[RecordFormat, typer.Option("--format", help="How the records are written.")] = RecordFormat.JSON,
    kind: Kind = None,
    kind_field: KindField = "kind",
    mapping: Map = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    naive_utc: NaiveUtc = False,
    registry: Registry = None,
    schema_file: SchemaFile = None,
    operations: Operation = None,
    encodings: Encodings = None,
    settings: Set = None,
    shards: Annotated[int, typer.Option("--shards", min=1, max=1024, help="As in the run.")] = 1,
    secret_env: SecretEnvironment = None,
    as_json: Json = False,
) -> None:
    """Read dead letters again, under the settings of now, and decide those that can be read.

    They take new positions at the end of the log. No run may be using the folder meanwhile.
    """
    from counterfoil.config import (
        LimitsConfig,
        RegistryConfig,
        RunConfig,
        Secret,
        SinkConfig,
        SourceConfig,
        StateConfig,
    )
    from counterfoil.observability import configure_logs
    from counterfoil.runtimes.local.runtime import LocalRuntime

    configure_logs("warning", "console")
    with open_log(state, secret_env) as log:
        letters = {letter.letter: letter for letter in log.dead_letters()}
        for number in numbers or ():
            if number not in letters:
                raise InputError(f"dead letter {number}: there is none with this number in {state}; see the list")
        waiting = sum(not letter.retried for letter in letters.values())
        chosen = load(detector, settings) if detector is not None else log.detectors()[-1][1]
    secret = secret_of(secret_env)
    config = RunConfig(
        detector=detector or chosen.version,
        source=SourceConfig(
            # Nothing is read from it: the records come out of the folder.
            path=os.devnull,
            format=form.value,
            kind=kind,
            kind_field=kind_field,
            fields=pairs(mapping, "--map"),
            columns=tuple(columns.split(",")) if columns else (),
            delimiter=delimiter,
            naive_utc=naive_utc,
            registry=RegistryConfig(url=registry),
            schema_file=schema_file,
            operations=pairs(operations, "--operation"),
            encodings=pairs(encodings, "--encoding"),
        ),
        sinks=tuple(SinkConfig(type="file", path=each) for each in outputs or ()),
        state=StateConfig(folder=str(state), accept_detector=accept_detector),
        limits=LimitsConfig(shards=shards),
        secret=None if secret is None else Secret(secret.decode()),
    )
    with LocalRuntime(config, chosen) as runtime:
        summary = runtime.retry_dead_letters(numbers)
    if as_json:
        write_json(summary.as_dict(), indent=True)
        return
    output().print(
        f"{summary.events:,} of {waiting:,} could be read: {summary.decided:,} decided, {summary.observed:,} observed, "
        f"{counted(summary.duplicates, 'duplicate')}; {counted(summary.alerts, 'alert')}",
        soft_wrap=True,
    )


def register(application: typer.Typer, panel: str) -> None:
    """Add the commands to the program."""
    epilog = examples("dead-letters list --state state", "dead-letters retry --state state")
    application.add_typer(dead_letters, name="dead-letters", rich_help_panel=panel, epilog=epilog)
