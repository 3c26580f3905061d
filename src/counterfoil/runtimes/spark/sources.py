"""Files as a source of Spark: read by our own sources and decoders, so that every format is the same as on one machine.

A file is cut at records on the driver and decoded by the workers, which must see the same path.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow

from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.packing import pack_decoded
from counterfoil.runtimes.local.inputs import open_input
from counterfoil.runtimes.spark.keys import keys_of
from counterfoil.runtimes.spark.workers import PIECES, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

    from counterfoil.events.decoding import Decoded

NAME = "counterfoil"

_Place = dict[str, int]
"""``position`` of a record and ``offset`` where it begins."""


class Cut(InputPartition):
    """Some records of a file: what one task reads."""

    def __init__(self, first: tuple[int, int], next_position: int) -> None:
        self.first = first
        self.next_position = next_position


class FileSource(DataSource):
    """A file of events; a subclass made by ``file_source`` knows the job."""

    job_data = b""
    partitions = 1
    micro_batch_events = 1

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return NAME

    def schema(self) -> str:
        """Return the columns: pieces."""
        return PIECES

    def streamReader(self, schema: Any) -> FileReader:  # noqa: N802 - Spark's name
        """Return the reader."""
        del schema
        return FileReader(self.job_data, self.partitions, self.micro_batch_events)


def file_source(job: Job, partitions: int, micro_batch_events: int) -> type[FileSource]:
    """Return a source of Spark for a job: the job travels within the class, because options are shown in plans."""
    known = {"job_data": job.encode(), "partitions": partitions, "micro_batch_events": micro_batch_events}
    # Without a module of ours Spark sends the class itself, with what it knows, and not its name.
    return type("CounterfoilFile", (FileSource,), {**known, "__module__": "__main__"})


class FileReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Cuts the file on the driver, and reads cuts in the workers."""

    def __init__(self, data: bytes, partitions: int, micro_batch_events: int) -> None:
        self._data, self._partitions, self._events = data, partitions, micro_batch_events
        self._end: int | None = None

    def initialOffset(self) -> _Place:  # noqa: N802
        """Return the beginning of the file."""
        return {"position": 0, "offset": 0}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        """Return how many records a micro-batch may have."""
        return ReadMaxRows(self._events)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        """Do nothing: a file ends where it ends."""

    def latestOffset(self, start: _Place, limit: ReadLimit) -> _Place:  # noqa: N802
        """Return where the next micro-batch ends."""
        most = 1 << 62 if isinstance(limit, ReadAllAvailable) else getattr(limit, "max_rows", self._events)
        reached = dict(start)
        for cut, offset in self._cuts(start):
            reached = {"position": cut.next_position, "offset": offset}
            if cut.next_position - start["position"] >= most:
                break
        return reached

    def partitions(self, start: _Place, end: _Place) -> Sequence[InputPartition]:
        """Return the cuts between two places."""
        found = []
        for cut, _ in self._cuts(start):
            if cut.first[0] >= end["position"]:
                break
            found.append(Cut(cut.first, min(cut.next_position, end["position"])))
        return found

    def _cuts(self, start: _Place) -> Iterator[tuple[Cut, int]]:
        """Yield cuts from a place on, each with where the next begins."""
        job = Job.decode(self._data)
        feed = open_input(job.source, job.limits, job.detector, job.key, growing=not job.source.until_end)
        try:
            feed.source.seek(start["position"], start["offset"])
            first = (start["position"], start["offset"])
            while (chunk := feed.source.read(lambda: False)) is not None:
                yield Cut(first, chunk.next_position), chunk.next_offset
                first = (chunk.next_position, chunk.next_offset)
        finally:
            feed.source.close()

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the pieces of a cut."""
        assert isinstance(partition, Cut)
        job = Job.decode(self._data)
        keys = keys_of(job.shards, self._partitions)
        feed = open_input(job.source, job.limits, job.detector, job.key, growing=not job.source.until_end)
        try:
            feed.source.seek(*partition.first)
            while (chunk := feed.source.read(lambda: False)) is not None:
                decoded = feed.decode(chunk, chunk.position, time.time_ns() // 1000)
                end = min(chunk.next_position, partition.next_position)
                if end < chunk.next_position:
                    # The file has grown since it was cut.
                    decoded = _before(decoded, end)
                yield rows_of(pack_decoded(job, decoded, chunk.position, end - chunk.position), keys)
                if end == partition.next_position:
                    return
        finally:
            feed.source.close()

    def commit(self, end: _Place) -> None:
        """Do nothing: a file stays as it is."""

    def stop(self) -> None:
        """Do nothing: nothing is held open."""


def _before(decoded: Decoded, position: int) -> Decoded:
    """Return what stands before a position."""
    batch = decoded.batch.take(np.flatnonzero(decoded.batch.position < position))
    return replace(decoded, batch=batch, dead=[letter for letter in decoded.dead if letter.position < position])
