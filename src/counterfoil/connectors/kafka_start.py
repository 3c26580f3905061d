"""Where partitions begin that were never read: the setting ``source.start`` (``--from``), for every runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from counterfoil.connectors.partitions import Partition
from counterfoil.errors import ConfigurationError, nearest


@dataclass(frozen=True, slots=True)
class Start:
    """Where partitions begin that were never read: a word, else places, else a time."""

    word: str = ""
    """``earliest`` or ``latest``, where it is one of them."""
    milliseconds: int = 0
    """Since 1970."""
    places: Mapping[Partition, int] = field(default_factory=dict)
    """Offsets; a partition without one begins at its earliest record."""

    @classmethod
    def parse(cls, text: str) -> Start:
        """Read a setting.

        Raises
        ------
        ConfigurationError
            If it is nothing of the kind.

        Examples
        --------
        >>> Start.parse("in:0:17,in:1:4").places
        {('in', 0): 17, ('in', 1): 4}
        >>> Start.parse("1970-01-01T00:00:02Z").milliseconds
        2000
        """
        if text in ("earliest", "latest"):
            return cls(word=text)
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return cls(places=dict(_place(each) for each in text.split(",")))
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return cls(milliseconds=int(time.timestamp() * 1000))

    def check(self, partitions: Collection[Partition]) -> None:
        """Refuse places in topics that are not read, or in partitions that they do not have.

        Raises
        ------
        ConfigurationError
            If there are some.
        """
        topics = {topic: sum(1 for each in partitions if each[0] == topic) for topic, _ in partitions}
        for topic, number in self.places:
            if topic not in topics:
                hint = nearest(topic, topics)
                allowed = f"a topic of the source: {', '.join(topics)}"
                raise ConfigurationError(
                    f'source.start (--from): found "{topic}"; allowed: {allowed}; {hint}'.rstrip("; ")
                )
            if (topic, number) not in partitions:
                raise ConfigurationError(
                    f'source.start (--from): found partition {number} of "{topic}"; allowed: 0 to {topics[topic] - 1}'
                )


def _place(text: str) -> tuple[Partition, int]:
    topic, _, rest = text.rpartition(":")
    topic, _, partition = topic.rpartition(":")
    if not topic or not partition.isdigit() or not rest.isdigit():
        raise ConfigurationError(
            f'source.start (--from): found "{text}"; allowed: earliest, latest, a time such as 2026-03-01T09:30:00Z, or'
            " TOPIC:PARTITION:OFFSET"
        )
    return (topic, int(partition)), int(rest)
