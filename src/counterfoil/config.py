"""The settings of a run: where events come from, where decisions go, and within which limits.

A setting is declared once, as a field of a frozen dataclass with its unit and range; reading a YAML file, checking it
and the page ``docs/configuration.md`` all follow from that declaration. ``${NAME}`` in any text is replaced by the
environment variable of that name, so that a secret never stands in a file.
"""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from counterfoil.errors import ConfigurationError, Problem, nearest

Settings = TypeVar("Settings")
KAFKA_FORMATS = ("json", "lines", "debezium", "avro", "debezium-avro", "json-schema", "debezium-json-schema")
"""What a record of a topic may be written in."""
REGISTRY_FORMATS = ("avro", "debezium-avro", "json-schema", "debezium-json-schema")
"""Those whose records name a schema."""
_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that must not appear in a log, a message or a listing."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "***"


def setting(
    default: Any = MISSING,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    default_factory: Any = MISSING,
    hidden: bool = False,
) -> Any:
    """Declare a setting with its bounds.

    Parameters
    ----------
    default
        What it is when left out; without one it is required.
    minimum, maximum
        Bounds of a number, inclusive.
    choices
        What a text may be.
    default_factory
        Makes the default of a setting that is a section of its own.
    hidden
        Whether its values may be secrets: no message and no ``repr`` shows them.
    """
    metadata = {"minimum": minimum, "maximum": maximum, "choices": choices, "hidden": hidden}
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata=metadata, repr=not hidden)
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """Where the schemas of records stand that name theirs by a number."""

    url: str | None = setting(None)
    """``http://HOST:PORT`` or ``https://…`` of a registry with Confluent's interface; Apicurio's has the path
    ``/apis/ccompat/v7``."""
    user: str | None = setting(None)
    """Who we are, where the registry asks for a user and a password."""
    password: Secret | None = setting(None)
    """The user's password, as ``${NAME}``."""
    password_file: str | None = setting(None)
    """A file that holds the password, instead."""
    token: Secret | None = setting(None)
    """A bearer token, as ``${NAME}``, where the registry asks for one."""
    token_file: str | None = setting(None)
    """A file that holds the token, instead."""
    authority_file: str | None = setting(None)
    """Certificates that are trusted, in PEM form; None for those of the system."""
    certificate_file: str | None = setting(None)
    """Our own certificate in PEM form, where the registry asks for one."""
    key_file: str | None = setting(None)
    """Its private key; None where it stands in the same file."""
    timeout_seconds: float = setting(10.0, minimum=0.1, maximum=600.0)
    """Seconds that one request may take."""
    wait_seconds: float = setting(30.0, minimum=0.0, maximum=86_400.0)
    """Seconds that a run waits for a registry that does not answer, before it ends with an error. No record is
    skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicConfig:
    """A topic to read; what is left out is as the source says it."""

    name: str = setting()
    """The topic."""
    kind: str | None = setting(None)
    """The event kind of every record."""
    kind_field: str | None = setting(None)
    """The field that names the event kind."""
    format: str | None = setting(None, choices=KAFKA_FORMATS)
    """How its records are written."""
    fields: Mapping[str, str] = setting(default_factory=dict)
    """Foreign names: the detector's name of a field, and the topic's name of it."""
    columns: tuple[str, ...] = setting(())
    """``lines`` only: the name of each value in a record, in order."""
    delimiter: str | None = setting(None)
    """``lines`` only: the one character between values."""
    operations: Mapping[str, str] = setting(default_factory=dict)
    """``debezium``: of some changes the event kind; see ``source.operations``."""
    encodings: Mapping[str, str] = setting(default_factory=dict)
    """``debezium``: how columns are written; see ``source.encodings``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """Where events come from."""

    type: str = setting("file", choices=("file", "stdin", "generator", "kafka"))
    """A file, standard input, the built-in generator, or topics of Kafka."""
    path: str | None = setting(None)
    """The file to read; required for ``type: file``."""
    format: str = setting("json", choices=(*KAFKA_FORMATS, "csv", "parquet"))
    """``json``: one object a line. ``lines``: delimited values without a header. ``csv``: with a header line.
    ``debezium``: changes of rows as JSON; ``debezium-avro``: as Avro. ``avro``: container files, or records that name
    their schema in a registry. ``json-schema``, ``debezium-json-schema``: JSON that does."""
    kind: str | None = setting(None)
    """The event kind of every record; None where a field of the record names it."""
    kind_field: str = setting("kind")
    """The field that names the event kind in a mixed source."""
    fields: Mapping[str, str] = setting(default_factory=dict)
    """Foreign names: the detector's name of a field, and the source's name of it."""
    columns: tuple[str, ...] = setting(())
    """``lines`` only: the name of each value in a line, in order; empty for the kind's id, time and fields."""
    delimiter: str | None = setting(None)
    """``lines`` and ``csv``: the one character between values; None for ``;`` in lines and ``,`` in CSV."""
    naive_utc: bool = setting(False)
    """Whether a time without a zone is UTC; else its record is a dead letter."""
    operations: Mapping[str, str] = setting(default_factory=dict)
    """``debezium``: the kind of ``create``, ``snapshot``, ``update``, ``delete``, ``truncate`` and ``message``, or
    ``ignore``. Left out, a creation and a snapshot are of the row's kind, an update and a deletion of the kinds
    ``KIND_update`` and ``KIND_delete``."""
    encodings: Mapping[str, str] = setting(default_factory=dict)
    """``debezium``: how a column is written where the records do not say so: ``decimal(2)`` for base64 with two digits,
    ``days``, ``millis``, ``micros`` or ``nanos`` for numbers, ``date`` for a day as text."""
    schema_file: str | None = setting(None)
    """``avro`` and ``debezium-avro``: a file with the one schema of all records, which then name none."""
    registry: RegistryConfig = setting(default_factory=RegistryConfig)
    """Where schemas are asked for."""
    generate: str = setting("payments", choices=("payments", "transfers"))
    """``type: generator``: what it makes."""
    count: int = setting(100_000, minimum=1, maximum=10**12)
    """``type: generator``: how many events."""
    rate: float | None = setting(None, minimum=0.001, maximum=1e9)
    """``type: generator``: events a second; None for as fast as possible."""
    seed: int = setting(1, minimum=0, maximum=2**63 - 1)
    """``type: generator``: the same seed gives the same events."""
    customers: int = setting(10_000, minimum=1, maximum=10**9)
    """``type: generator``: how many customers the bank has."""
    servers: str | None = setting(None)
    """``type: kafka``: ``HOST:PORT`` of one or more brokers, with commas between them."""
    topics: tuple[TopicConfig, ...] = setting(())
    """``type: kafka``: what is read."""
    group: str | None = setting(None)
    """``type: kafka``: the consumer group that shares the partitions; None for ``counterfoil-`` and the detector's
    name. Spark shares nothing: its own groups are called so, and more."""
    start: str = setting("earliest")
    """``type: kafka``: where a partition begins that was never read: ``earliest``, ``latest``, a time, or
    ``TOPIC:PARTITION:OFFSET`` with commas between several."""
    until_end: bool = setting(False)
    """``type: kafka``: whether to stop at what was the end when the run began."""
    accept_gap: bool = setting(False)
    """``type: kafka``: whether to go on where the cluster has deleted records that were never decided."""
    linger_ms: int = setting(5, minimum=0, maximum=1_000)
    """``type: kafka``: milliseconds that a batch may be filled after its first record came."""
    session_ms: int = setting(10_000, minimum=1_000, maximum=3_600_000)
    """``type: kafka``: milliseconds of silence after which the group gives an instance's partitions to others."""
    properties: Mapping[str, str] = setting(default_factory=dict, hidden=True)
    """``type: kafka``: settings of librdkafka, passed through; ``NAME.file`` reads one from a file. They are never
    shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """Where decisions go."""

    type: str = setting("file", choices=("file", "stdout", "kafka"))
    """A file, standard output, or a topic of Kafka."""
    path: str | None = setting(None)
    """The file to write; required for ``type: file``."""
    format: str = setting("json", choices=("json", "parquet", "packed"))
    """``json``: one object a line, or a message, written as decisions are made. ``parquet``: written when the run ends.
    ``packed``: ``type: kafka`` only, the lines of many decisions in one message."""
    features: bool = setting(False)
    """Whether each decision carries the value of every feature."""
    servers: str | None = setting(None)
    """``type: kafka``: ``HOST:PORT`` of one or more brokers; None for the source's."""
    topic: str | None = setting(None)
    """``type: kafka``: the topic to write; required there."""
    content: str = setting("decisions", choices=("decisions", "alerts", "dead-letters"))
    """``type: kafka``: what goes to the topic."""
    delivery: str = setting("exactly-once", choices=("exactly-once", "at-least-once"))
    """``type: kafka``: in transactions, or at once and perhaps again after a crash."""
    retry_seconds: float = setting(600.0, minimum=1.0, maximum=86_400.0)
    """``type: kafka``: how long to go on trying while the cluster takes nothing, before the run ends with an error."""
    properties: Mapping[str, str] = setting(default_factory=dict, hidden=True)
    """``type: kafka``: settings of librdkafka; empty for the source's, where both have the same servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateConfig:
    """Where and how the journal, the decision log and the snapshots are kept."""

    folder: str | None = setting(None)
    """The state folder, made when absent; None for a temporary one that is removed at the end."""
    snapshots_kept: int = setting(2, minimum=2, maximum=100)
    """How many snapshots stay; the older ones are there for the day when the newest is damaged."""
    replay_seconds: float = setting(2.0, minimum=0.0, maximum=3600.0)
    """Seconds of work (of the processor, with one thread) that a restart may have to repeat, before snapshots' own cost
    is considered."""
    snapshot_share: float = setting(0.2, minimum=0.001, maximum=1.0)
    """Largest share of the time that writing snapshots may take; it wins over ``replay_seconds``."""
    accept_detector: bool = setting(False)
    """Whether a folder of another detector version is taken over: its state is made anew from the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """Bounds on what one run may use."""

    batch_events: int = setting(32_768, minimum=1, maximum=1_000_000)
    """Most events that are decided in one batch."""
    batch_bytes: int = setting(8_388_608, minimum=1, maximum=1_073_741_824)
    """Most bytes that are read at once."""
    commit_events: int = setting(65_536, minimum=1, maximum=10_000_000)
    """Events after which a group of batches is committed."""
    commit_ms: int = setting(200, minimum=0, maximum=60_000)
    """Milliseconds after which a group of batches is committed, however few events it has."""
    queue_batches: int = setting(2, minimum=1, maximum=1_000)
    """Batches that may wait between two steps."""
    record_bytes: int = setting(1_048_576, minimum=16, maximum=67_108_864)
    """Largest record in bytes; a longer one is a dead letter."""
    dead_letters: int = setting(1_000_000, minimum=0, maximum=1_000_000_000)
    """Most dead letters kept; beyond it the oldest go, and that is counted."""
    dead_letter_bytes: int = setting(4_096, minimum=0, maximum=67_108_864)
    """Most bytes kept of one dead letter; the rest is cut and that is marked."""
    shards: int = setting(1, minimum=1, maximum=1_024)
    """Parts that each entity's state is divided into; decisions do not depend on it."""
    threads: int = setting(1, minimum=1, maximum=1_024)
    """Threads that decide."""
    specialise_events: int = setting(10_000_000, minimum=0, maximum=1_000_000_000)
    """Events after which a run compiles the kernels of its detector, in a process of its own beside it; it goes on
    faster with each, as does every later one on this machine. Decisions are the same. 0 for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsConfig:
    """Where the models of the detector come from."""

    registry: str | None = setting(None)
    """The registry's folder, or ``mlflow:URI``; None for ``$COUNTERFOIL_MODELS``, or else the folder ``models``."""
    poll_ms: int = setting(200, minimum=10, maximum=60_000)
    """Milliseconds between two looks at the registry: a promotion takes effect after that and the loading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """The Prometheus endpoint."""

    port: int | None = setting(None, minimum=0, maximum=65_535)
    """TCP port; 0 for any free one, None for no endpoint."""
    host: str = setting("127.0.0.1")
    """Address that it listens on: loopback, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged, to standard error."""

    level: str = setting("info", choices=("debug", "info", "warning", "error"))
    """The least severe that is logged."""
    format: str = setting("console", choices=("console", "json"))
    """``console`` for people, ``json`` for machines: one object a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkConfig:
    """A run on Spark; ``state.folder`` is its checkpoint."""

    master: str | None = setting(None)
    """Spark's master; None for this machine with ``limits.threads`` cores. Where a cluster's manager starts the driver
    (``counterfoil submit spark``), leave it out."""
    micro_batch_events: int = setting(200_000, minimum=1, maximum=100_000_000)
    """Most events of one micro-batch: more of them are faster, fewer are sooner."""
    partitions: int | None = setting(None, minimum=1, maximum=100_000)
    """Tasks that a shuffle ends in, fixed by a checkpoint; None for as many as ``limits.shards`` and, where that is
    more than one and the checkpoint is a folder, no fewer than ``limits.threads``."""
    properties: Mapping[str, str] = setting(default_factory=dict, hidden=True)
    """Settings of Spark, passed through. They are never shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkConfig:
    """A run on Flink; ``state.folder`` holds its checkpoints."""

    address: str | None = setting(None)
    """``HOST:PORT`` of a running cluster; None for this machine. Where ``flink run`` submits
    (``counterfoil submit flink``), leave it out."""
    parallelism: int | None = setting(None, minimum=1, maximum=128)
    """Tasks of each step; None for ``limits.threads``. It may change from run to run: shards move."""
    mode: str = setting("thread", choices=("thread", "process"))
    """Where Python runs: ``thread`` within Flink's task managers, which is faster; ``process`` in its own workers."""
    checkpoint_ms: int = setting(1_000, minimum=10, maximum=86_400_000)
    """Milliseconds between two checkpoints: decisions in topics are visible, exactly once, after the next one."""
    linger_ms: int = setting(50, minimum=1, maximum=10_000)
    """Milliseconds that a batch may be filled after its first record came."""
    restarts: int = setting(10, minimum=0, maximum=1_000_000)
    """How often Flink starts a job again that failed."""
    properties: Mapping[str, str] = setting(default_factory=dict, hidden=True)
    """Settings of Flink, passed through; they win. They are never shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that a run needs to know."""

    detector: str = setting()
    """The name of a built-in detector or the path of a definition."""
    source: SourceConfig = setting(default_factory=SourceConfig)
    """Where events come from."""
    sinks: tuple[SinkConfig, ...] = setting(())
    """Where decisions go; with none they are only in the decision log."""
    state: StateConfig = setting(default_factory=StateConfig)
    """Where the journal, the decision log and the snapshots are."""
    limits: LimitsConfig = setting(default_factory=LimitsConfig)
    """Bounds on what the run may use."""
    models: ModelsConfig = setting(default_factory=ModelsConfig)
    """Where the models of the detector come from."""
    metrics: MetricsConfig = setting(default_factory=MetricsConfig)
    """The Prometheus endpoint."""
    log: LogConfig = setting(default_factory=LogConfig)
    """What is logged."""
    runtime: str = setting("local", choices=("local", "spark", "flink"))
    """What runs it: this process, or an engine."""
    spark: SparkConfig = setting(default_factory=SparkConfig)
    """``runtime: spark`` only."""
    flink: FlinkConfig = setting(default_factory=FlinkConfig)
    """``runtime: flink`` only."""
    parameters: Mapping[str, str] = setting(default_factory=dict)
    """Values for the ``${name}`` of the detector's definition."""
    secret: Secret | None = setting(None)
    """Key of all hashes and card tokens, as ``${NAME}``; None for the public default. State made under one key cannot
    be used under another."""


