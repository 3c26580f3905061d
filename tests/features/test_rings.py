"""What rings are made of; whole rings are held against their twin in ``test_stage_twin.py``."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.definition.limits import MAX_FEATURES
from counterfoil.features import layout
from counterfoil.features.definition import AggregateFeature, Window
from counterfoil.features.rings import bound
from counterfoil.program import Program
from tests.features.harness import SECOND, World, assert_equal, batch_of, payment, values_of


@settings(max_examples=60)
@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=64).map(sorted),
    st.integers(0, 200),
    st.integers(-5, 300),
    st.integers(-25, 25),
)
def test_bound_is_bisection_from_any_guess(times: list[int], first: int, guess: int, time: int) -> None:
    stride, capacity = 2, 64
    arena = np.zeros(3 + stride * capacity, np.int64)
    for sequence, each in enumerate(times, first):
        arena[3 + (sequence & (capacity - 1)) * stride] = each
    place = bound(arena, 3, capacity - 1, stride, guess, first, first + len(times), time)
    assert place == first + bisect_right(times, time)


COUNT = AggregateFeature("n", "count", "payment", (), "card", (Window("10s", 10 * SECOND),))
DISTINCT = AggregateFeature("shops", "distinct", "payment", ("shop",), "card", (Window("10s", 10 * SECOND),))
USUAL = AggregateFeature("usual", "frequency", "payment", ("shop",), "card", (Window("10s", 10 * SECOND),))


def ring_power(program: Program) -> int:
    """Return the binary logarithm of the capacity of the first card's first ring."""
    plan = program.stages.plans[0]
    ring = program.snapshot()["card/0/arena"][layout.ARENA_START + plan.tracks[0, layout.TRACK_RECORD] + layout.RING]
    return int(ring) & ((1 << layout.RING_SHIFT) - 1)


def test_a_long_stream_keeps_its_ring_small() -> None:
    """Ten seconds and thirty of lateness at two payments a second: 80 of 5,000 are needed, rings are powers of two."""
    world = World(COUNT)
    history = [payment(number / 2) for number in range(5_000)]
    program = world.program()
    assert values_of(program, history, 64)[-1] == {"n_10s": 20}
    assert 1 << ring_power(program) <= 4 * 80
    arena = len(program.snapshot()["card/0/arena"])
    program.process(batch_of([payment(2_500 + number / 2) for number in range(5_000)], 5_000))
    assert len(program.snapshot()["card/0/arena"]) == arena


def test_freed_rings_are_used_again() -> None:
    """Each card outgrows its first rings; the next card takes them."""
    world = World(COUNT)
    program = world.program()
    grown = []
    for card in range(1, 40):
        program.process(batch_of([payment(number / 100, card=card) for number in range(100)], 100 * card))
        grown.append(len(program.snapshot()["card/0/arena"]))
    steps = np.diff(grown)
    largest = int(program.stages.plans[0].tracks[0, layout.TRACK_STRIDE]) << ring_power(program)
    record = program.stages.plans[0].record_words
    # Only its record and the ring that each card still holds are new; the smaller ones came from the card before.
    assert steps.max() <= largest + record + 7


def test_the_map_of_values_forgets_what_left_the_rings() -> None:
    """Every shop is new: without removal the map would hold all of them."""
    world = World(DISTINCT, USUAL)
    program = world.program()
    history = [payment(number / 2, shop=number) for number in range(4_000)]
    got = values_of(program, history, 50)
    assert got[-1] == {"shops_10s": 20, "usual_10s": 1 / 20}
    block = int(program.snapshot()["card/0/arena"][layout.ARENA_START + layout.RECORD_VALUES])
    assert program.snapshot()["card/0/arena"][block >> layout.RING_SHIFT] < 600


def test_entities_that_stay_away_are_exact_when_they_return() -> None:
    world = World(COUNT, DISTINCT, USUAL)
    history = [payment(at, shop=at % 3) for at in range(40)] + [payment(at, shop=1) for at in (5_000, 5_004, 9_999)]
    assert_equal(world.kernel(history), world.twin(history))


def test_as_many_features_as_a_definition_may_have() -> None:
    """Each with a window, a delay and a tally of its own, all in one ring."""
    features = [
        AggregateFeature(
            f"usual_{number}",
            "frequency",
            "payment",
            ("shop",),
            "card",
            tuple(Window(f"{length}", length * SECOND) for length in range(32 * number + 1, 32 * number + 33)),
            delay=number,
        )
        for number in range(MAX_FEATURES // 32)
    ]
    world = World(*features)
    history = [payment(number, shop=number % 3) for number in range(8)]
    assert_equal(world.kernel(history, batch_size=3), world.twin(history))
