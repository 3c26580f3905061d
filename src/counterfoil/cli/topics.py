"""``counterfoil topics``: make the topics that a run needs, and say beforehand what will be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.console import examples, output, write_json
from counterfoil.cli.options import Columns, Delimiter, Json, KafkaSettings, is_topic, pairs, settings_of
from counterfoil.errors import ConfigurationError

if TYPE_CHECKING:
    from counterfoil.connectors.kafka_topics import TopicAdmin, TopicChange

Target = Annotated[
    str,
    typer.Argument(metavar="TOPICS", help="kafka://HOST:PORT/TOPIC[,TOPIC…], or a run's settings in YAML: all of it."),
]
Partitions = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="How many partitions; as the brokers have it when left out.")
]
Replicas = Annotated[
    int | None, typer.Option(min=1, max=100, help="On how many brokers; as the brokers have it when left out.")
]
Retention = Annotated[str | None, typer.Option(metavar="TIME", help="How long messages are kept: 7d, 12h, forever.")]
Compact = Annotated[
    bool, typer.Option("--compact", help="Keep the last message of each key for ever: for alerts, say.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--setting", metavar="NAME=VALUE", help="A setting of the topics, in Kafka's words. May be repeated."),
]


class RekeyFormat(StrEnum):
    """How messages that get other keys may be written."""

    JSON = "json"
    LINES = "lines"


topics = typer.Typer(no_args_is_help=True, help="Make topics, and copy one with other keys.")


@dataclass(frozen=True, slots=True)
class _Wish:
    partitions: int | None
    replicas: int | None
    settings: dict[str, str]


@topics.command("plan", epilog=examples("topics plan kafka://localhost:9092/payments,alerts --partitions 8"))
def plan(
    target: Target,
    partitions: Partitions = None,
    replicas: Replicas = None,
    retention: Retention = None,
    compact: Compact = False,
    setting: Settings = None,
    kafka: KafkaSettings = None,
    as_json: Json = False,
) -> None:
    """Say what `apply` would do; nothing is changed."""
    wish = _Wish(partitions, replicas, _settings(retention, compact, setting))
    _show([change for _, changes in _changes(target, wish, kafka) for change in changes], as_json, done=False)


@topics.command(
    "apply",
    epilog=examples(
        "topics apply kafka://localhost:9092/transactions,fraud --partitions 2",
        "topics apply kafka://localhost:9092/alerts --compact",
        "topics apply run.yaml --partitions 12 --retention 7d",
    ),
)
def apply(
    target: Target,
    partitions: Partitions = None,
    replicas: Replicas = None,
    retention: Retention = None,
    compact: Compact = False,
    setting: Settings = None,
    kafka: KafkaSettings = None,
    as_json: Json = False,
) -> None:
    """Make topics that are absent, and bring those that are there to what is asked for; safe to repeat.

    Partitions are added and never taken away; settings that are not named stay as they are.
    """
    wish = _Wish(partitions, replicas, _settings(retention, compact, setting))
    # All are planned before the first is changed.
    planned = _changes(target, wish, kafka)
    for admin, changes in planned:
        admin.apply(changes)
    _show([change for _, changes in planned for change in changes], as_json, done=True)


@topics.command(
    "rekey",
    epilog=examples(
        "topics rekey kafka://localhost:9092/payments payments-by-card --key card_id",
        "topics rekey kafka://localhost:9092/lines by-sender --format lines --columns id,sender,receiver --key sender",
    ),
)
def rekey(
    source: Annotated[str, typer.Argument(metavar="TOPIC", help="kafka://HOST:PORT/TOPIC: what is read.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The topic that is written, of the same cluster.")],
    key: Annotated[str, typer.Option("--key", metavar="FIELD", help="The field that becomes the key of each message.")],
    form: Annotated[RekeyFormat, typer.Option("--format", help="How the messages are written.")] = RekeyFormat.JSON,
    columns: Columns = None,
    delimiter: Delimiter = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="Keeps the position; rekey-TARGET when left out.")
    ] = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at what is the end now; else it goes on until Ctrl-C.")
    ] = False,
    kafka: KafkaSettings = None,
    as_json: Json = False,
) -> None:
    """Copy a topic with keys of its own, exactly once, so that all events of an entity lie in one partition.

    Messages stay as they are, with their headers and times; those without a value are left out, and those without a key
    are spread. One process does it; a second one under the same group takes over.
    """
    import threading

    from counterfoil.connectors.kafka_rekey import Rekeying
    from counterfoil.connectors.kafka_settings import KafkaAddress
    from counterfoil.connectors.message_keys import delimited_keys, json_keys
    from counterfoil.observability import configure_logs
    from counterfoil.signals import clean_stop

    address = KafkaAddress.parse(source, "TOPIC")
    if len(address.topics) != 1:
        raise ConfigurationError(f"TOPIC: found {len(address.topics)} topics; allowed: one")
    names = columns.split(",") if columns else []
    if (form is RekeyFormat.LINES) != bool(names):
        raise ConfigurationError("--columns: allowed with --format lines, and needed there")
    if names and key not in names:
        raise ConfigurationError(f'--key: found "{key}"; allowed: {", ".join(names)}')
    keys = delimited_keys(names.index(key), delimiter or ";") if names else json_keys(key)
    configure_logs("error")
    stopped = threading.Event()
    with (
        clean_stop(stopped),
        Rekeying(
            address.servers, address.topics[0], target, keys, group or f"rekey-{target}", settings_of(kafka), stopped
        ) as rekeying,
    ):
        configure_logs("warning")
        moved = rekeying.run(until_end)
    if as_json:
        write_json({"messages": moved.messages, "keyless": moved.keyless, "empty": moved.empty})
        return
    text = f"{moved.messages:,} messages to {target}, {moved.keyless:,} of them without a key"
    output().print(f"{text}; {moved.empty:,} without a value left out", soft_wrap=True, markup=False)


def _changes(target: str, wish: _Wish, kafka: list[str] | None) -> list[tuple[TopicAdmin, list[TopicChange]]]:
    from counterfoil.connectors.kafka_topics import TopicAdmin, WantedTopic
    from counterfoil.observability import configure_logs

    # The one error at the end says what all the attempts met.
    configure_logs("error")
    found = []
    for servers, names, properties in _clusters(target, settings_of(kafka)):
        admin = TopicAdmin(servers, properties)
        wanted = [WantedTopic(name, wish.partitions, wish.replicas, wish.settings) for name in names]
        found.append((admin, admin.plan(wanted)))
    return found


def _clusters(target: str, given: dict[str, str]) -> list[tuple[str, list[str], dict[str, str]]]:
    """Return the servers, topics and client settings of every cluster that is meant."""
    if is_topic(target):
        from counterfoil.connectors.kafka_settings import KafkaAddress

        address = KafkaAddress.parse(target, "TOPICS")
        return [(address.servers, list(address.topics), given)]
    if not Path(target).exists():
        message = (
            f'TOPICS: found "{target}"; allowed: kafka://HOST:PORT/TOPIC[,TOPIC…], or the file of a run\'s settings'
        )
        raise ConfigurationError(message)
    from counterfoil.config import load_config

    config = load_config(target)
    clusters: dict[str, tuple[list[str], dict[str, str]]] = {}
    if config.source.type == "kafka" and config.source.servers:
        names = [each.name for each in config.source.topics]
        clusters[config.source.servers] = (names, {**config.source.properties, **given})
    for sink in config.sinks:
        servers = sink.servers or config.source.servers
        if sink.type == "kafka" and servers and sink.topic:
            names, _ = clusters.setdefault(servers, ([], {**sink.properties, **given}))
            names.append(sink.topic)
    if not clusters:
        raise ConfigurationError(f"{target}: has no topics; give a run between topics, or kafka://HOST:PORT/TOPIC")
    return [(servers, list(dict.fromkeys(names)), known) for servers, (names, known) in clusters.items()]


def _settings(retention: str | None, compact: bool, setting: list[str] | None) -> dict[str, str]:
    """Return what is asked for, in Kafka's words."""
    from counterfoil.definition.durations import parse_duration

    found = pairs(setting, "--setting")
    if retention is not None:
        length = -1_000 if retention == "forever" else parse_duration(retention)
        if length is None or 0 <= length < 1_000:
            raise ConfigurationError(f'--retention: found "{retention}"; allowed: a time such as 7d or 12h, or forever')
        found["retention.ms"] = str(length // 1_000)
    if compact:
        found["cleanup.policy"] = "compact"
    return found


def _show(changes: Sequence[TopicChange], as_json: bool, done: bool) -> None:
    if as_json:
        for change in changes:
            write_json(
                {"topic": change.topic, "step": change.step.value, "detail": change.detail, "warning": change.warning}
            )
        return
    from rich.text import Text

    styles = {"create": "green", "grow": "yellow", "set": "yellow", "keep": "dim"}
    past = {"create": "created", "grow": "grown", "set": "set", "keep": "kept"}
    for change in changes:
        word = past[change.step.value] if done else change.step.value
        text = Text.assemble((f"{word:<8}", styles[change.step.value]), (change.topic, "bold"), f"  {change.detail}")
        if change.warning:
            text.append(f"\n        {change.warning}", "yellow")
        output().print(text, soft_wrap=True)


def register(application: typer.Typer, panel: str) -> None:
    """Add the commands to the program."""
    epilog = examples("topics plan run.yaml", "topics apply kafka://localhost:9092/transactions,fraud --partitions 2")
    application.add_typer(topics, name="topics", rich_help_panel=panel, epilog=epilog)
