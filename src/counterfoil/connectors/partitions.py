"""Sources that are divided into partitions, each with offsets of its own: what a runtime needs to know of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from counterfoil.connectors.source import Chunk
from counterfoil.errors import CorruptionError

Words = npt.NDArray[np.int64]

Partition = tuple[str, int]
"""A topic and one of its partitions."""


class _StoredSpans(msgspec.Struct, array_like=True):
    partitions: list[Partition]
    which: list[int]
    position: list[int]
    offset: list[int]
    end: int


@dataclass(frozen=True, slots=True)
class Spans:
    """Where the records of a batch stood: runs of contiguous offsets of a partition, in the order of input positions.

    Examples
    --------
    >>> spans = Spans.of([("t", 0), ("t", 1)], which=[0, 1], position=[10, 12], offset=[100, 7], end=15)
    >>> spans.places(np.array([11, 12, 14]))
    (array([0, 1, 1]), array([101,   7,   9]))
    >>> spans.next_offsets()
    {('t', 0): 102, ('t', 1): 10}
    """

    partitions: tuple[Partition, ...]
    which: Words
    """(spans,): the partition of each, as a place in ``partitions``."""
    position: Words
    """(spans,): the input position of its first record…"""
    offset: Words
    """(spans,): …and the offset of that record."""
    end: int
    """The input position behind the last record."""

    @classmethod
    def of(
        cls,
        partitions: Sequence[Partition],
        which: Sequence[int] | Words,
        position: Sequence[int] | Words,
        offset: Sequence[int] | Words,
        end: int,
    ) -> Spans:
        """Return spans of plain numbers."""
        columns = np.asarray(which, np.int64), np.asarray(position, np.int64), np.asarray(offset, np.int64)
        return cls(tuple(partitions), *columns, end)

    def shifted(self, positions: int) -> Spans:
        """Return the same records at input positions that are larger by so many."""
        return replace(self, position=self.position + positions, end=self.end + positions)

    def places(self, positions: Words) -> tuple[Words, Words]:
        """Return the partition (a place in ``partitions``) and the offset of some input positions."""
        span = np.searchsorted(self.position, positions, "right") - 1
        return self.which[span], self.offset[span] + (positions - self.position[span])

    def place(self, position: int) -> tuple[str, int, int]:
        """Return topic, partition and offset of one input position."""
        which, offset = self.places(np.array([position], np.int64))
        return (*self.partitions[int(which[0])], int(offset[0]))

    def first_offsets(self) -> dict[Partition, int]:
        """Return the lowest offset of each partition."""
        found: dict[Partition, int] = {}
        for which, offset in zip(self.which.tolist(), self.offset.tolist(), strict=True):
            found.setdefault(self.partitions[which], offset)
        return found

    def next_offsets(self) -> dict[Partition, int]:
        """Return the offset that follows the last one of each partition."""
        lengths = np.diff(self.position, append=self.end)
        ends = (self.offset + lengths).tolist()
        return {self.partitions[which]: end for which, end in zip(self.which.tolist(), ends, strict=True)}

    def encode(self) -> bytes:
        """Return the spans as bytes."""
        columns = (self.which.tolist(), self.position.tolist(), self.offset.tolist())
        return msgspec.json.encode(_StoredSpans(list(self.partitions), *columns, self.end))

    @classmethod
    def decode(cls, data: bytes) -> Spans:
        """Return what was encoded.

        Raises
        ------
        CorruptionError
            If the bytes are no spans.
        """
        try:
            stored = msgspec.json.decode(data, type=_StoredSpans)
        except msgspec.DecodeError as error:
            raise CorruptionError(f"the positions of a block are damaged: {error}; restore the folder") from error
        return cls.of(stored.partitions, stored.which, stored.position, stored.offset, stored.end)


@dataclass(frozen=True, slots=True)
class PartitionedChunk(Chunk):
    """Some records of several topics, one topic behind the other; ``data`` is empty."""

    records: tuple[tuple[str, list[bytes | None]], ...]
    """Topic and values; their positions count from ``position`` on."""
    spans: Spans
    """Where they stood."""
    produced: float | None = None
    """When the oldest of them was written to its topic, in seconds since 1970."""


class PartitionOwner(Protocol):
    """Whoever carries records on from a source: it is told which partitions come and go.

    All calls come from the thread that reads, from within ``read``.
    """

    def drain(self, position: int, seconds: float) -> bool:
        """Wait until all records before an input position are durable and delivered; return whether they are."""
        ...

    def released(self) -> None:
        """Take note that no partition is owned: nothing of them may be delivered any more."""
        ...

    def assigned(self, delivered: Mapping[Partition, tuple[int | None, str]], reached: Mapping[Partition, int]) -> None:
        """Take over partitions.

        Parameters
        ----------
        delivered
            For each partition that is owned now, up to where the group has delivered (None where it does not know), and
            what was noted beside it.
        reached
            Up to where the state includes each of them.
        """
        ...


class PartitionedSource(Protocol):
    """A source with positions for each partition, shared among the members of a group."""

    name: str
    seekable: bool

    def resume(self, positions: Mapping[Partition, int], member: str, owner: PartitionOwner) -> None:
        """Say what the state includes, who is asking and whom to tell, before the first ``read``."""
        ...

    def read(self, stopped: Callable[[], bool]) -> PartitionedChunk | None:
        """Return the next records: see ``Source.read``."""
        ...
