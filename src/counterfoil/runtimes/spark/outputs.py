"""Where results go: written by the driver, once a micro-batch, and once only however often Spark repeats it.

A file is cut back to where the micro-batch began. A topic is written in one transaction a micro-batch, which also
commits the micro-batch's number as the position of a consumer group of its own; a repeat finds it there and is left
out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from counterfoil.connectors.kafka_settings import client_settings, require_kafka
from counterfoil.connectors.kafka_sink import KafkaWriter, WriteFailed
from counterfoil.connectors.line_output import LineOutput
from counterfoil.errors import StorageError
from counterfoil.observability import get_logger
from counterfoil.runtimes.engine.java_client import own_settings
from counterfoil.runtimes.engine.results import (
    Splits,
    alert_messages,
    decision_messages,
    letter_messages,
    packed_messages,
)
from counterfoil.runtimes.engine.tables import write_parquet
from counterfoil.runtimes.local.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from counterfoil.config import RunConfig, SinkConfig
    from counterfoil.runtimes.engine.job import Job
    from counterfoil.runtimes.engine.results import Result
    from counterfoil.runtimes.engine.states import JobState

_log = get_logger(__name__)


class Output(Protocol):
    """One place where results go."""

    def write(self, batch: int, results: Sequence[Result]) -> None:
        """Write a micro-batch; the same one may come again, and is then written no second time."""
        ...

    def finish(self) -> None:
        """Write what is written when a run ends."""
        ...

    def close(self) -> None:
        """Give everything free."""
        ...


class SinceOutput:
    """An output to which nothing goes that a former generation of the state has written.

    Parameters
    ----------
    output
        The output.
    since
        By split, the first position that is written.
    """

    def __init__(self, output: Output, since: Mapping[int, int]) -> None:
        self._output, self._since = output, since

    def write(self, batch: int, results: Sequence[Result]) -> None:
        """Write a micro-batch; see ``Output.write``."""
        kept = (result.since(self._since.get(result.split, 0)) for result in results)
        self._output.write(batch, [result for result in kept if result is not None])

    def finish(self) -> None:
        """See ``Output.finish``."""
        self._output.finish()

    def close(self) -> None:
        """See ``Output.close``."""
        self._output.close()


class FileOutput:
    """A file of JSON lines.

    Parameters
    ----------
    path
        The file.
    query
        Whose output it is: a file that another checkpoint has begun is written anew.
    size
        What stays of such a file: the bytes of a former generation.
    """

    def __init__(self, path: Path, query: str, size: int = 0) -> None:
        self._output = LineOutput(path)
        self._note = _note_of(path)
        self._query, self._size = query, size
        self._known = read_note(path, query)

    def write(self, batch: int, results: Sequence[Result]) -> None:
        """Write a micro-batch; see ``Output.write``."""
        if not self._known:
            self._output.truncate(self._size)
        elif self._known["batch"] == batch:
            if self._output.size < self._known["bytes"]:
                raise StorageError(
                    f"{self._output.path}: is shorter than it was; restore it, or begin a new checkpoint"
                )
            self._output.truncate(self._known["bytes"])
        elif self._known["batch"] > batch:
            return
        # Known before the first byte is written: else a crash would leave bytes that nobody knows to cut off.
        self._known = {"query": self._query, "batch": batch, "bytes": self._output.size}
        draft = self._note.with_name(f"{self._note.name}.part")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self._known, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._note)
        for result in results:
            self._output.write(result.data)
        self._output.sync()

    def finish(self) -> None:
        """Do nothing: everything is written."""

    def close(self) -> None:
        """Close the file."""
        self._output.close()


def _note_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.spark")


def read_note(path: Path, query: str) -> dict[str, Any]:
    """Return what a query has noted of a file: its last micro-batch, and how large the file was before it."""
    try:
        known: dict[str, Any] = json.loads(_note_of(path).read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    return known if known.get("query") == query else {}


def lines_of(sink: SinkConfig) -> Path:
    """Return where the lines of a sink that is a file are gathered: a Parquet file is made of them when a run ends."""
    assert sink.path is not None
    path = Path(sink.path)
    return path.with_name(f".{path.name}.lines") if sink.format == "parquet" else path


class ParquetOutput:
    """A Parquet file, written whole when a run ends.

    Parameters
    ----------
    sink
        The sink.
    lines
        Where its lines are gathered.
    job
        What they come from.
    kept
        Whether a later run goes on with the lines.
    """

    def __init__(self, sink: SinkConfig, lines: FileOutput, job: Job, kept: bool) -> None:
        self._sink, self._lines, self._job, self._kept = sink, lines, job, kept

    def write(self, batch: int, results: Sequence[Result]) -> None:
        """Gather a micro-batch; see ``Output.write``."""
        self._lines.write(batch, results)

    def finish(self) -> None:
        """Write the file."""
        assert self._sink.path is not None
        gathered = lines_of(self._sink)
        with gathered.open("rb") as file:
            write_parquet(Path(self._sink.path), iter(file), self._job, self._sink.features)
        if not self._kept:
            gathered.unlink()
            _note_of(gathered).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the lines."""
        self._lines.close()


