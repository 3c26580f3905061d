"""Topics of a Kafka cluster: what there is, what is wanted, and the steps from one to the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from counterfoil.connectors.kafka_settings import Patience, Troubles, client_settings, reason_of, require_kafka
from counterfoil.errors import ConfigurationError, StorageError

_SETUP_SECONDS = 15.0
_CALL_SECONDS = 1.0
_ACTION_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class Step(StrEnum):
    """What happens to a topic."""

    CREATE = "create"
    GROW = "grow"
    SET = "set"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class WantedTopic:
    """What a topic should be like.

    Parameters
    ----------
    name
        Its name.
    partitions
        How many parts it has; None for what the brokers say, or what it has.
    replicas
        On how many brokers each part lies; None for what the brokers say. That of a topic that is there stays.
    settings
        Settings of the topic, in Kafka's words.
    """

    name: str
    partitions: int | None = None
    replicas: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One step for one topic.

    Parameters
    ----------
    topic
        Its name.
    step
        What is done.
    detail
        In words.
    wanted
        What it should be like afterwards.
    warning
        What somebody should know before; empty where nothing.
    """

    topic: str
    step: Step
    detail: str
    wanted: WantedTopic
    warning: str = ""


class TopicAdmin:
    """Looks at topics and changes them.

    Parameters
    ----------
    servers
        ``host:port``, several with commas between them.
    properties
        Settings of librdkafka.
    """

    def __init__(self, servers: str, properties: Mapping[str, str]) -> None:
        self._kafka = require_kafka()
        from confluent_kafka import admin  # noqa: PLC0415 - only now it is known to be there

        self._admin: Any = admin
        self._servers = servers
        self._troubles = Troubles(servers)
        settings = {**client_settings(servers, properties, "--kafka"), **self._troubles.settings()}
        try:
            self._client = admin.AdminClient(settings)
        except (self._kafka.KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(f"--kafka: {reason_of(error)}") from None

    def plan(self, wanted: Sequence[WantedTopic]) -> list[TopicChange]:
        """Return the steps; nothing is changed.

        Raises
        ------
        ConfigurationError
            If a topic cannot become what is wanted: Kafka takes no partition away.
        StorageError
            If no broker answers, or it refuses.
        """
        known = self._known()
        return [change for each in wanted for change in self._steps(each, known.get(each.name))]

    def apply(self, changes: Sequence[TopicChange]) -> None:
        """Carry steps out, and wait until every topic is there.

        Raises
        ------
        StorageError
            If the cluster refuses one; those before it are done.
        """
        for change in changes:
            if change.step is Step.CREATE:
                self._create(change.wanted, validate_only=False)
            elif change.step is Step.GROW:
                new = self._admin.NewPartitions(change.topic, change.wanted.partitions or 0)
                self._wait(self._client.create_partitions([new]), change.topic, "cannot have more partitions")
            elif change.step is Step.SET:
                self._set(change.wanted)
        self._wait_until_there([change.wanted for change in changes if change.step is not Step.KEEP])

    def _steps(self, wanted: WantedTopic, has: int | None) -> list[TopicChange]:
        if has is None:
            # Asked already: a wrong setting shows in the plan, and not in the middle of its steps.
            self._create(wanted, validate_only=True)
            return [TopicChange(wanted.name, Step.CREATE, _described(wanted), wanted)]
        steps = []
        if wanted.partitions is not None and wanted.partitions < has:
            raise ConfigurationError(
                f"--partitions: found {wanted.partitions}; allowed for {wanted.name}: {has} or more, which it has; "
                "Kafka takes none away: make another topic and copy"
            )
        if wanted.partitions is not None and wanted.partitions > has:
            warning = "keys move to other partitions: an entity's events before and after lie in two"
            detail = f"{has} to {wanted.partitions} partitions"
            steps.append(TopicChange(wanted.name, Step.GROW, detail, wanted, warning))
        different = self._different(wanted)
        if different:
            steps.append(TopicChange(wanted.name, Step.SET, ", ".join(different), wanted))
        return steps or [TopicChange(wanted.name, Step.KEEP, f"{has} partitions", wanted)]

    def _different(self, wanted: WantedTopic) -> list[str]:
        if not wanted.settings:
            return []
        resource = self._admin.ConfigResource(self._admin.ResourceType.TOPIC, wanted.name)
        found = self._wait(self._client.describe_configs([resource]), resource, "cannot be looked at")
        for name in wanted.settings:
            if name not in found:
                raise ConfigurationError(f"--setting: found {name}; allowed: the settings of a topic")
        return [
            f"{name} {found[name].value} to {value}"
            for name, value in wanted.settings.items()
            if str(found[name].value) != value
        ]

    def _create(self, wanted: WantedTopic, validate_only: bool) -> None:
        new = self._admin.NewTopic(
            wanted.name, wanted.partitions or -1, wanted.replicas or -1, config=dict(wanted.settings)
        )
        self._wait(self._client.create_topics([new], validate_only=validate_only), wanted.name, "cannot be made")

    def _set(self, wanted: WantedTopic) -> None:
        operation = self._admin.AlterConfigOpType.SET
        entries = [
            self._admin.ConfigEntry(name, value, incremental_operation=operation)
            for name, value in wanted.settings.items()
        ]
        resource = self._admin.ConfigResource(self._admin.ResourceType.TOPIC, wanted.name, incremental_configs=entries)
        self._wait(self._client.incremental_alter_configs([resource]), resource, "cannot be set")

    def _wait(self, futures: Mapping[Any, Any], name: Any, what: str) -> Any:
        try:
            return futures[name].result(_ACTION_SECONDS)
        except self._kafka.KafkaException as error:
            topic = name if isinstance(name, str) else name.name
            raise StorageError(f"kafka://{self._servers}/{topic}: {what}: {reason_of(error)}") from None

    def _known(self) -> dict[str, int]:
        """Return every topic with the number of its partitions."""
        topics = self._patient(lambda: self._client.list_topics(timeout=_CALL_SECONDS).topics)
        return {name: len(topic.partitions) for name, topic in topics.items() if topic.error is None}

    def _patient(self, call: Callable[[], Any]) -> Any:
        patience = Patience(self._troubles, _SETUP_SECONDS)
        while True:
            try:
                return call()
            except self._kafka.KafkaException as error:
                self._client.poll(0)
                if patience.over:
                    raise self._troubles.error("cannot be reached", reason_of(error)) from None

    def _wait_until_there(self, wanted: Sequence[WantedTopic]) -> None:
        """Wait until brokers tell of them: made is not yet known everywhere."""
        deadline = time.monotonic() + _ACTION_SECONDS
        while True:
            known = self._known()
            missing = [each.name for each in wanted if known.get(each.name, 0) < (each.partitions or 1)]
            if not missing:
                return
            if time.monotonic() >= deadline:
                raise StorageError(f"kafka://{self._servers}: {', '.join(missing)} were made and do not appear")
            time.sleep(_LOOK_SECONDS)


def _described(wanted: WantedTopic) -> str:
    """Return what a new topic is like, in words."""
    parts = ["partitions as the brokers have it" if wanted.partitions is None else f"{wanted.partitions} partitions"]
    if wanted.replicas is not None:
        parts.append(f"{wanted.replicas} replicas")
    parts += [f"{name} {value}" for name, value in wanted.settings.items()]
    return ", ".join(parts)
