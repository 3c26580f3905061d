"""Dead letters of a topic: what somebody sees who has no state folder at hand."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from counterfoil.cli.console import output, write_json
from counterfoil.signals import clean_stop

if TYPE_CHECKING:
    from counterfoil.connectors.kafka_reader import TopicMessage


def show_letters(
    address: str, settings: Mapping[str, str], reason: str | None, last: int | None, as_json: bool
) -> None:
    """List the dead letters of a topic, the newest last, without their bytes.

    Parameters
    ----------
    address
        Where they are.
    settings
        Settings of librdkafka.
    reason
        Only those with this one; None for all.
    last
        Only the newest so many; None for all.
    as_json
        Whether as JSON lines.
    """
    from counterfoil.connectors.kafka_reader import TopicReader
    from counterfoil.connectors.kafka_settings import KafkaAddress
    from counterfoil.observability import configure_logs

    parsed = KafkaAddress.parse(address, "--from")
    configure_logs("error")
    stopped = threading.Event()
    tally: Counter[str] = Counter()
    shown: deque[TopicMessage] = deque(maxlen=last)
    with clean_stop(stopped), TopicReader(parsed.servers, parsed.topics, settings, stopped) as reader:
        for message in reader.backlog():
            found = message.header("reason") or "unknown"
            if reason is None or found == reason:
                tally[found] += 1
                shown.append(message)
    for message in shown:
        _show(message, as_json)
    if as_json:
        return
    if not tally:
        output().print("no dead letters")
        return
    reasons = ", ".join(f"{count:,} {name}" for name, count in tally.most_common())
    output().print(f"{tally.total():,} in all: {reasons}", style="dim", markup=False, soft_wrap=True)


def _show(message: TopicMessage, as_json: bool) -> None:
    from rich.text import Text

    place = f"{message.topic}/{message.partition}/{message.offset}"
    content = {name: message.header(name) or "" for name in ("source", "reason", "detail")}
    flags = {name: message.header(name) == "true" for name in ("sealed", "cut")}
    if as_json:
        write_json({"place": place, **content, **flags})
        return
    text = Text.assemble(
        (place, "bold"), ("  record " + content["source"], "dim"), "  ", (content["reason"], "red"),
        "  " + content["detail"], ("  cut" if flags["cut"] else "", "yellow"),
    )  # fmt: skip
    output().print(text, soft_wrap=True)
