"""The job as Flink sees it: source, batches, parts with state, join, frames, sinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from pyflink.common import Types, WatermarkStrategy
from pyflink.datastream import DataStream, KeyedStream, StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from counterfoil.runtimes.engine.job import CARRIED, CARRIERS, DUPLICATES, FIRST_SHARD
from counterfoil.runtimes.flink.functions import (
    BYTES,
    KEYED,
    PIECE,
    Duplicates,
    Episodes,
    Join,
    Pack,
    PackFile,
    Shards,
    Whole,
)
from counterfoil.runtimes.flink.routes import FRAMES, GROUPS, RAISED, balanced_keys
from counterfoil.runtimes.flink.tables import folder_table, sink_table, source_table

if TYPE_CHECKING:
    from counterfoil.config import RunConfig
    from counterfoil.runtimes.engine.job import Job

BATCH_BYTES = 2 << 20
"""Most bytes of a batch of records: what is longer than 5 MiB, Flink writes to disk between two tasks."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a file is cut.

    Parameters
    ----------
    places
        The position of the first record of each cut and where it begins; last, where the file ends.
    arrival
        When its records arrived.
    """

    places: tuple[tuple[int, int], ...]
    arrival: int


@dataclass(frozen=True, slots=True)
class FolderSink:
    """Lines that are gathered in a folder.

    Parameters
    ----------
    content
        ``text``: decisions; ``counts``: what batches had.
    folder
        Where.
    """

    content: str
    folder: str


def build(
    environment: StreamExecutionEnvironment,
    config: RunConfig,
    job: Job,
    query: str,
    folders: Sequence[FolderSink] = (),
    cuts: Cuts | None = None,
) -> None:
    """Add a job to Flink's environment.

    Parameters
    ----------
    environment
        Flink.
    config
        The run.
    job
        What workers are told.
    query
        Whose output it is.
    folders
        Where lines go that are no messages.
    cuts
        Where the file is cut, when the source is one.
    """
    _Graph(environment, config, job).build(query, folders, cuts)


class _Graph:
    def __init__(self, environment: StreamExecutionEnvironment, config: RunConfig, job: Job) -> None:
        self._environment, self._config, self._job = environment, config, job
        self._tables = StreamTableEnvironment.create(environment)
        self._java: Any = get_gateway().jvm
        self._data = job.encode()
        self._keys = balanced_keys(1 if job.whole else 1 + job.shards, self._group_of)

    def _group_of(self, key: int) -> int:
        """Return the key group of a key: the engine's hash of the row that PyFlink makes of it."""
        row = self._java.org.apache.flink.types.Row(1)
        row.setField(0, self._java.java.lang.Long.valueOf(key))
        assign = self._java.org.apache.flink.runtime.state.KeyGroupRangeAssignment.assignToKeyGroup
        return int(assign(row, GROUPS))

    def build(self, query: str, folders: Sequence[FolderSink], cuts: Cuts | None) -> None:
        """Add everything."""
        topics = [sink for sink in self._config.sinks if sink.type == "kafka"]
        kinds = [sink.format if sink.content == "decisions" else sink.content for sink in topics]
        contents = list(enumerate([*kinds, *(each.content for each in folders)]))
        frames = self._frames(self._pieces(cuts), contents)
        statements = self._tables.create_statement_set()
        for number, sink in enumerate(topics):
            name = f"topic{number}"
            self._tables.execute_sql(sink_table(name, sink, self._config, query))
            self._insert(statements, frames, number, name)
        for number, each in enumerate(folders, start=len(topics)):
            name = f"folder{number - len(topics)}"
            self._tables.execute_sql(folder_table(name, each.folder))
            self._insert(statements, frames, number, name)
        if contents:
            statements.attach_as_datastream()
        else:
            sink = self._java.org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink()
            frames._j_data_stream.sinkTo(sink)
        self._name_all()

    def _pieces(self, cuts: Cuts | None) -> DataStream:
        if cuts is not None:
            numbers = self._environment.from_source(
                NumberSequenceSource(0, len(cuts.places) - 2),
                WatermarkStrategy.no_watermarks(),
                "cuts",
                Types.LONG(),
            ).set_parallelism(1)
            function = PackFile(self._data, self._keys, list(cuts.places), cuts.arrival)
            # A file has one order, so one task reads it.
            return numbers.process(function, KEYED).name("pack").set_parallelism(1)
        streams = [self._topic(number) for number in range(len(self._config.source.topics))]
        gathered = streams[0].union(*streams[1:]) if len(streams) > 1 else streams[0]
        return gathered.process(Pack(self._data, self._keys), KEYED).name("pack")

    def _topic(self, number: int) -> DataStream:
        source, flink = self._config.source, self._config.flink
        name = f"source{number}"
        self._tables.execute_sql(source_table(name, source.topics[number].name, source, self._job.detector))
        table = self._tables.sql_query(f"SELECT `value`, `partition`, `offset`, `timestamp` FROM `{name}`")._j_table  # noqa: S608
        rows = table.getResolvedSchema().toPhysicalRowDataType().bridgedTo(self._row_class())
        words = {
            "topic": number,
            "records": self._config.limits.batch_events,
            "bytes": min(self._config.limits.batch_bytes, BATCH_BYTES),
            "linger": flink.linger_ms,
        }
        stream = self._tables._j_tenv.toDataStream(table, rows)
        return DataStream(self._generated(stream, "Batcher", words, BYTES.get_java_type_info()))

    def _row_class(self) -> Any:
        loader = self._java.java.lang.Thread.currentThread().getContextClassLoader()
        return self._java.java.lang.Class.forName("org.apache.flink.table.data.RowData", True, loader)

    def _frames(self, pieces: DataStream, contents: list[tuple[int, str]]) -> DataStream:
        data, keys = self._data, self._keys

        def keyed(stream: DataStream) -> KeyedStream:
            selector, key = self._java.KeyByKeySelector(), Types.ROW([Types.LONG()]).get_java_type_info()
            return KeyedStream(stream._j_data_stream.keyBy(selector, key), PIECE, stream)

        if self._job.whole:
            return keyed(pieces).process(Whole(data, keys, contents), KEYED).name("whole")
        last = FIRST_SHARD + self._job.shards - 1
        feeds = self._selected(pieces, FIRST_SHARD, last)
        carried = self._selected(pieces, CARRIED - CARRIERS + 1, CARRIED)
        if self._job.dedupes:
            identities = self._selected(pieces, DUPLICATES, DUPLICATES)
            words = keyed(identities).process(Duplicates(data, keys), KEYED).name("duplicates")
            feeds = feeds.union(self._selected(words, FIRST_SHARD, last))
            carried = carried.union(self._selected(words, CARRIED, CARRIED))
        answers = keyed(feeds).process(Shards(data, keys), KEYED).name("stages")
        joined = keyed(carried.union(answers)).process(Join(data, keys, contents), KEYED).name("join")
        if not self._job.alerts:
            return joined
        raised = keyed(self._selected(joined, RAISED, RAISED))
        return joined.union(raised.process(Episodes(data, keys, contents), KEYED).name("episodes"))

    def _selected(self, stream: DataStream, lowest: int, highest: int) -> DataStream:
        """Return the pieces whose part lies within bounds."""
        bounds = {"lowest": lowest, "highest": highest}
        return DataStream(self._generated(stream._j_data_stream, "Selector", bounds, KEYED.get_java_type_info()))

    def _insert(self, statements: Any, frames: DataStream, number: int, name: str) -> None:
        """Let what a sink gets of the frames go there."""
        table = self._tables.from_path(name)._j_table
        rows = table.getResolvedSchema().toSinkRowDataType().getLogicalType()
        info = self._java.org.apache.flink.table.runtime.typeutils.InternalTypeInfo.of(rows)
        split = self._generated(frames._j_data_stream, "Splitter", {"sink": number, "frames": FRAMES}, info)
        self._tables._j_tenv.createTemporaryView(f"for_{name}", split)
        statements.add_insert_sql(f"INSERT INTO `{name}` SELECT * FROM `for_{name}`")  # noqa: S608

    def _generated(self, stream: Any, name: str, words: dict[str, int], info: Any) -> Any:
        """Return what an operator, given as the text of its class, makes of a stream."""
        text = resources.files("counterfoil.runtimes.flink").joinpath("java", f"{name}.java").read_text("utf-8")
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        java = self._java
        none = get_gateway().new_array(java.java.lang.Object, 0)
        settings = java.org.apache.flink.configuration.Configuration()
        operator = java.org.apache.flink.table.runtime.generated.GeneratedOperator(
            f"Counterfoil{name}", text, none, settings
        )
        factory = java.org.apache.flink.table.runtime.operators.CodeGenOperatorFactory(operator)
        before = stream.getTransformation()
        transformation = java.org.apache.flink.streaming.api.transformations.OneInputTransformation(
            before, name.lower(), factory, info, before.getParallelism()
        )
        stream.getExecutionEnvironment().addOperator(transformation)
        return java.org.apache.flink.streaming.api.datastream.DataStream(
            stream.getExecutionEnvironment(), transformation
        )

    def _name_all(self) -> None:
        """Give every step a name of its own that stays: Flink's own names change with how steps are chained."""
        seen: set[int] = set()
        order: list[Any] = []

        def visit(transformation: Any) -> None:
            if int(transformation.getId()) in seen:
                return
            seen.add(int(transformation.getId()))
            for each in transformation.getInputs():
                visit(each)
            order.append(transformation)

        for each in self._environment._j_stream_execution_environment.getTransformations():
            visit(each)
        for number, transformation in enumerate(order):
            if transformation.getUid() is None:
                transformation.setUid(f"counterfoil-{number}")
