"""State that is made anew from what the source still has: where it begins, and what of it is missing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from counterfoil.connectors.kafka_start import Start
from counterfoil.errors import InputError
from counterfoil.observability import get_logger
from counterfoil.runtimes.engine.java_client import PREFIX, own_settings
from counterfoil.runtimes.engine.job import position_of

if TYPE_CHECKING:
    from counterfoil.config import RunConfig, SourceConfig
    from counterfoil.runtimes.engine.results import Splits

_log = get_logger(__name__)
_ANSWER_SECONDS = 20.0


def from_history(config: RunConfig) -> RunConfig:
    """Return a run that reads its source from where its history begins."""
    if config.source.start != "latest":
        return config
    return replace(config, source=replace(config.source, start="earliest"))


def check_history(config: RunConfig, since: Mapping[int, int], splits: Splits) -> None:
    """Say what a topic has no more of a new state's history.

    Parameters
    ----------
    config
        The run.
    since
        By split, the first position that was not decided yet.
    splits
        How splits are called.

    Raises
    ------
    InputError
        If records were deleted that were never decided.
    """
    if config.source.type != "kafka" or not since:
        return
    for (topic, partition), (offset, _) in bounds_of(config.source).items():
        split = splits.number(topic, partition)
        low = position_of(split, offset)
        if low > since.get(split, low) and not config.source.accept_gap:
            raise InputError(
                f"source: records were deleted before {splits.name(low).decode()} that were never decided; go on"
                " without them with --accept-gap"
            )
        if offset:
            _log.warning("the source has deleted a part of the history", begins=splits.name(low).decode())


def check_topics(config: RunConfig) -> None:
    """Look whether all topics are there, before an engine spends minutes on finding out that they are not.

    Raises
    ------
    ConfigurationError
        If ``--from`` names a place that the source does not have.
    InputError
        If the source's cluster does not answer, or has no such topic.
    StorageError
        If that of the outputs does not.
    """
    try:
        importlib.import_module("confluent_kafka")
    except ImportError:
        return
    if config.source.type == "kafka" and _reachable(config.source.properties):
        Start.parse(config.source.start).check(bounds_of(config.source))
    sinks = [sink for sink in config.sinks if sink.type == "kafka"]
    if not sinks:
        return
    servers = sinks[0].servers or config.source.servers
    own = sinks[0].properties or (config.source.properties if servers == config.source.servers else {})
    if servers is not None and _reachable(own):
        _check_outputs(servers, own, [sink.topic for sink in sinks if sink.topic])


def _reachable(properties: Mapping[str, str]) -> bool:
    """Return whether our own client has what it takes to reach a cluster: some of it may be Java's alone."""
    return not any(name.startswith(PREFIX) for name in properties)


def _check_outputs(servers: str, properties: Mapping[str, str], topics: Sequence[str]) -> None:
    from counterfoil.connectors.kafka_sink import KafkaWriter  # noqa: PLC0415 - an extra

    writer = KafkaWriter(servers, properties, None)
    try:
        writer.open()
        writer.check_topics(topics)
    finally:
        writer.close()


def bounds_of(source: SourceConfig) -> dict[tuple[str, int], tuple[int, int]]:
    """Return the first offset that each partition of the source's topics has, and the one behind its last.

    Raises
    ------
    InputError
        If the cluster does not say, or has no such topic.
    """
    from counterfoil.connectors.kafka_settings import (  # noqa: PLC0415 - an extra
        client_settings,
        reason_of,
        require_kafka,
    )

    kafka = require_kafka()
    assert source.servers is not None
    settings = client_settings(source.servers, own_settings(source.properties))
    client = kafka.Consumer({**settings, "group.id": "counterfoil-look", "enable.auto.commit": False, "log_level": 0})
    found: dict[tuple[str, int], tuple[int, int]] = {}
    try:
        for topic in source.topics:
            known = client.list_topics(topic.name, timeout=_ANSWER_SECONDS).topics[topic.name]
            if known.error is not None:
                raise InputError(f"source.topics: {topic.name}: {known.error.str()}; make the topic first")
            for partition in known.partitions:
                place = kafka.TopicPartition(topic.name, partition)
                found[topic.name, partition] = client.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
    except kafka.KafkaException as error:
        raise InputError(f"source: {source.servers} does not say what its topics have: {reason_of(error)}") from None
    finally:
        client.close()
    return found
