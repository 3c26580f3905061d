"""Options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.errors import ConfigurationError, StorageError, nearest

if TYPE_CHECKING:
    from counterfoil.config import SourceConfig
    from counterfoil.detector import Detector
    from counterfoil.runtimes.local.log import StateLog


class InputFormat(StrEnum):
    """How a file holds events."""

    JSON = "json"
    LINES = "lines"
    CSV = "csv"
    PARQUET = "parquet"


class RunFormat(StrEnum):
    """How a source that is run holds events."""

    JSON = "json"
    LINES = "lines"
    CSV = "csv"
    PARQUET = "parquet"
    DEBEZIUM = "debezium"
    AVRO = "avro"
    DEBEZIUM_AVRO = "debezium-avro"
    JSON_SCHEMA = "json-schema"
    DEBEZIUM_JSON_SCHEMA = "debezium-json-schema"


class RecordFormat(StrEnum):
    """How a single record may be written; one of a CSV file is a line without its header."""

    JSON = "json"
    LINES = "lines"
    DEBEZIUM = "debezium"
    AVRO = "avro"
    DEBEZIUM_AVRO = "debezium-avro"
    JSON_SCHEMA = "json-schema"
    DEBEZIUM_JSON_SCHEMA = "debezium-json-schema"


_SUFFIXES = {".csv": InputFormat.CSV, ".parquet": InputFormat.PARQUET, ".pq": InputFormat.PARQUET}
_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LINE_SUFFIXES = {".txt": InputFormat.LINES, ".lines": InputFormat.LINES}

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the detector. May be repeated."),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="NAME=SOURCE", help="The detector's field NAME is called SOURCE in the data. May be repeated."
    ),
]
Kind = Annotated[
    str | None, typer.Option("--kind", help="The event kind of every record; else a field of the record names it.")
]
KindField = Annotated[str, typer.Option("--kind-field", help="The field that names the event kind in a mixed source.")]
Format = Annotated[
    InputFormat | None,
    typer.Option(
        "--format",
        help="json: one object a line. lines: delimited values without a header. csv: with one. "
        "Left out, the file's name decides.",
    ),
]
RunFormats = Annotated[
    RunFormat | None,
    typer.Option(
        "--format",
        help="json: one object a line. lines: delimited values without a header. csv: with one. debezium: changes of "
        "rows as JSON; debezium-avro: as Avro. avro: container files, or records with a number in --registry. "
        "json-schema, debezium-json-schema: JSON with one. Left out, the file's name decides.",
    ),
]
Registry = Annotated[
    str | None, typer.Option("--registry", metavar="URL", help="avro, json-schema, …: where schemas are asked for.")
]
SchemaFile = Annotated[
    str | None,
    typer.Option("--schema", metavar="FILE", help="avro: the one schema of all records, which then name none."),
]
Operation = Annotated[
    list[str] | None,
    typer.Option(
        "--operation",
        metavar="CHANGE=KIND",
        help="debezium: the event kind of a create, snapshot, update, delete, truncate or message; or ignore. "
        "May be repeated.",
    ),
]
Encodings = Annotated[
    list[str] | None,
    typer.Option(
        "--encoding",
        metavar="COLUMN=HOW",
        help="debezium: how a column is written where the records do not say so: decimal(2), days, millis, micros, "
        "nanos, date. May be repeated.",
    ),
]
Delimiter = Annotated[
    str | None, typer.Option("--delimiter", help="Between values; ';' in lines and ',' in CSV when left out.")
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="A,B,…", help="lines only: the detector's name of each value in a line, in order."
    ),
]
NaiveUtc = Annotated[
    bool, typer.Option("--naive-utc", help="Take times without a zone as UTC; else such records are dead letters.")
]
Shards = Annotated[int, typer.Option("--shards", min=1, max=1024, help="Parts that state is divided into.")]
Threads = Annotated[int, typer.Option("--threads", min=1, max=1024, help="Threads that decide.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for scripts.")]
State = Annotated[Path, typer.Option("--state", metavar="DIR", help="The state folder of a run.")]
SecretEnvironment = Annotated[
    str | None,
    typer.Option("--secret-env", metavar="NAME", help="The environment variable that holds the run's secret."),
]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only events from this time on.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only events before this time.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Wait for new ones, until Ctrl-C.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Write JSON for scripts, one object a line.")]
KafkaSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--kafka",
        metavar="NAME=VALUE",
        help="A setting of librdkafka, passed through; ${NAME} in it is an environment variable. May be repeated.",
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=0, help="Only the newest so many; 0 for all. People see 25, scripts all.")
]

LIMIT = 25
"""How many lines people see where they say nothing else."""


def limit_of(given: int | None, as_json: bool) -> int | None:
    """Return how many of the newest are wanted; None for all."""
    if given is None:
        return None if as_json else LIMIT
    return given or None


def secret_of(variable: str | None) -> bytes | None:
    """Return the secret that an environment variable holds."""
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise ConfigurationError(f"--secret-env: {variable} is not set; export {variable}=…")
    return value.encode()


def check_folder(state: Path) -> None:
    """Refuse a file as a state folder."""
    if state.exists() and not state.is_dir():
        raise StorageError(f"--state: {state} is a file, not a folder; give the folder of a run")


def warn_of_rule(log: StateLog, rule: str | None) -> None:
    """Say so when no detector of a state folder has a rule of that name."""
    if rule is None:
        return
    from rich.text import Text

    from counterfoil.cli.console import messages, prose

    known = {each.name for _, detector in log.detectors() for each in detector.rules}
    if rule not in known:
        hint = nearest(rule, sorted(known))
        text = f'no rule "{rule}" in this folder' + (f"; {hint}" if hint else "; see: counterfoil detectors show")
        prose(messages(), Text(text, "yellow"))


def open_log(state: Path, secret_env: str | None) -> StateLog:
    """Return a reader of a state folder."""
    from counterfoil.runtimes.local.log import StateLog

    check_folder(state)
    return StateLog(state, secret_of(secret_env))


def format_of(path: str, given: InputFormat | None) -> InputFormat:
    """Return the format of a file: the one that was given, or the one that its name says; else JSON lines."""
    if given is not None:
        return given
    suffix = Path(path).suffix.lower()
    return _SUFFIXES.get(suffix) or _LINE_SUFFIXES.get(suffix) or InputFormat.JSON


def run_format_of(path: str, given: RunFormat | None) -> RunFormat:
    """Return the format of what is run: see ``format_of``."""
    if given is None and Path(path).suffix.lower() == ".avro":
        return RunFormat.AVRO
    return given or RunFormat(format_of(path, None).value)


def pairs(texts: Iterable[str] | None, option: str) -> dict[str, str]:
    """Return ``name=value`` texts as a mapping.

    Examples
    --------
    >>> pairs(["amount=TX_AMOUNT"], "--map")
    {'amount': 'TX_AMOUNT'}
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ConfigurationError(f'{option}: found "{text}"; allowed: NAME=VALUE')
        found[name.strip()] = value.strip()
    return found


