from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.events.batch import Batch
from counterfoil.events.duplicates import Duplicates
from counterfoil.events.kinds import EventKind, Schema

SCHEMA = Schema((EventKind("payment", (), "id", "at", decide=True),))
SPAN = 100

Event = tuple[int, int]
"""Identity and time; the position is the place in the list."""


def batch_of(events: list[Event], first_position: int = 0) -> Batch:
    batch = Batch.empty(SCHEMA, len(events))
    batch.identity[:] = [identity for identity, _ in events]
    batch.time[:] = [time for _, time in events]
    batch.position += first_position
    return batch


def marked(duplicates: Duplicates, events: list[Event], size: int = 1_000, first: int = 0) -> list[int | None]:
    """Return for each event the position of the one that it repeats."""
    result: list[int | None] = []
    for start in range(0, len(events), size):
        batch = batch_of(events[start : start + size], first + start)
        found = duplicates.mark(batch)
        if found is None:
            result += [None] * len(batch)
        else:
            again, firsts = found
            result += [int(at) if is_again else None for is_again, at in zip(again, firsts, strict=True)]
    return result


def twin(events: list[Event], span: int = SPAN) -> list[int | None]:
    """Remember every identity with the stream's clock at its arrival: the obvious way."""
    known: dict[int, tuple[int, int]] = {}
    clock: int | None = None
    result: list[int | None] = []
    for position, (identity, time) in enumerate(events):
        before = known.get(identity)
        if identity and before is not None and clock is not None and clock - before[0] <= span:
            result.append(before[1])
            continue
        clock = time if clock is None else max(clock, time)
        known[identity] = clock, position
        result.append(None)
    return result


histories = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 500)), max_size=60)


@settings(max_examples=150)
@given(histories, st.sampled_from([1, 7, 1_000]), st.booleans())
def test_equals_its_twin(events: list[Event], size: int, in_order: bool) -> None:
    if in_order:
        events = sorted(events, key=lambda each: each[1])
    assert marked(Duplicates(SPAN), events, size) == twin(events)


def test_names_the_event_that_was_first() -> None:
    assert marked(Duplicates(SPAN), [(5, 0), (6, 1), (5, 2), (5, 3)]) == [None, None, 0, 0]


def test_the_span_is_stream_time_and_its_end_is_in_it() -> None:
    assert marked(Duplicates(SPAN), [(1, 0), (2, 100), (1, 100)]) == [None, None, 0]
    assert marked(Duplicates(SPAN), [(1, 0), (2, 101), (1, 101)]) == [None, None, None]


def test_a_repeat_does_not_move_the_clock() -> None:
    """Else a wrong time on a repeated event would let others through."""
    assert marked(Duplicates(SPAN), [(1, 0), (2, 0), (1, 9_999), (2, 50)]) == [None, None, 0, 1]


def test_events_without_an_id_are_never_duplicates() -> None:
    assert marked(Duplicates(SPAN), [(0, 1), (0, 1)]) == [None, None]


def test_no_span_lets_everything_through() -> None:
    assert marked(Duplicates(0), [(1, 1), (1, 1)]) == [None, None]


def test_an_empty_batch() -> None:
    assert Duplicates(SPAN).mark(batch_of([])) is None


def test_memory_follows_what_is_within_the_span() -> None:
    duplicates = Duplicates(SPAN)
    sizes = []
    for start in range(0, 200_000, 5_000):
        batch = batch_of([(1 + at, at // 50) for at in range(start, start + 5_000)], start)
        assert duplicates.mark(batch) is None
        sizes.append(len(duplicates.snapshot()["log"]))
    # 100 of stream time hold 5,000 identities of three words.
    assert sizes[-1] == sizes[5]
    assert sizes[-1] <= 3 * 5_100
    assert marked(duplicates, [(199_990, 4_000), (150_000, 4_000)], first=200_000) == [199_989, None]


@settings(max_examples=30)
@given(histories, histories)
def test_a_restored_memory_goes_on(before: list[Event], after: list[Event]) -> None:
    one, other = Duplicates(SPAN), Duplicates(SPAN)
    marked(one, before)
    marked(other, after)
    other.restore(**{name: np.array(array) for name, array in one.snapshot().items()})
    assert marked(other, after, first=len(before)) == marked(one, after, first=len(before))
    assert all(np.array_equal(array, other.snapshot()[name]) for name, array in one.snapshot().items())
