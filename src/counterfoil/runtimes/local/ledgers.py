"""Where it is written down, in the cluster that takes the decisions, up to where they were delivered.

The entry moves in the same transaction as the messages. For records that came from topics of the same cluster it is the
position of the group, so that another member of the group can go on from it. For all others it is a group of its own
with one entry: how many blocks of the log were delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from counterfoil.connectors.kafka_settings import Troubles, client_settings, require_kafka
from counterfoil.connectors.kafka_sink import WriteFailed
from counterfoil.runtimes.local.messages import sources_of

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from counterfoil.connectors.kafka_source import KafkaSource
    from counterfoil.connectors.partitions import Partition
    from counterfoil.runtimes.local.messages import Parcel

_ANSWER_SECONDS = 10.0


@dataclass(slots=True)
class Standing:
    """Up to where was delivered, for the time of one assignment."""

    delivered: dict[Partition, int] = field(default_factory=dict)
    """The next offset of each partition that is owned. Nothing before it is delivered again, and nothing of others."""
    unknown: set[Partition] = field(default_factory=set)
    """Partitions of which the group knows nothing."""
    blocks: int = 0
    """Blocks of the log whose records are of no partition, up to this one, are delivered."""
    metadata: Any = None
    """What the cluster holds the group's generation against."""


class Ledger(Protocol):
    """Reads and moves the entry."""

    by_partition: bool
    """Whether it counts offsets of partitions; else only blocks."""

    def generation(self) -> Any:
        """Return what the cluster holds the group's generation against."""
        ...

    def read(self, standing: Standing) -> None:
        """Bring a standing up to what the cluster holds.

        Raises
        ------
        WriteFailed
            If there is no answer.
        """
        ...

    def take(self, standing: Standing, found: Mapping[Partition, tuple[int | None, str]]) -> None:
        """Take over what the group has committed, as it was read already."""
        ...

    def entries(self, standing: Standing, moved: Mapping[Partition, int], blocks: int) -> list[Any]:
        """Return what a transaction must write."""
        ...

    def search(self, standing: Standing, topics: Sequence[str], since: int) -> None:
        """Find out from the messages themselves what the cluster has no entry of, from a time (µs) on."""
        ...

    def commit(self, entries: Sequence[Any]) -> None:
        """Write entries without a transaction."""
        ...

    def close(self) -> None:
        """Give connections free."""
        ...


class GroupLedger:
    """The positions of the group that reads the source; beside each stands how many blocks of which log are delivered.

    Parameters
    ----------
    source
        The member of the group.
    log
        The log's name.
    """

    by_partition = True

    def __init__(self, source: KafkaSource, log: str) -> None:
        self._source = source
        self._log = log

    def generation(self) -> Any:
        """Return the generation of the last assignment."""
        return self._source.metadata

    def read(self, standing: Standing) -> None:
        """Bring a standing up to what the group has committed."""
        try:
            found = self._source.committed(list(standing.delivered))
        except Exception as error:
            raise WriteFailed(str(error)) from error
        self.take(standing, found)

    def take(self, standing: Standing, found: Mapping[Partition, tuple[int | None, str]]) -> None:
        """Take over what the group has committed."""
        for partition, (offset, note) in found.items():
            if offset is None:
                standing.unknown.add(partition)
                standing.delivered.setdefault(partition, 0)
            else:
                standing.delivered[partition] = offset
                standing.unknown.discard(partition)
            standing.blocks = max(standing.blocks, _blocks_of(note, self._log))

    def entries(self, standing: Standing, moved: Mapping[Partition, int], blocks: int) -> list[Any]:
        """Return the positions that moved; where none did, one as it is, to carry the number of blocks."""
        place = require_kafka().TopicPartition
        note = f"{self._log}:{blocks}"
        if not moved and blocks > standing.blocks and standing.delivered:
            partition = next(iter(standing.delivered))
            return [place(*partition, standing.delivered[partition], note)]
        return [place(*partition, offset, note) for partition, offset in moved.items()]

    def search(self, standing: Standing, topics: Sequence[str], since: int) -> None:
        """Take what messages say of where they come from for the positions that the group has forgotten.

        A group's positions are kept for a week after its last member left, unless the cluster is told otherwise.
        """
        for headers in self._source.headers_since(topics, since // 1000):
            for partition, offset in sources_of(headers):
                if partition in standing.unknown:
                    standing.delivered[partition] = max(standing.delivered.get(partition, 0), offset + 1)

    def commit(self, entries: Sequence[Any]) -> None:
        """Commit positions: a hint, which may come late or not at all."""
        self._source.commit(entries)

    def close(self) -> None:
        """Do nothing: the connection belongs to the source."""


class OwnLedger:
    """A group that nobody is a member of: it only holds the entry of one log.

    Parameters
    ----------
    servers, properties
        The cluster of the sink.
    topic
        A topic that is written; the entry is kept under its first partition.
    log
        The log's name.
    """

    by_partition = False

    def __init__(self, servers: str, properties: Mapping[str, str], topic: str, log: str) -> None:
        kafka = require_kafka()
        self._kafka = kafka
        self._topic = topic
        self._log = log
        self._troubles = Troubles(servers)
        self._client: Consumer = kafka.Consumer(
            {
                **client_settings(servers, properties, "sinks[].properties"),
                "group.id": f"counterfoil-log-{log}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                **self._troubles.settings(),
            }
        )

    def generation(self) -> Any:
        """Return the generation of a group without members."""
        return self._client.consumer_group_metadata()

    def take(self, standing: Standing, found: Mapping[Partition, tuple[int | None, str]]) -> None:
        """Do nothing: positions of partitions are not kept here."""

    def read(self, standing: Standing) -> None:
        """Bring a standing up to the entry."""
        try:
            found = self._client.committed([self._kafka.TopicPartition(self._topic, 0)], timeout=_ANSWER_SECONDS)
        except self._kafka.KafkaException as error:
            raise WriteFailed(str(error.args[0].str())) from None
        standing.blocks = max(standing.blocks, _blocks_of(found[0].metadata or "", self._log))

    def entries(self, standing: Standing, moved: Mapping[Partition, int], blocks: int) -> list[Any]:
        """Return the one entry."""
        del standing, moved
        return [self._kafka.TopicPartition(self._topic, 0, blocks, f"{self._log}:{blocks}")]

    def search(self, standing: Standing, topics: Sequence[str], since: int) -> None:
        """Do nothing: the log remembers what it knew of the entry."""

    def commit(self, entries: Sequence[Any]) -> None:
        """Write the entry; it need not get there."""
        self._client.commit(offsets=list(entries), asynchronous=True)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def moved_offsets(parcels: Iterable[Parcel], standing: Standing) -> dict[Partition, int]:
    """Return up to where some parcels go in each partition that is owned, where that is further than it stands."""
    moved: dict[Partition, int] = {}
    for parcel in parcels:
        if parcel.spans is not None:
            for partition, offset in parcel.spans.next_offsets().items():
                if offset > standing.delivered.get(partition, offset):
                    moved[partition] = max(offset, moved.get(partition, 0))
    return moved


def _blocks_of(note: str, log: str) -> int:
    name, _, blocks = note.partition(":")
    return int(blocks) if name == log and blocks.isdigit() else 0