class StandardOutput:
    """Standard output: what was printed before a crash may be printed again."""

    def write(self, batch: int, results: Sequence[Result]) -> None:
        """Write a micro-batch."""
        del batch
        for result in results:
            sys.stdout.buffer.write(result.data)
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        """Do nothing: everything is printed."""

    def close(self) -> None:
        """Do nothing."""


class TopicOutput:
    """Topics of one cluster, written together.

    Parameters
    ----------
    sinks
        What goes where; all on one cluster and delivered alike.
    servers, properties
        The cluster.
    splits
        How splits of the source are called.
    query
        Whose output it is.
    """

    def __init__(
        self, sinks: Sequence[SinkConfig], servers: str, properties: Mapping[str, str], splits: Splits, query: str
    ) -> None:
        self._sinks, self._splits = tuple(sinks), splits
        self._exact = sinks[0].delivery == "exactly-once"
        self._group = f"counterfoil-spark-{query}"
        self._writer = KafkaWriter(servers, properties, self._group if self._exact else None)
        self._kafka = require_kafka()
        self._retry_seconds = sinks[0].retry_seconds
        self._consumer: Any = None
        if self._exact:
            settings = {
                **client_settings(servers, properties, "sinks[].properties"),
                **self._writer.troubles.settings(),
                "group.id": self._group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
            self._consumer = self._kafka.Consumer(settings)

    def write(self, batch: int, results: Sequence[Result]) -> None:
        """Write a micro-batch; see ``Output.write``."""
        messages = [(sink.topic, self._messages(sink, results)) for sink in self._sinks]
        deadline, wait = time.monotonic() + self._retry_seconds, 0.2
        while True:
            try:
                self._write_once(batch, messages)
            except (WriteFailed, self._kafka.KafkaException) as error:
                self._writer.abandon()
                if time.monotonic() >= deadline:
                    raise self._writer.troubles.error("takes nothing", str(error)) from None
                _log.warning("micro-batch not written; trying again", batch=batch, reason=str(error)[:300])
                time.sleep(wait)
                wait = min(2 * wait, 5.0)
            else:
                return

    def _write_once(self, batch: int, messages: Sequence[tuple[str | None, Messages]]) -> None:
        self._open()
        if self._exact and self._reached() > batch:
            return
        self._writer.begin()
        for topic, some in messages:
            assert topic is not None
            self._writer.write(topic, some.values, some.keys, some.headers)
        if self._exact:
            places = [self._kafka.TopicPartition(self._sinks[0].topic, 0, batch + 1)]
            self._writer.commit(places, self._consumer.consumer_group_metadata())
        else:
            self._writer.commit((), None)

    def _open(self) -> None:
        if not self._writer.is_open:
            # It ends what a former producer of this name left open, so what is read next is final.
            self._writer.open()
            self._writer.check_topics([sink.topic for sink in self._sinks if sink.topic])

    def reached(self) -> int | None:
        """Return the micro-batch that comes next, as the cluster knows it; None where it does not."""
        if not self._exact:
            return None
        self._open()
        found = self._reached()
        return found if found >= 0 else None

    def _reached(self) -> int:
        """Return the micro-batch that comes next, as the cluster knows it."""
        place = self._kafka.TopicPartition(self._sinks[0].topic, 0)
        return int(self._consumer.committed([place], timeout=20.0)[0].offset)

    def _messages(self, sink: SinkConfig, results: Sequence[Result]) -> Messages:
        if sink.content == "alerts":
            return alert_messages((alert for result in results for alert in result.alerts), self._splits)
        if sink.content == "dead-letters":
            return letter_messages((letter for result in results for letter in result.dead), self._splits)
        found = Messages()
        make = packed_messages if sink.format == "packed" else decision_messages
        for result in results:
            found.extend(make(result, self._splits))
        return found

    def finish(self) -> None:
        """Do nothing: everything is committed."""

    def close(self) -> None:
        """Close the clients."""
        self._writer.close()
        if self._consumer is not None:
            self._consumer.close()


TOPICS, STDOUT = "topics", "stdout"
"""Names of outputs that are no files."""


def topic_output(config: RunConfig, splits: Splits, query: str) -> TopicOutput | None:
    """Return the output to topics, all on one cluster; None for a run without."""
    topics = [sink for sink in config.sinks if sink.type == "kafka"]
    if not topics:
        return None
    servers = topics[0].servers or config.source.servers
    assert servers is not None
    own = topics[0].properties or (config.source.properties if servers == config.source.servers else {})
    return TopicOutput(topics, servers, own_settings(own), splits, query)


def open_outputs(config: RunConfig, splits: Splits, job: Job, state: JobState) -> list[Output]:
    """Return the outputs of a run.

    Parameters
    ----------
    config
        The run.
    splits
        How splits of its source are called.
    job
        What is computed.
    state
        Whose output it is, and since when.
    """
    found: list[tuple[str, Output]] = []
    for sink in config.sinks:
        if sink.type == "stdout":
            found.append((STDOUT, StandardOutput()))
        elif sink.type == "file":
            path = lines_of(sink)
            output = FileOutput(path, state.query, state.sizes.get(str(path), 0))
            kept = config.state.folder is not None
            found.append((str(path), ParquetOutput(sink, output, job, kept) if sink.format == "parquet" else output))
    topics = topic_output(config, splits, state.query)
    if topics is not None:
        found.append((TOPICS, topics))
    return [SinceOutput(each, state.since[name]) if name in state.since else each for name, each in found]
