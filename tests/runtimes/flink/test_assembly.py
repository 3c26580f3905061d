from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.runtimes.engine.blob import Piece
from counterfoil.runtimes.engine.job import CARRIED, DUPLICATES, FIRST_SHARD
from counterfoil.runtimes.flink.assembly import Assembly
from counterfoil.runtimes.flink.log import word
from counterfoil.runtimes.flink.routes import addressed, asked_of


def _arrivals(draw: st.DrawFn) -> tuple[list[Piece], list[tuple[int, list[bytes]]]]:
    """What comes of some batches of a split, each way in its own order, and what is to leave."""
    carried: list[Piece] = []
    words: list[Piece] = []
    answers: dict[int, list[Piece]] = {1: [], 2: [], 3: []}
    expected = []
    for number in range(draw(st.integers(0, 5))):
        asked = sorted(draw(st.sets(st.sampled_from([1, 2, 3]))))
        dedupes = draw(st.booleans())
        pieces = [Piece(shard, number, b"feed") for shard in asked] + [
            Piece(CARRIED, number, b"CFB1 batch %d" % number)
        ]
        pieces += [Piece(DUPLICATES, number, b"ids")] if dedupes else []
        came = [b"CFB1 batch %d" % number]
        for piece in addressed(pieces, dedupes):
            if piece.part == CARRIED:
                carried.append(piece)
            elif piece.part == DUPLICATES:
                assert asked_of(piece.data) == (asked, b"ids")
                mask = draw(st.sampled_from([b"", b"CFB1 mask"]))
                words.append(word(Piece(CARRIED, number, mask)))
                came += [mask] if mask else []
        for shard in asked:
            answers[shard].append(Piece(CARRIED, number, b"CFB1 answer %d" % shard))
            came.append(b"CFB1 answer %d" % shard)
        expected.append((number, sorted(came)))
    queues = [carried, words, *answers.values()]
    found = []
    while any(queues):
        found.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return found, expected


@given(st.composite(_arrivals)(), st.integers(0, 30))
def test_batches_leave_whole_and_in_order_through_a_restart(
    drawn: tuple[list[Piece], list[tuple[int, list[bytes]]]], gone_after: int
) -> None:
    arrivals, expected = drawn
    assembly, left = Assembly(), []
    kept: dict[int, bytes] = {}
    for count, piece in enumerate(arrivals):
        if count == gone_after:
            assembly = Assembly()
            assembly.rebuild(kept.items())
        number, entry = assembly.arrive(piece)
        assert number not in kept
        kept[number] = entry
        while (done := assembly.complete()) is not None:
            batch, numbers, pieces = done
            for each in numbers:
                del kept[each]
            left.append((batch, sorted(pieces)))
    assert left == expected
    assert not kept


def test_nothing_is_asked_of_nobody() -> None:
    [piece] = addressed([Piece(CARRIED, 4, b"CFB1")], dedupes=True)
    assembly = Assembly()
    assembly.arrive(piece)
    assert assembly.complete() == (4, [0], [b"CFB1"])
    assert FIRST_SHARD == 1
