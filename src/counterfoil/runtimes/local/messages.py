"""What goes to topics, as messages: decisions one by one or packed, alerts, dead letters.

Every message says where it comes from (topic, partition and offset of the event), so that readers can tell a repeat and
a lost position can be found again from the topics alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import msgspec
import numpy as np
import numpy.typing as npt

from counterfoil.connectors.kafka_native import DecisionLines, Texts
from counterfoil.connectors.kafka_sink import IDENTIFIER, SOURCE, Header, source_headers
from counterfoil.connectors.partitions import Partition, Spans
from counterfoil.runtimes.local.arrays import writable
from counterfoil.runtimes.local.lines import INTEGER_BYTES, write_places

if TYPE_CHECKING:
    from counterfoil.runtimes.local.lines import LineEncoder
    from counterfoil.runtimes.local.records import Records
    from counterfoil.runtimes.local.store import NewDeadLetter, StoredDeadLetter

COUNT = "count"
"""Name of a header, beside those of the sink."""
PACKED_BYTES = 900_000
"""Most bytes of a packed message: brokers take 1 MiB unless they are told otherwise."""

Rows = npt.NDArray[np.int64]


class SourceHeaders(Sequence[list[Header]]):
    """What heads messages that say what they are and where they come from, made one by one when it is asked for.

    Kept ready, it would be three objects a message, which the garbage collector looks through again and again: two
    thirds of the time that a message takes to be handed to the client library.

    Parameters
    ----------
    identifiers, sources
        Both, for each message.
    """

    __slots__ = ("identifiers", "sources")

    def __init__(self, identifiers: list[bytes], sources: list[bytes]) -> None:
        self.identifiers = identifiers
        self.sources = sources

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, place: int) -> list[Header]: ...

    @overload
    def __getitem__(self, place: slice) -> SourceHeaders: ...

    def __getitem__(self, place: int | slice) -> list[Header] | SourceHeaders:
        if isinstance(place, slice):
            return SourceHeaders(self.identifiers[place], self.sources[place])
        return [(IDENTIFIER, self.identifiers[place]), (SOURCE, self.sources[place])]

    def __iter__(self) -> Iterator[list[Header]]:
        return source_headers(self.identifiers, self.sources)


@dataclass(slots=True)
class Messages:
    """Some messages for one topic."""

    values: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    headers: list[list[Header]] | SourceHeaders = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)

    def extend(self, more: Messages) -> None:
        """Add others; messages of decisions keep their headers unmade."""
        ours, theirs = self.headers if len(self) else SourceHeaders([], []), more.headers
        if isinstance(ours, SourceHeaders) and isinstance(theirs, SourceHeaders):
            self.headers = SourceHeaders(ours.identifiers + theirs.identifiers, ours.sources + theirs.sources)
        else:
            self.headers = [*ours, *theirs]
        self.values += more.values
        self.keys += more.keys

    def add(self, value: bytes, key: bytes, headers: list[Header]) -> None:
        """Add one."""
        if isinstance(self.headers, SourceHeaders):
            self.headers = list(self.headers)
        self.values.append(value)
        self.keys.append(key)
        self.headers.append(headers)


@dataclass(slots=True)
class LineMessages:
    """Decisions for one topic, those of one block after the other."""

    lines: list[DecisionLines] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.lines))

    def parts(self, first: int, stop: int) -> Iterator[tuple[DecisionLines, int, int]]:
        """Yield the messages from ``first`` to ``stop`` (excluded): lines, and which of them."""
        before = 0
        for lines in self.lines:
            start, end = max(first - before, 0), min(stop - before, len(lines))
            if start < end:
                yield lines, start, end
            before += len(lines)


@dataclass(frozen=True, slots=True)
class OutgoingAlert:
    """An alert as it stands after a decision that opened or extended it."""

    alert: str
    position: int
    """Of that decision."""
    content: dict[str, Any]


@dataclass(slots=True)
class Parcel:
    """What one block of the log has for topics."""

    block: int
    decided_at: int
    version: str
    next_record: int
    spans: Spans | None
    records: Records
    alerts: Sequence[OutgoingAlert]
    dead: Sequence[NewDeadLetter | StoredDeadLetter]
    received: float | None = None
    """When its records were read, in monotonic seconds…"""
    produced: float | None = None
    """…and when the oldest was written, in seconds since 1970."""


def source_names(positions: Rows, spans: Spans | None) -> list[bytes]:
    """Return where each position comes from: ``topic/partition/offset``, or the position where there is no topic."""
    if spans is None:
        return [b"%d" % position for position in positions.tolist()]
    names = [f"{topic}/{partition}/".encode() for topic, partition in spans.partitions]
    which, offsets = spans.places(positions)
    if len(names) == 1:
        name = names[0]
        return [b"%b%d" % (name, offset) for offset in offsets.tolist()]
    return [b"%b%d" % (names[place], offset) for place, offset in zip(which.tolist(), offsets.tolist(), strict=True)]


def source_name(position: int, spans: Spans | None) -> bytes:
    """Return where one position comes from."""
    return source_names(np.array([position], np.int64), spans)[0]


def parse_source(text: bytes) -> tuple[Partition, int] | None:
    """Return partition and offset of a ``source`` header; None where it is none of a topic.

    Examples
    --------
    >>> parse_source(b"payments/3/17"), parse_source(b"17")
    ((('payments', 3), 17), None)
    """
    topic, _, rest = text.decode("utf-8", "replace").partition("/")
    partition, _, offset = rest.partition("/")
    return ((topic, int(partition)), int(offset)) if partition.isdigit() and offset.isdigit() else None


def source_texts(positions: Rows, spans: Spans | None) -> Texts:
    """Return what ``source_names`` does as one heap."""
    names = [b""] if spans is None else [f"{topic}/{partition}/".encode() for topic, partition in spans.partitions]
    size = len(positions)
    which, offsets = (np.zeros(size, np.int64), positions) if spans is None else spans.places(positions)
    out = np.empty(size * (max(map(len, names)) + INTEGER_BYTES), np.uint8)
    start, length = np.empty(size, np.int64), np.empty(size, np.int32)
    ends = np.cumsum([len(name) for name in names], dtype=np.int64)
    write_places(out, writable(b"".join(names)), ends, which, offsets, start, length)
    return out, start, length


def decision_lines(parcel: Parcel, rows: Rows | None, encoder: LineEncoder) -> DecisionLines:
    """Return a message for each decision, all in one; ``rows`` says which, None for all."""
    records = parcel.records if rows is None else parcel.records.take(rows)
    lines = encoder.encode_lines(records, parcel.decided_at, parcel.version)
    identifiers = (records.id_heap, records.id_offset, records.id_length)
    return DecisionLines(*lines, identifiers, source_texts(records.position, parcel.spans))


def single_lines(data: bytes, keys: list[bytes], sources: list[bytes]) -> Messages:
    """Return a message for each line, with its key and where it comes from."""
    lines = data.split(b"\n")
    lines.pop()
    return Messages(lines, keys, SourceHeaders(keys, sources))


def packed_messages(parcel: Parcel, rows: Rows | None, encoder: LineEncoder) -> Messages:
    """Return messages of many lines each."""
    records = parcel.records if rows is None else parcel.records.take(rows)
    data = encoder.encode(records, parcel.decided_at, parcel.version)
    sources = source_names(records.position, parcel.spans)

    def furthest(first: int, count: int) -> bytes:
        return _furthest(records.position[first : first + count], parcel.spans) or sources[first + count - 1]

    return packed_lines(data, sources, furthest)


def packed_lines(data: bytes, sources: list[bytes], furthest: Callable[[int, int], bytes]) -> Messages:
    """Return messages of many lines each.

    Parameters
    ----------
    data
        The lines.
    sources
        Where each comes from.
    furthest
        Returns up to where some lines go, by the number of the first and how many they are.
    """
    found = Messages()
    first, start = 0, 0
    while start < len(data):
        end = len(data) if len(data) - start <= PACKED_BYTES else data.rfind(b"\n", start, start + PACKED_BYTES) + 1
        if end <= start:
            # A single line that is longer; the broker has the last word on it.
            end = data.find(b"\n", start) + 1
        part = data[start:end]
        count = part.count(b"\n")
        headers = [(COUNT, b"%d" % count), (IDENTIFIER, sources[first]), (SOURCE, furthest(first, count))]
        found.add(part, sources[first], headers)
        first, start = first + count, end
    return found


def _furthest(positions: Rows, spans: Spans | None) -> bytes | None:
    """Return the last offset of each partition among some positions, with commas between them."""
    if spans is None or not len(positions):
        return None
    which, offsets = spans.places(positions)
    furthest = dict(zip(which.tolist(), offsets.tolist(), strict=True))
    return b",".join(
        f"{spans.partitions[place][0]}/{spans.partitions[place][1]}/{offset}".encode()
        for place, offset in furthest.items()
    )


def alert_messages(alerts: Iterable[tuple[OutgoingAlert, bytes]]) -> Messages:
    """Return a message for each alert, as it stands after the last of these changes, each with where it comes from."""
    newest = {alert.alert: (alert, source) for alert, source in alerts}
    found = Messages()
    for alert, source in newest.values():
        key = alert.alert.encode()
        found.add(msgspec.json.encode(alert.content), key, [(IDENTIFIER, key), (SOURCE, source)])
    return found


def letter_messages(letters: Iterable[tuple[NewDeadLetter | StoredDeadLetter, bytes]]) -> Messages:
    """Return a message for each dead letter, given with where it comes from.

    It holds the letter's bytes as they are kept, sealed where they may hold a card number.
    """
    found = Messages()
    for letter, source in letters:
        headers = [
            (IDENTIFIER, source),
            (SOURCE, source),
            ("reason", letter.reason.encode()),
            ("detail", letter.detail.encode()),
            ("sealed", b"true" if letter.sealed else b"false"),
            ("cut", b"true" if letter.cut else b"false"),
        ]
        found.add(bytes(letter.bytes), source, headers)
    return found


def sources_of(headers: Iterable[Header] | None) -> Iterator[tuple[Partition, int]]:
    """Yield the places that a message's headers name."""
    for name, value in headers or ():
        if name == SOURCE and value is not None:
            for text in value.split(b","):
                place = parse_source(text)
                if place is not None:
                    yield place


def identifiers(heap: bytes, starts: list[int], lengths: list[int], sources: list[bytes]) -> list[bytes]:
    """Return the id of each decided event; where its kind has none (length -1), where it comes from."""
    return [
        heap[start : start + length] if length >= 0 else source
        for start, length, source in zip(starts, lengths, sources, strict=True)
    ]
