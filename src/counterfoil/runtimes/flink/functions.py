"""The functions that Flink calls: each hands bytes to a part of the engine's core and has no logic of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, ProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor

from counterfoil.runtimes.flink.workers import ready

ready()

from counterfoil.runtimes.engine.blob import Piece, decode  # noqa: E402 - only then
from counterfoil.runtimes.engine.episodes import ALERTS, Alert, EpisodesPart, newest_position  # noqa: E402
from counterfoil.runtimes.engine.job import Job, place_of  # noqa: E402
from counterfoil.runtimes.engine.joining import Joiner  # noqa: E402
from counterfoil.runtimes.engine.packing import Packer, pack_decoded, topic_packer  # noqa: E402
from counterfoil.runtimes.engine.parts import Part, make_part  # noqa: E402
from counterfoil.runtimes.engine.results import Result, Splits  # noqa: E402
from counterfoil.runtimes.flink.assembly import Assembly  # noqa: E402
from counterfoil.runtimes.flink.batches import pack_gathered, read_gathered  # noqa: E402
from counterfoil.runtimes.flink.frames import (  # noqa: E402
    alert_frame,
    count_frame,
    decision_frame,
    letter_frame,
    opened_frame,
    packed_frame,
    text_frame,
)
from counterfoil.runtimes.flink.log import LoggedPart, word  # noqa: E402
from counterfoil.runtimes.flink.routes import FRAMES, RAISED, addressed, asked_of  # noqa: E402
from counterfoil.runtimes.local.inputs import Input, open_input  # noqa: E402

BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())
PIECE = Types.TUPLE([Types.LONG(), Types.LONG(), BYTES])
"""Part, batch, data."""
KEYED = Types.ROW([Types.LONG(), PIECE])
"""A piece under its key, in the form in which PyFlink itself keys: so that it need not ask Python for the key."""
_STATE = Types.PICKLED_BYTE_ARRAY()
"""Flink's own wrapping of bytes: a primitive array as state breaks checkpoints where Python runs within the JVM."""

Record = tuple[int, int, bytes]
_OPENING = threading.RLock()


class _Working:
    """What all functions know."""

    def __init__(self, job: bytes, keys: list[int]) -> None:
        self._data, self._keys = job, keys

    def _open(self) -> None:
        # Tasks of one JVM open their functions at the same time, and what they share is compiled once, by one of them.
        with _OPENING:
            self._job = Job.decode(self._data)
            assert self._job.program is not None
        self._splits = Splits(tuple(topic.name for topic in self._job.source.topics))

    def _record(self, part: int, batch: int, data: bytes) -> Row:
        return Row(self._keys[max(part, 0)], (part, batch, data))


def _of_split(piece: Piece) -> Row:
    """Return a piece under its split."""
    return Row(place_of(piece.batch)[0], tuple(piece))


class _Packing(_Working, ProcessFunction):
    """Sends pieces on their way."""

    def _routed(self, pieces: list[Piece]) -> Iterator[Row]:
        if self._job.whole:
            yield from (self._record(*piece) for piece in pieces)
            return
        for piece in addressed(pieces, self._job.dedupes):
            yield _of_split(piece) if piece.part < 0 else self._record(*piece)


class Pack(_Packing):
    """Gathered records to pieces."""

    def open(self, runtime_context: RuntimeContext) -> None:
        """Make the decoders."""
        del runtime_context
        self._open()
        self._packers: dict[int, Packer] = {}

    def process_element(self, value: bytes, ctx: Any) -> Iterator[Row]:
        """Yield the pieces of gathered records."""
        del ctx
        gathered = read_gathered(bytes(value))
        if gathered.topic not in self._packers:
            with _OPENING:
                self._packers[gathered.topic] = topic_packer(self._job, self._splits.topics[gathered.topic])
        yield from self._routed(pack_gathered(self._packers[gathered.topic], gathered, self._splits))


class PackFile(_Packing):
    """Cuts of a file to pieces; the file must be where the worker can read it.

    Parameters
    ----------
    cuts
        Where each cut begins: the position of its first record and where that is; and last, where the file ends.
    arrival
        When its records arrived.
    """

    def __init__(self, job: bytes, keys: list[int], cuts: list[tuple[int, int]], arrival: int) -> None:
        super().__init__(job, keys)
        self._cuts, self._arrival = cuts, arrival
        self._feed: Input | None = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Open nothing yet."""
        del runtime_context
        self._open()
        self._at = -1

    def process_element(self, value: int, ctx: Any) -> Iterator[Row]:
        """Yield the pieces of a cut."""
        del ctx
        job = self._job
        if self._at != value:
            self.close()
            self._feed = open_input(job.source, job.limits, job.detector, job.key)
            self._feed.source.seek(*self._cuts[value])
        feed = self._feed
        assert feed is not None
        self._at, (end, _) = value + 1, self._cuts[value + 1]
        while (chunk := feed.source.read(lambda: False)) is not None:
            decoded = feed.decode(chunk, chunk.position, self._arrival)
            records = chunk.next_position - chunk.position
            yield from self._routed(pack_decoded(job, decoded, chunk.position, records))
            if chunk.next_position >= end:
                return

    def close(self) -> None:
        """Close the file."""
        feed = self._feed
        if feed is not None:
            feed.source.close()
            self._feed = None


class _Stateful(_Working, KeyedProcessFunction):
    """Parts with a log in Flink's state: made again from it when a key is met for the first time."""

    waits = False

    def open(self, runtime_context: RuntimeContext) -> None:
        """Ask for the state."""
        self._open()
        self._state = runtime_context.get_list_state(ListStateDescriptor("log", _STATE))
        self._parts: dict[int, LoggedPart] = {}

    def _part(self, number: int) -> LoggedPart:
        found = self._parts.get(number)
        if found is None:
            # Only now is there a key, and with it the state.
            with _OPENING:
                found = LoggedPart(lambda: self._make(number), self.waits and self._job.dedupes)
            found.rebuild(self._state)
            self._parts[number] = found
        return found

    def _make(self, number: int) -> Part:
        return make_part(self._job, number)

    def _fed(self, part: int, batch: int, data: bytes) -> list[Piece]:
        return self._part(part).feed(self._state, Piece(part, batch, bytes(data)))