def load_config(path: str | Path, environment: Mapping[str, str] | None = None) -> RunConfig:
    """Read a run's settings from a YAML file.

    Parameters
    ----------
    path
        The file.
    environment
        Where ``${NAME}`` is looked up; None for the process's environment.

    Raises
    ------
    ConfigurationError
        With every problem of the file, one a line.
    """
    return parse_config(read_settings(path), environment)


def read_settings(path: str | Path) -> Any:
    """Return the content of a YAML file with settings, not looked at any closer.

    Raises
    ------
    ConfigurationError
        If it cannot be read, is not YAML, or is the definition of a detector.
    """
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ConfigurationError(f"{path}: cannot be read: {reason}; give the path of a YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: is not YAML: {error}") from error
    # Every definition has events, and no settings have.
    if isinstance(content, Mapping) and "events" in content and "source" not in content:
        raise ConfigurationError(
            f"{path}: is the definition of a detector, not the settings of a run; a run's settings name it:"
            f" {{detector: {path}, source: …}}; or: counterfoil run --detector {path} --input …"
        )
    return content


def parse_config(content: object, environment: Mapping[str, str] | None = None) -> RunConfig:
    """Check the content of a configuration file and return the settings.

    Raises
    ------
    ConfigurationError
        With every problem, one a line.

    Examples
    --------
    >>> config = parse_config({"detector": "payments", "source": {"path": "day.ndjson"}})
    >>> config.source.format, config.limits.batch_events
    ('json', 32768)
    """
    reader = _Reader(os.environ if environment is None else environment)
    config = reader.section(RunConfig, content, "")
    if config is not None and not reader.problems:
        reader.problems.extend(_across(config))
    if reader.problems or config is None:
        raise ConfigurationError("\n".join(str(problem) for problem in reader.problems))
    return config


