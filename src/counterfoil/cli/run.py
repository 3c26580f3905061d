"""``counterfoil run``: decide events, durably."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli.console import examples, messages, prose
from counterfoil.cli.options import (
    Columns,
    Delimiter,
    Encodings,
    KafkaSettings,
    Kind,
    Map,
    Operation,
    Registry,
    RunFormats,
    SchemaFile,
    SecretEnvironment,
    Set,
    check_folder,
    pairs,
    run_format_of,
    secret_of,
)
from counterfoil.cli.run_target import Engine
from counterfoil.compiled import load_compiler
from counterfoil.errors import ConfigurationError
from counterfoil.signals import quiet_end
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.observability import Metrics
    from counterfoil.runtimes.local.summary import RunSummary

Content = dict[str, Any]

_SCHEME = "kafka://"


class LogLevel(StrEnum):
    """The least severe message that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class OutputFormat(StrEnum):
    """How decisions are put into messages."""

    JSON = "json"
    PACKED = "packed"


class Delivery(StrEnum):
    """What is promised of messages."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"


class LogFormat(StrEnum):
    """How messages are logged."""

    CONSOLE = "console"
    JSON = "json"


def run(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="A run's settings in YAML; options win over them.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", metavar="D", help="A built-in detector, or a definition's file.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Where events come from: a file, - for standard input, or kafka://HOST:PORT/TOPIC[,TOPIC…].",
        ),
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Where decisions go: JSON lines, or Parquet by its name; - for standard output; or"
            " kafka://HOST:PORT/TOPIC. May be repeated.",
        ),
    ] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--output-format", help="Topics: json, one message a decision, or packed, many in a message."),
    ] = None,
    alerts_to: Annotated[
        str | None, typer.Option("--alerts-to", metavar="TOPIC", help="Alerts, as kafka://HOST:PORT/TOPIC.")
    ] = None,
    dead_letters_to: Annotated[
        str | None, typer.Option("--dead-letters-to", metavar="TOPIC", help="Dead letters, as kafka://HOST:PORT/TOPIC.")
    ] = None,
    delivery: Annotated[
        Delivery | None,
        typer.Option("--delivery", help="Topics: exactly-once, in transactions; or at-least-once, which is sooner."),
    ] = None,
    features: Annotated[
        bool | None, typer.Option("--features/--no-features", help="Put every feature into each decision.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="DIR", help="Where the detector's models are; see: counterfoil models."),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="DIR", help="Journal, decisions and state; a temporary one when left out."),
    ] = None,
    accept_detector: Annotated[
        bool | None,
        typer.Option(
            "--accept-detector/--keep-detector", help="Go on in a state folder that another detector version has begun."
        ),
    ] = None,
    on: Annotated[
        Engine | None,
        typer.Option("--on", help="What runs it: this process, or an engine, whose checkpoint is then in --state."),
    ] = None,
    summary_json: Annotated[
        Path | None, typer.Option("--summary-json", metavar="FILE", help="Write what was done, as JSON.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", metavar="NAME", help="Topics: the group that shares the partitions; on Spark a name alone."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="Topics: where a partition begins that was never read: earliest, latest, a time, or"
            " TOPIC:PARTITION:OFFSET.",
        ),
    ] = None,
    until_end: Annotated[
        bool | None,
        typer.Option("--until-end/--no-until-end", help="Topics: stop at what was the end when the run began."),
    ] = None,
    accept_gap: Annotated[
        bool | None,
        typer.Option(
            "--accept-gap/--refuse-gap", help="Topics: go on where records were deleted that were never decided."
        ),
    ] = None,
    topic_kinds: Annotated[
        list[str] | None,
        typer.Option("--topic-kind", metavar="TOPIC=KIND", help="The event kind of a topic's records. Repeatable."),
    ] = None,
    kafka: KafkaSettings = None,
    form: RunFormats = None,
    kind: Kind = None,
    kind_field: Annotated[
        str | None, typer.Option("--kind-field", help="The field that names the event kind in a mixed source.")
    ] = None,
    mapping: Map = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    naive_utc: Annotated[
        bool | None, typer.Option("--naive-utc/--no-naive-utc", help="Take times without a zone as UTC.")
    ] = None,
    registry: Registry = None,
    schema_file: SchemaFile = None,
    operations: Operation = None,
    encodings: Encodings = None,
    settings: Set = None,
    shards: Annotated[int | None, typer.Option(min=1, max=1024, help="Parts that state is divided into.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Threads that decide.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Serve Prometheus metrics here; 0 for any free port.")
    ] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="The least severe message that is logged.")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="console for people, json for machines.")] = None,
    secret_env: SecretEnvironment = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no summary.")] = False,
) -> None:
    """Decide every event of a source once, and record it once, through a crash at any instant.

    After a kill, the same command with the same --state goes on where the commit record stands; the output ends with
    every decision exactly once, in order.
    """
    content = _read(config)
    secret = None if secret_of(secret_env) is None else f"${{{secret_env}}}"
    _put(content, "", secret=secret, runtime=None if on is None else on.value)
    _put(content, "", detector=detector, parameters=None if settings is None else pairs(settings, "--set"))
    _put_source(content, source, form)
    _put(
        content,
        "source",
        kind=kind,
        kind_field=kind_field,
        fields=None if mapping is None else pairs(mapping, "--map"),
        columns=None if columns is None else columns.split(","),
        delimiter=delimiter,
        naive_utc=naive_utc,
    )
    _put(
        content,
        "source",
        schema_file=schema_file,
        operations=None if operations is None else pairs(operations, "--operation"),
        encodings=None if encodings is None else pairs(encodings, "--encoding"),
    )
    if registry is not None:
        _put(content.setdefault("source", {}), "registry", url=registry)
    properties = pairs(kafka, "--kafka") or None
    _put_topics(content, topic_kinds)
    _put(content, "source", group=group, start=start, until_end=until_end, accept_gap=accept_gap)
    _put(content, "source", properties=properties)
    _put_sinks(content, output, alerts_to, dead_letters_to, features)
    _put_into_topics(
        content,
        delivery=None if delivery is None else delivery.value,
        format=None if output_format is None else output_format.value,
        properties=properties,
    )
    _put(content, "state", folder=state, accept_detector=accept_detector)
    _put(content, "models", registry=models)
    _put(content, "limits", shards=shards, threads=threads)
    _put(content, "metrics", port=metrics_port)
    _put(content, "log", level=None if log_level is None else log_level.value)
    _put(content, "log", format=None if log_format is None else log_format.value)
    if config is None and log_level is None:
        # A quick run at the terminal: its summary says what matters.
        _put(content, "log", level=LogLevel.WARNING.value)
    from counterfoil.config import RunConfig, parse_config

    # A setting that is not known may be the one that is missing, misspelt: it is named with all other problems.
    if content.keys() <= {each.name for each in fields(RunConfig)}:
        _check_given(content)
    settled = parse_config(content)
    _check_files(settled, config, summary_json)
    _carry(settled, summary_json, quiet)


def _check_given(content: Content) -> None:
    """See to it that there is what a run cannot do without."""
    if "detector" not in content:
        raise ConfigurationError(
            "--detector: found nothing; allowed: a built-in detector or a definition's file, or CONFIG"
        )
    if "source" not in content:
        raise ConfigurationError("--input: found nothing; allowed: a file, or - for standard input, or CONFIG")


def _check_files(settled: RunConfig, config: Path | None, summary_json: Path | None) -> None:
    """Refuse to overwrite what the run reads, before anything is opened."""
    from counterfoil.destinations import check_run

    read = [] if config is None else [("CONFIG", config)]
    if settled.state.folder is not None:
        check_folder(Path(settled.state.folder))
    check_run(settled, read, [] if summary_json is None else [("--summary-json", summary_json)])


def _carry(config: RunConfig, summary_json: Path | None, quiet: bool) -> None:
    """Run, and say what was done."""
    stopped = threading.Event()
    if config.runtime != Engine.LOCAL:
        from counterfoil.cli.engines import carry

        summary = carry(config, stopped, quiet)
        if summary_json is not None:
            _write_summary(summary_json, summary)
        if not quiet and config.runtime == Engine.FLINK and summary.stopped:
            # Its own counts are put together at the end of the input, which was not reached.
            _tell_stop(f"after {summary.seconds:,.1f} s", config.state.folder)
        elif not quiet:
            _print_summary(summary, config.state.folder, hints=False)
        return
    with ExitStack() as opened:
        with quiet_end(stopped):
            load_compiler()
            from counterfoil.cli.warming import FIRST_START, first_start
            from counterfoil.observability import Metrics, configure_logs
            from counterfoil.runtimes.local.runtime import LocalRuntime

            configure_logs(config.log.level, config.log.format)
            if first_start() and not quiet:
                messages().print(f"[dim]{FIRST_START}[/]")
            metrics = Metrics()
            opened.callback(metrics.stop)
            if config.metrics.port is not None:
                _serve(metrics, config.metrics.host, config.metrics.port, quiet)
            runtime = opened.enter_context(LocalRuntime(config, metrics=metrics))
            # Here and not in the run: opening a pipe waits for who writes to it.
            feed = runtime.open_input()
        summary = runtime.run(stopped, feed)
    if summary_json is not None:
        _write_summary(summary_json, summary)
    if not quiet:
        _print_summary(summary, config.state.folder)


def _serve(metrics: Metrics, host: str, port: int, quiet: bool) -> None:
    try:
        port = metrics.serve(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"metrics.port: {port} cannot be served: {reason}; choose another port"
        raise ConfigurationError(message) from error
    if not quiet:
        messages().print(f"[dim]metrics at http://{host}:{port}/metrics[/]")


def _tell_stop(when: str, folder: str | None) -> None:
    """Say that a run was stopped, and whether it can be gone on with."""
    onwards = "nothing is kept without --state" if folder is None else "the same command goes on from here"
    prose(messages(), f"[yellow]stopped {when}; {onwards}[/]")


def _print_summary(summary: RunSummary, folder: str | None, hints: bool = True) -> None:
    from rich.markup import escape
    from rich.text import Text

    console = messages()
    p50, p99 = summary.latency_ms.get("p50"), summary.latency_ms.get("p99")
    latency = "" if p50 is None or p99 is None else f", latency p50 {p50:,.1f} ms, p99 {p99:,.1f} ms"
    prose(
        console,
        f"[bold]{counted(summary.events, 'record')}[/] in {summary.seconds:,.2f} s "
        f"({summary.events_per_second:,.0f} a second{latency}): "
        f"{summary.decided:,} decided, {summary.observed:,} observed, "
        f"{counted(summary.duplicates, 'duplicate')}, {counted(summary.dead_letters, 'dead letter')}; "
        f"{counted(summary.alerts, 'alert')}",
    )
    if summary.refused:
        prose(console, Text(summary.refused, "yellow"))
    if summary.stopped:
        _tell_stop("before the end", folder)
    if not hints:
        return
    if folder is not None and summary.alerts:
        console.print(f"[dim]look at them: counterfoil alerts --state {escape(folder)}[/]", soft_wrap=True)
    if folder is not None and summary.dead_letters:
        text = f"[dim]see what is wrong: counterfoil dead-letters list --state {escape(folder)}[/]"
        console.print(text, soft_wrap=True)


def _write_summary(path: Path, summary: RunSummary) -> None:
    import msgspec

    from counterfoil.errors import StorageError

    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(summary.as_dict()), indent=2) + b"\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{path}: cannot be written: {reason}; choose another file") from error


def _read(path: Path | None) -> Content:
    """Return the content of a configuration file, or nothing."""
    if path is None:
        return {}
    from counterfoil.config import read_settings

    content = read_settings(path)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: found no mapping; allowed: settings, such as `detector: payments`")
    return content


def _put(content: Content, section: str, **values: object) -> None:
    """Put the options that were given into a section."""
    given = {name: value for name, value in values.items() if value is not None}
    if not given:
        return
    target = content if not section else content.setdefault(section, {})
    if isinstance(target, dict):
        target.update(given)


def _put_source(content: Content, source: str | None, form: Any) -> None:
    if source == "-":
        _put(content, "source", type="stdin")
        if isinstance(content["source"], dict):
            content["source"].pop("path", None)
    elif source is not None and source.startswith(_SCHEME):
        from counterfoil.connectors.kafka_settings import KafkaAddress

        address = KafkaAddress.parse(source)
        topics = [{"name": topic} for topic in address.topics]
        _put(content, "source", type="kafka", servers=address.servers, topics=topics)
    elif source is not None:
        _put(content, "source", type="file", path=source)
    if source is not None or form is not None:
        _put(content, "source", format=run_format_of(source or "", form).value)


def _put_topics(content: Content, kinds: list[str] | None) -> None:
    """Give topics their kinds."""
    source = content.get("source")
    topics = source.get("topics") if isinstance(source, dict) else None
    for topic, kind in pairs(kinds, "--topic-kind").items():
        found = [each for each in topics or () if isinstance(each, dict) and each.get("name") == topic]
        if not found:
            raise ConfigurationError(f'--topic-kind: found "{topic}"; allowed: a topic of --input kafka://…')
        found[0]["kind"] = kind


def _put_sinks(
    content: Content,
    output: list[str] | None,
    alerts_to: str | None,
    dead_letters_to: str | None,
    features: bool | None,
) -> None:
    if output is not None:
        content["sinks"] = [_sink(each) for each in output]
    for address, option, kind in (
        (alerts_to, "--alerts-to", "alerts"),
        (dead_letters_to, "--dead-letters-to", "dead-letters"),
    ):
        if address is not None:
            content["sinks"] = [*content.get("sinks", ()), _topic_sink(address, option) | {"content": kind}]
    if features is not None and isinstance(content.get("sinks"), list):
        for sink in content["sinks"]:
            if isinstance(sink, dict):
                sink["features"] = features


def _sink(output: str) -> Content:
    if output == "-":
        return {"type": "stdout"}
    if output.startswith(_SCHEME):
        return _topic_sink(output, "--output")
    return {"path": output, "format": "parquet" if output.endswith((".parquet", ".pq")) else "json"}


def _topic_sink(address: str, option: str) -> Content:
    from counterfoil.connectors.kafka_settings import KafkaAddress

    found = KafkaAddress.parse(address, option)
    if len(found.topics) != 1:
        raise ConfigurationError(f'{option}: found "{address}"; allowed: one topic')
    return {"type": "kafka", "servers": found.servers, "topic": found.topics[0]}


def _put_into_topics(content: Content, **values: object) -> None:
    """Put the options that were given into every sink that is a topic."""
    for sink in content.get("sinks") or ():
        if isinstance(sink, dict) and sink.get("type") == "kafka":
            _put(sink, "", **values)


def register(application: typer.Typer, panel: str) -> None:
    """Add the command to the program."""
    epilog = examples(
        "run --detector payments --input payments.ndjson --output decisions.ndjson --state state",
        "run --detector laundering --set window=10m --input transfers.txt --output -",
        "run run.yaml --log-format json --metrics-port 9400",
        "run --detector payments --input kafka://localhost:9092/payments --output kafka://localhost:9092/decisions"
        " --state state",
    )
    application.command("run", rich_help_panel=panel, epilog=epilog)(run)
