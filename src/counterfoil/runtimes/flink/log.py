"""The state of a part as Flink keeps it: an event-sourced log, and what is made of it in memory.

Flink's list holds entries. The first are chunks of a snapshot, the others what came since, in the order in which it
came. A part in memory is a cache of that: it is made again from the list after a restore, wherever it then runs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from counterfoil.runtimes.engine.blob import Piece
from counterfoil.runtimes.engine.job import place_of
from counterfoil.runtimes.engine.parts import Part as EnginePart
from counterfoil.runtimes.engine.parts import compaction_due, restore_chunks, snapshot_chunks

LOG_BYTES = 64 << 20
"""A log below this never gives way to a snapshot. It is short, because Flink's default backend writes the whole log
with every checkpoint."""
_ENTRY = struct.Struct("<qqq")
_SNAPSHOT = -1


class ListState(Protocol):
    """What is used of Flink's list state."""

    def get(self) -> Iterable[bytes] | None:
        """Return the entries."""
        ...

    def add(self, value: bytes, /) -> None:
        """Append one."""
        ...

    def update(self, values: list[bytes], /) -> None:
        """Put others in the place of all."""
        ...


def entry_of(piece: Piece) -> bytes:
    """Return a piece as an entry of a log.

    Examples
    --------
    >>> piece_of(entry_of(Piece(3, 17, b"data")))
    Piece(part=3, batch=17, data=b'data')
    """
    return _ENTRY.pack(0, piece.part, piece.batch) + piece.data


def piece_of(entry: bytes) -> Piece:
    """Return the piece of an entry."""
    _, part, batch = _ENTRY.unpack_from(entry)
    return Piece(part, batch, entry[_ENTRY.size :])


class LoggedPart:
    """A part with its log.

    Parameters
    ----------
    make
        Makes an empty part.
    waits
        Whether pieces wait for one another, see ``Waiting``: those that do belong to the state, too.
    least
        Bytes of log below which there is no snapshot.
    """

    def __init__(self, make: Callable[[], EnginePart], waits: bool = False, least: int = LOG_BYTES) -> None:
        self._part = make()
        self._waiting = Waiting() if waits else None
        self._least = least
        self._log_bytes = 0
        self._snapshot_bytes = 0

    def rebuild(self, state: ListState) -> None:
        """Take over what the engine has kept."""
        chunks: list[bytes] = []
        for entry in state.get() or ():
            kind, _, _ = _ENTRY.unpack_from(entry)
            if kind == _SNAPSHOT:
                chunks.append(entry[_ENTRY.size :])
                self._snapshot_bytes += len(entry)
                continue
            self._restore(chunks)
            self._log_bytes += len(entry)
            self._feed(piece_of(entry))
        self._restore(chunks)

    def _restore(self, chunks: list[bytes]) -> None:
        if chunks:
            restore_chunks(self._part, chunks)
            chunks.clear()

    def feed(self, state: ListState, piece: Piece) -> list[Piece]:
        """Take a piece, note it, and return the answers."""
        entry = entry_of(piece)
        state.add(entry)
        self._log_bytes += len(entry)
        answers = self._feed(piece)
        if compaction_due(self._log_bytes, self._snapshot_bytes, self._least):
            self._compact(state)
        return answers

    def _feed(self, piece: Piece) -> list[Piece]:
        if self._waiting is None:
            return self._part.feed([piece])
        return [answer for group in self._waiting.arrive(piece) for answer in self._part.feed(group)]

    def _compact(self, state: ListState) -> None:
        entries = [_ENTRY.pack(_SNAPSHOT, 0, 0) + chunk for chunk in snapshot_chunks(self._part)]
        self._snapshot_bytes = sum(map(len, entries))
        kept = [] if self._waiting is None else [entry_of(piece) for piece in self._waiting.pieces()]
        self._log_bytes = sum(map(len, kept))
        state.update(entries + kept)


class Waiting:
    """Feeds of a shard that wait for the word on duplicates: a batch is fed when it is known which rows drop out.

    Feeds of a split come in its order, and so do the words. What comes from another split passes by.
    """

    def __init__(self) -> None:
        self._feeds: dict[int, dict[int, Piece]] = {}
        self._words: dict[int, Piece] = {}

    def arrive(self, piece: Piece) -> list[list[Piece]]:
        """Take a feed or a word and return what may be fed now, batch by batch."""
        split, _ = place_of(piece.batch)
        feeds = self._feeds.setdefault(split, {})
        if is_word(piece):
            self._words[piece.batch] = piece
        else:
            feeds[piece.batch] = piece
        ready: list[list[Piece]] = []
        while feeds and (first := next(iter(feeds))) in self._words:
            word = unwrapped(self._words.pop(first))
            ready.append([feeds.pop(first)] + ([word] if word.data else []))
        return ready

    def pieces(self) -> list[Piece]:
        """Return everything that waits."""
        return [each for feeds in self._feeds.values() for each in feeds.values()] + list(self._words.values())


_WORD = b"CFW1"


def word(piece: Piece) -> Piece:
    """Return a mask, or nothing, as the word on the duplicates of a batch."""
    return Piece(piece.part, piece.batch, _WORD + piece.data)


def is_word(piece: Piece) -> bool:
    """Return whether a piece is the word on the duplicates of a batch."""
    return piece.data[:4] == _WORD


def unwrapped(piece: Piece) -> Piece:
    """Return the mask of a word; its data are empty where there are no duplicates."""
    return Piece(piece.part, piece.batch, piece.data[len(_WORD) :])
