from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.runtimes.engine.blob import Array, Piece
from counterfoil.runtimes.engine.job import position_of
from counterfoil.runtimes.flink.log import LoggedPart, Waiting, entry_of, piece_of, word


class Sum:
    """A part that adds up lengths, and remembers in which order batches came."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.masks = 0

    def feed(self, pieces: Sequence[Piece]) -> list[Piece]:
        self.seen.append(pieces[0].batch)
        self.masks += len(pieces) - 1
        return [Piece(-1, pieces[0].batch, b"%d" % sum(self.seen))]

    def snapshot(self) -> dict[str, Array]:
        return {"seen": np.array(self.seen, np.int64), "masks": np.array([self.masks], np.int64)}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        self.seen = arrays["seen"].tolist()
        self.masks = int(arrays["masks"][0])


class Listed:
    """Flink's list state."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.updates = 0

    def get(self) -> list[bytes]:
        return self.entries

    def add(self, value: bytes) -> None:
        self.entries.append(value)

    def update(self, values: list[bytes]) -> None:
        self.entries = list(values)
        self.updates += 1


@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(0, 40), st.integers(1, 400))
def test_a_part_goes_on_as_if_it_had_never_been_gone(batches: list[int], gone_after: int, least: int) -> None:
    whole, kept = Listed(), Listed()
    one, other = LoggedPart(Sum, least=1 << 30), LoggedPart(Sum, least=least)
    for number, batch in enumerate(batches):
        if number == gone_after:
            other = LoggedPart(Sum, least=least)
            other.rebuild(kept)
        piece = Piece(3, batch, b"x" * (batch % 50))
        assert one.feed(whole, piece) == other.feed(kept, piece)
    assert whole.updates == 0


def test_a_long_log_gives_way_to_a_snapshot() -> None:
    state, part = Listed(), LoggedPart(Sum, least=1_000)
    for batch in range(100):
        part.feed(state, Piece(0, batch, b"x" * 100))
    assert state.updates > 3
    assert sum(map(len, state.entries)) < 5_000


def _arrivals(draw: st.DrawFn) -> list[Piece]:
    """Feeds of two splits in their order, and words in theirs, interleaved in any way."""
    queues = []
    for split in range(2):
        batches = [position_of(split, 10 * number) for number in range(draw(st.integers(0, 6)))]
        queues.append([Piece(1, batch, b"CFB1 feed") for batch in batches])
        queues.append([word(Piece(1, batch, b"mask" if batch % 20 else b"")) for batch in batches])
    found = []
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        found.append(queue.pop(0))
    return found


@given(st.composite(_arrivals)())
def test_feeds_wait_for_their_word_and_keep_the_order_of_their_split(arrivals: list[Piece]) -> None:
    waiting, fed = Waiting(), []
    for piece in arrivals:
        fed += waiting.arrive(piece)
    assert not waiting.pieces()
    for split in range(2):
        own = [group[0].batch for group in fed if group[0].batch >> 40 == split]
        assert own == sorted(own)
    assert len(fed) == len(arrivals) // 2
    assert all((len(group) == 2) == bool(group[0].batch % 20) for group in fed)


@given(st.composite(_arrivals)(), st.integers(0, 24), st.integers(1, 300))
def test_what_waits_survives_too(arrivals: list[Piece], gone_after: int, least: int) -> None:
    whole, kept = Listed(), Listed()
    one, other = LoggedPart(Sum, waits=True, least=1 << 30), LoggedPart(Sum, waits=True, least=least)
    for number, piece in enumerate(arrivals):
        if number == gone_after:
            other = LoggedPart(Sum, waits=True, least=least)
            other.rebuild(kept)
        assert one.feed(whole, piece) == other.feed(kept, piece)


def test_an_entry_is_its_piece() -> None:
    piece = Piece(-3, position_of(7, 12), bytes(range(256)))
    assert piece_of(entry_of(piece)) == piece