def source_of(
    path: str,
    form: InputFormat | None,
    kind: str | None,
    kind_field: str,
    mapping: Iterable[str] | None,
    columns: str | None,
    delimiter: str | None,
    naive_utc: bool,
) -> SourceConfig:
    """Return the settings of a file, or of standard input for ``-``, from the options that say how it is written."""
    from counterfoil.config import SourceConfig

    return SourceConfig(
        type="stdin" if path == "-" else "file",
        path=None if path == "-" else path,
        format=format_of(path, form).value,
        kind=kind,
        kind_field=kind_field,
        fields=pairs(mapping, "--map"),
        columns=tuple(columns.split(",")) if columns else (),
        delimiter=delimiter,
        naive_utc=naive_utc,
    )


def is_topic(destination: str) -> bool:
    """Return whether something is the address of topics and not a file."""
    return destination.startswith("kafka://")


def settings_of(texts: Iterable[str] | None) -> dict[str, str]:
    """Return the settings of librdkafka that ``--kafka`` gives, with ``${NAME}`` replaced from the environment."""
    return {name: _expanded(value, name) for name, value in pairs(texts, "--kafka").items()}


def _expanded(text: str, setting: str) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ConfigurationError(f"--kafka: {setting}: {found[1]} is not set; export {found[1]}=…")
        return os.environ[found[1]]

    return _ENVIRONMENT.sub(value, text)


def load(name_or_path: str, settings: Iterable[str] | None) -> Detector:
    """Return a detector with its parameters set."""
    from counterfoil.detector_file import load_detector, parse_parameters

    return load_detector(name_or_path, parse_parameters(settings or ()))


def moment(text: str | None, option: str) -> int | None:
    """Return a date or a time as microseconds since 1970; without a zone it is UTC.

    Examples
    --------
    >>> moment("1970-01-02", "--from")
    86400000000
    """
    from datetime import UTC, datetime, timedelta

    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        message = f'{option}: found "{text}"; allowed: a date or a time, such as 2026-03-01 or 2026-03-01T09:30:00Z'
        raise ConfigurationError(message) from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