def setting_names(section: type[Any] = RunConfig, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every setting: ``limits.batch_events``; a list's as ``sinks[].path``."""
    hints = get_type_hints(section)
    for each in fields(section):
        inner = _section_of(hints[each.name])
        if inner is None:
            yield prefix + each.name
        else:
            mark = "[]" if get_origin(hints[each.name]) is tuple else ""
            yield from setting_names(inner, f"{prefix}{each.name}{mark}.")


def _section_of(hint: Any) -> type[Any] | None:
    if get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    return hint if isinstance(hint, type) and is_dataclass(hint) and hint is not Secret else None


def _across(config: RunConfig) -> Iterator[Problem]:
    """Yield problems that no setting has alone."""
    if config.source.type == "file" and not config.source.path:
        yield Problem("source.path", "nothing", "the path of a file", "or set source.type to stdin or generator")
    yield from _kafka_source(config.source)
    if config.source.type == "stdin" and config.source.format in {"parquet", "avro", "debezium-avro"}:
        allowed = "json, lines, csv or debezium on standard input"
        yield Problem("source.format", f'"{config.source.format}"', allowed, "name the file instead")
    if config.source.type != "kafka" and config.source.format in {"json-schema", "debezium-json-schema"}:
        yield Problem("source.format", f'"{config.source.format}"', "another format: this one is for topics")
    if config.source.delimiter is not None and len(config.source.delimiter.encode()) != 1:
        yield Problem("source.delimiter", repr(config.source.delimiter), "one ASCII character")
    for index, sink in enumerate(config.sinks):
        if sink.type == "file" and not sink.path:
            yield Problem(f"sinks[{index}].path", "nothing", "the path of a file", "or set type to stdout")
        if sink.type == "stdout" and sink.format == "parquet":
            yield Problem(f"sinks[{index}].format", '"parquet"', "json on standard output", "name a file instead")
        yield from _kafka_sink(config, sink, f"sinks[{index}]")
    yield from _together(config)


def _kafka_source(source: SourceConfig) -> Iterator[Problem]:
    if source.type != "kafka":
        return
    if not source.servers:
        yield Problem("source.servers", "nothing", "HOST:PORT of a broker")
    if not source.topics:
        yield Problem("source.topics", "nothing", "at least one topic")
    for index, topic in enumerate(source.topics):
        if (topic.format or source.format) not in KAFKA_FORMATS:
            found = f'"{topic.format or source.format}"'
            yield Problem(f"source.topics[{index}].format", found, ", ".join(KAFKA_FORMATS))
        elif (topic.format or source.format) in REGISTRY_FORMATS and not source.registry.url and not source.schema_file:
            yield Problem("source.registry.url", "nothing", "the address of the schema registry", "or --registry URL")
    names = [topic.name for topic in source.topics]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("source.topics", f'"{name}" twice', "each topic once")


def _together(config: RunConfig) -> Iterator[Problem]:
    """Yield what keeps topics from being written in one transaction."""
    places = [(index, sink) for index, sink in enumerate(config.sinks) if sink.type == "kafka"]
    topics = set()
    for index, sink in places:
        first = places[0][1]
        if (sink.servers or config.source.servers) != (first.servers or config.source.servers):
            yield Problem(f"sinks[{index}].servers", f'"{sink.servers}"', "those of the first topic, or another run")
        if sink.delivery != first.delivery:
            yield Problem(
                f"sinks[{index}].delivery", f'"{sink.delivery}"', f'"{first.delivery}", as for the first topic'
            )
        if sink.topic in topics:
            yield Problem(f"sinks[{index}].topic", f'"{sink.topic}" twice', "each topic once")
        topics.add(sink.topic)


def _kafka_sink(config: RunConfig, sink: SinkConfig, path: str) -> Iterator[Problem]:
    if sink.type != "kafka":
        if sink.format == "packed":
            yield Problem(f"{path}.format", '"packed"', "json or parquet", "packed is for type: kafka")
        return
    if not sink.topic:
        yield Problem(f"{path}.topic", "nothing", "the name of a topic")
    if not sink.servers and config.source.type != "kafka":
        yield Problem(f"{path}.servers", "nothing", "HOST:PORT of a broker")
    if sink.format == "parquet":
        yield Problem(f"{path}.format", '"parquet"', "json or packed", "parquet is for files")
    if sink.topic and any(sink.topic == topic.name for topic in config.source.topics):
        same = not sink.servers or sink.servers == config.source.servers
        if same:
            yield Problem(f"{path}.topic", f'"{sink.topic}"', "another topic than those that are read")


class _Reader:
    """Turns plain YAML values into settings and gathers what is wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[Problem] = []

    def section(self, section: type[Settings], content: object, path: str) -> Settings | None:
        if not isinstance(content, Mapping):
            self._problem(path or "configuration", content, "a mapping of settings")
            return None
        hints = get_type_hints(section)
        declared = {each.name: each for each in fields(typing.cast(Any, section))}
        prefix = f"{path}." if path else ""
        for name in content:
            if name not in declared:
                hint = nearest(str(name), declared)
                self.problems.append(Problem(f"{prefix}{name}", "an unknown setting", ", ".join(declared), hint))
        given: dict[str, Any] = {}
        before = len(self.problems)
        for name, each in declared.items():
            if name in content:
                given[name] = self.value(hints[name], content[name], f"{prefix}{name}", each.metadata)
            elif each.default is MISSING and each.default_factory is MISSING:
                self.problems.append(Problem(f"{prefix}{name}", "nothing", "a value: it has no default"))
        return section(**given) if len(self.problems) == before else None

    def value(self, hint: Any, content: object, path: str, metadata: Mapping[str, Any]) -> Any:
        if get_origin(hint) in (Union, types.UnionType):
            if content is None:
                return None
            hint = next(each for each in get_args(hint) if each is not type(None))
        section = _section_of(hint)
        if get_origin(hint) is tuple:
            return self._list(hint, content, path, metadata)
        if section is not None:
            return self.section(section, content, path)
        if get_origin(hint) in (Mapping, dict):
            return self._mapping(content, path, metadata["hidden"])
        if isinstance(content, str):
            content = self._expand(content, path)
        return self._plain(hint, content, path, metadata)

    def _list(self, hint: Any, content: object, path: str, metadata: Mapping[str, Any]) -> Any:
        if not isinstance(content, list):
            self._problem(path, content, "a list")
            return ()
        inner = get_args(hint)[0]
        return tuple(self.value(inner, each, f"{path}[{index}]", metadata) for index, each in enumerate(content))

    def _mapping(self, content: object, path: str, hidden: bool) -> dict[str, str]:
        if not isinstance(content, Mapping) or not all(
            isinstance(each, str | int | float) for each in content.values()
        ):
            self._problem(path, "something else" if hidden else content, "a mapping of text to text")
            return {}
        if hidden:
            # YAML's true is Python's, and librdkafka's is in small letters.
            content = {name: str(each).lower() if isinstance(each, bool) else each for name, each in content.items()}
        return {str(name): self._expand(str(value), f"{path}.{name}") for name, value in content.items()}

    def _plain(self, hint: Any, content: object, path: str, metadata: Mapping[str, Any]) -> Any:
        if hint is Secret:
            return Secret(content) if isinstance(content, str) and content else self._secret_problem(path)
        if hint is bool and isinstance(content, bool):
            return content
        if hint is str and isinstance(content, str):
            return self._chosen(content, path, metadata["choices"])
        if hint in (int, float):
            number = _number(hint, content)
            if number is not None:
                return self._bounded(number, path, metadata)
        words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        self._problem(path, content, words[hint])
        return None

    def _chosen(self, content: str, path: str, choices: tuple[str, ...] | None) -> str:
        if choices is not None and content not in choices:
            self.problems.append(Problem(path, f'"{content}"', ", ".join(choices), nearest(content, choices)))
        return content

    def _bounded(self, number: float, path: str, metadata: Mapping[str, Any]) -> float:
        minimum, maximum = metadata["minimum"], metadata["maximum"]
        # Written so that NaN, which compares false with everything, is out of bounds.
        if not ((minimum is None or number >= minimum) and (maximum is None or number <= maximum)):
            self.problems.append(Problem(path, str(number), f"{minimum} to {maximum}"))
        return number

    def _expand(self, text: str, path: str) -> str:
        def replace(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in self.environment:
                self.problems.append(
                    Problem(path, f"${{{name}}}", "an environment variable that is set", f"export {name}=…")
                )
                return ""
            return self.environment[name]

        return _ENVIRONMENT.sub(replace, text)

    def _secret_problem(self, path: str) -> None:
        # What was found is not shown: it may be a mistyped secret.
        self.problems.append(Problem(path, "something else", "text that is not empty, best as ${NAME}"))

    def _problem(self, path: str, content: object, allowed: str) -> None:
        found = "nothing" if content is None else f"{type(content).__name__} {str(content)[:40]!r}"
        self.problems.append(Problem(path, found, allowed))


def _number(hint: type, content: object) -> int | float | None:
    """Return a number, also one that arrived as text from an environment variable."""
    if isinstance(content, bool):
        return None
    if isinstance(content, str):
        try:
            return int(content) if hint is int else float(content)
        except ValueError:
            return None
    if hint is float and isinstance(content, int | float):
        return float(content)
    return content if isinstance(content, int) else None
