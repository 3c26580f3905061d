"""Answers beside the batch that was asked for, split by split, in the split's order.

Free of Flink, so that it can be tested without.
"""

from __future__ import annotations

from collections.abc import Iterable

from counterfoil.runtimes.engine.blob import Piece
from counterfoil.runtimes.engine.job import CARRIED
from counterfoil.runtimes.flink.log import entry_of, is_word, piece_of, unwrapped
from counterfoil.runtimes.flink.routes import outstanding_of


class Assembly:
    """Batches of one split that wait for answers; they leave in their order."""

    def __init__(self) -> None:
        self._next = 0
        self._pieces: dict[int, list[tuple[int, bytes]]] = {}
        self._outstanding: dict[int, int] = {}
        self._came: dict[int, int] = {}

    def rebuild(self, entries: Iterable[tuple[int, bytes]]) -> None:
        """Take over what the engine has kept: pieces by the number under which they were."""
        for number, entry in sorted(entries):
            self._note(number, piece_of(entry))
            self._next = number + 1

    def arrive(self, piece: Piece) -> tuple[int, bytes]:
        """Take a piece; return under which number, and as what, the engine must keep it."""
        number = self._next
        self._next += 1
        self._note(number, piece)
        return number, entry_of(piece)

    def _note(self, number: int, piece: Piece) -> None:
        batch, data = piece.batch, piece.data
        if is_word(piece):
            data = unwrapped(piece).data
            self._came[batch] = self._came.get(batch, 0) + 1
        elif piece.part <= CARRIED and batch not in self._outstanding and _is_batch(piece):
            self._outstanding[batch], data = outstanding_of(data)
        else:
            self._came[batch] = self._came.get(batch, 0) + 1
        self._pieces.setdefault(batch, []).append((number, data))

    def complete(self) -> tuple[int, list[int], list[bytes]] | None:
        """Return the next batch in order if it is whole: its number, what the engine may forget, and its pieces."""
        batch = next(iter(self._outstanding), None)
        if batch is None or self._came.get(batch, 0) < self._outstanding[batch]:
            return None
        del self._outstanding[batch]
        self._came.pop(batch, None)
        pieces = self._pieces.pop(batch)
        return batch, [number for number, _ in pieces], [data for _, data in pieces if data]


_BLOB = b"CFB1"


def _is_batch(piece: Piece) -> bool:
    """Return whether a piece is the batch itself and no answer: those are plain blobs."""
    return piece.data[:4] != _BLOB