class Whole(_Stateful):
    """The whole detector: batches to frames for the sinks."""

    def __init__(self, job: bytes, keys: list[int], sinks: list[tuple[int, str]]) -> None:
        super().__init__(job, keys)
        self._sinks = sinks

    def process_element(self, value: Record, ctx: Any) -> Iterator[Row]:
        """Yield the frames of a batch."""
        del ctx
        for answer in self._fed(*value):
            for frame in frames(self._job, answer.data, answer.batch, self._sinks, self._splits):
                yield self._record(FRAMES, answer.batch, frame)


class Duplicates(_Stateful):
    """Identities to words: for everyone who waits, which rows drop out."""

    def process_element(self, value: Record, ctx: Any) -> Iterator[Row]:
        """Yield a word for each."""
        del ctx
        part, batch, data = value
        asked, identities = asked_of(bytes(data))
        masks = {answer.part: answer.data for answer in self._fed(part, batch, identities)}
        own = next((mask for number, mask in masks.items() if number < 0), b"")
        yield _of_split(word(Piece(-1, batch, own)))
        for number in asked:
            yield self._record(*word(Piece(number, batch, masks.get(number, b""))))


class Shards(_Stateful):
    """Feeds and words to answers."""

    waits = True

    def process_element(self, value: Record, ctx: Any) -> Iterator[Row]:
        """Yield the answers, on their way to their split."""
        del ctx
        for answer in self._fed(*value):
            yield _of_split(answer)


class Join(_Working, KeyedProcessFunction):
    """Answers of a split beside its batches: frames for the sinks, in the split's order."""

    def __init__(self, job: bytes, keys: list[int], sinks: list[tuple[int, str]]) -> None:
        super().__init__(job, keys)
        self._sinks = sinks

    def open(self, runtime_context: RuntimeContext) -> None:
        """Ask for the state."""
        self._open()
        with _OPENING:
            self._joiner = Joiner(self._job)
        self._state = runtime_context.get_map_state(MapStateDescriptor("waiting", Types.LONG(), _STATE))
        self._splits_waiting: dict[int, Assembly] = {}

    def process_element(self, value: Record, ctx: Any) -> Iterator[Row]:
        """Yield the frames of batches that are whole."""
        del ctx
        part, batch, data = value
        split, _ = place_of(batch)
        waiting = self._assembly(split)
        number, entry = waiting.arrive(Piece(part, batch, bytes(data)))
        self._state.put(number, entry)
        while (done := waiting.complete()) is not None:
            first, numbers, pieces = done
            for each in numbers:
                self._state.remove(each)
            joined = self._joiner.join(pieces)
            for frame in frames(self._job, joined.result, first, self._sinks, self._splits):
                yield self._record(FRAMES, first, frame)
            if joined.raised is not None:
                yield self._record(RAISED, first, joined.raised)

    def _assembly(self, split: int) -> Assembly:
        found = self._splits_waiting.get(split)
        if found is None:
            found = self._splits_waiting[split] = Assembly()
            found.rebuild(self._state.items())
        return found


class Episodes(_Stateful):
    """Raised decisions to frames of alerts."""

    def __init__(self, job: bytes, keys: list[int], sinks: list[tuple[int, str]]) -> None:
        super().__init__(job, keys)
        self._sinks = sinks

    def _make(self, number: int) -> Part:
        del number
        return EpisodesPart(self._job)

    def process_element(self, value: Record, ctx: Any) -> Iterator[Row]:
        """Yield the frames of alerts."""
        del ctx
        # A part of their own: its number says only where they came from.
        _, batch, data = value
        for answer in self._fed(0, batch, data):
            if newest_position(bytes(data)) < self._job.since.get(place_of(batch)[0], 0):
                continue
            alerts = decode(answer.data, ALERTS).meta["alerts"]
            for frame in alert_frames(alerts, batch, self._sinks, self._splits):
                yield self._record(FRAMES, answer.batch, frame)


def frames(job: Job, data: bytes, batch: int, sinks: list[tuple[int, str]], splits: Splits) -> Iterator[bytes]:
    """Yield what the sinks get of a result."""
    result = Result(data, batch)
    if result.split in job.since:
        kept = result.since(job.since[result.split])
        if kept is None:
            return
        result = kept
    for number, content in sinks:
        if content == "counts":
            yield count_frame(number, result)
        elif content == "dead-letters":
            if result.dead:
                yield letter_frame(number, result, splits)
        elif content != "alerts" and len(result.positions):
            make = packed_frame if content == "packed" else decision_frame
            yield text_frame(number, result.data) if content == "text" else make(number, result, splits)
    yield from alert_frames(result.alerts, batch, sinks, splits)


def alert_frames(alerts: list[Alert], batch: int, sinks: list[tuple[int, str]], splits: Splits) -> Iterator[bytes]:
    """Yield what the sinks get of alerts."""
    if not alerts:
        return
    for number, content in sinks:
        if content == "alerts":
            yield alert_frame(number, alerts, splits)
        elif content == "counts":
            yield opened_frame(number, alerts, batch)
