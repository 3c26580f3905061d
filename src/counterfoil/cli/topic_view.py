"""Alerts and decisions of a topic, as they come: for somebody who has no state folder at hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from counterfoil.cli.console import messages
from counterfoil.signals import clean_stop
from counterfoil.words import counted

if TYPE_CHECKING:
    from counterfoil.connectors.kafka_reader import TopicMessage, TopicReader

Content = dict[str, Any]
_DEEPER = 16
_DEPTH_MAX = 200_000
"""Messages of a partition that are read to find as many alerts as are asked for."""


@dataclass(slots=True)
class TopicView:
    """Shows the alerts of a topic; of a topic of decisions, those that were not approved.

    Parameters
    ----------
    address
        Where they are.
    settings
        Settings of librdkafka.
    follow
        Whether to wait for new ones until a signal.
    last
        Only the newest so many of those that are there; None for all.
    whole
        Whether the topic must be read from its beginning to find them: where most are not wanted.
    unknown
        How many messages were neither alerts nor decisions.
    """

    address: str
    settings: Mapping[str, str]
    follow: bool
    last: int | None
    whole: bool
    unknown: int = field(default=0, init=False)

    def show(self, wanted: Callable[[Content], bool], show: Callable[[Content], None]) -> None:
        """Show those that are wanted, until the end or a signal.

        Parameters
        ----------
        wanted
            Says which.
        show
            Shows one.
        """
        from counterfoil.connectors.kafka_reader import TopicReader
        from counterfoil.connectors.kafka_settings import KafkaAddress
        from counterfoil.observability import configure_logs

        parsed = KafkaAddress.parse(self.address, "--from")
        stopped = threading.Event()
        # While nothing is connected yet, the one error at the end says what all the attempts met.
        configure_logs("error")
        with clean_stop(stopped), TopicReader(parsed.servers, parsed.topics, self.settings, stopped) as reader:
            backlog = self._backlog(reader, wanted)
            configure_logs("warning")
            for content in backlog if self.last is None else backlog[-self.last :]:
                show(content)
            if self.follow:
                if messages().is_terminal:
                    messages().print(f"[dim]waiting for alerts on {self.address}; Ctrl-C ends[/]", soft_wrap=True)
                for content in filter(wanted, self._contents(reader.following())):
                    show(content)
        if self.unknown:
            text = f"{counted(self.unknown, 'message')} read of {self.address} were neither alerts nor decisions"
            messages().print(text, style="yellow", markup=False, soft_wrap=True)

    def _backlog(self, reader: TopicReader, wanted: Callable[[Content], bool]) -> list[Content]:
        """Return what is there; where the newest messages hold too few, look further back, and say where it ends."""
        depth = None if self.whole else self.last
        while True:
            self.unknown = 0
            found = _latest(filter(wanted, self._contents(reader.backlog(depth))))
            if depth is None or reader.whole or len(found) >= (self.last or 0):
                return found
            if depth >= _DEPTH_MAX:
                text = f"found {len(found)} among the newest {depth:,} messages of a partition; --limit 0 looks at all"
                messages().print(text, style="yellow", markup=False, soft_wrap=True)
                return found
            depth = min(depth * _DEEPER, _DEPTH_MAX)

    def _contents(self, found: Iterable[TopicMessage]) -> Iterator[Content]:
        """Yield alerts, and decisions that somebody should look at; a message may hold several, one a line."""
        for message in found:
            for line in (message.value or b"").splitlines():
                try:
                    content = msgspec.json.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    content = None
                if not is_alert(content) and not is_decision(content):
                    self.unknown += 1
                elif is_alert(content) or content["outcome"] != "approve":
                    yield content


def is_alert(content: object) -> bool:
    """Say whether a message is what ``alerts --json`` prints."""
    names = ("alert", "opened", "last", "outcome", "score", "reasons", "rules", "key", "decisions", "last_id")
    return isinstance(content, dict) and all(name in content for name in names)


def is_decision(content: object) -> bool:
    """Say whether a message is what ``decisions --json`` prints."""
    names = ("id", "event_time", "outcome", "score", "reasons", "rules", "late")
    return isinstance(content, dict) and all(name in content for name in names)


def rules_of(content: Content) -> list[str]:
    """Return the names of the rules that hit.

    Examples
    --------
    >>> rules_of({"rules": ["over-limit"]}), rules_of({"rules": [{"name": "over-limit", "values": {}}]})
    (['over-limit'], ['over-limit'])
    """
    return [each["name"] if isinstance(each, dict) else each for each in content["rules"]]


def _latest(contents: Iterable[Content]) -> list[Content]:
    """Return each alert once, as it is now, at the place at which it first came."""
    found: dict[tuple[bool, str], Content] = {}
    for content in contents:
        found[is_alert(content), content["alert"] if is_alert(content) else content["id"]] = content
    return list(found.values())
