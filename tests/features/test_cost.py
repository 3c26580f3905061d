from __future__ import annotations

import numpy as np
import pytest

from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector
from counterfoil.events.batch import Batch
from counterfoil.features import index, pairs
from counterfoil.features.cost import StageCost, feature_costs
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Window
from counterfoil.program import Program
from tests.features.harness import SECOND, WINDOWS, World

HOUR = (Window("1h", 3_600 * SECOND),)


def world() -> Detector:
    return World(
        AggregateFeature("spend", "sum", "payment", ("amount",), "card", WINDOWS),
        AggregateFeature("mean", "mean", "payment", ("amount",), "card", WINDOWS),
        AggregateFeature("n", "count", "payment", (), "card", HOUR),
        AggregateFeature("shops", "distinct", "payment", ("shop",), "card", HOUR),
        AggregateFeature("highest", "max", "payment", ("tip",), "card", HOUR),
        AggregateFeature("changes", "count", "change", (), "card", HOUR),
        AggregateFeature("received", "sum", "payment", ("tip",), "card", HOUR, via=("shop",)),
        DerivedFeature("ratio", "amount / nullif(mean_10s, 0)"),
    ).detector


def test_what_is_shared_costs_nothing_by_itself() -> None:
    costs = {each.name: each for each in feature_costs(world()).features}
    assert "ratio" not in costs
    # The mean of a required field is the sum by the number of entries, over the same edges.
    assert (costs["mean"].bytes_per_entity, costs["mean"].bytes_per_event) == (0, 0)
    assert "spend" in costs["mean"].shared_with
    assert costs["mean"].outputs == ("mean_10s", "mean_60s")
    # A count adds its edge, and no word to an entry.
    assert costs["n"].bytes_per_event == 0
    assert costs["shops"].bytes_per_value > 0
    assert costs["received"].stage == "card<shop"
    assert costs["received"].shared_with == ()


def test_a_kind_of_its_own_has_a_ring_of_its_own() -> None:
    costs = {each.name: each for each in feature_costs(world()).features}
    # An entry is its time alone; a ring begins with four, and the record holds four words and an edge.
    assert costs["changes"].bytes_per_event == 8
    assert costs["changes"].bytes_per_entity == 8 * (4 + 4 + 1)
    assert costs["changes"].shared_with == ()


def test_own_costs_are_within_the_stage() -> None:
    costs = feature_costs(load_detector("payments"))
    for stage in costs.stages:
        members = [each for each in costs.features if each.stage == stage.name]
        assert stage.features == tuple(each.name for each in members)
        assert 0 <= sum(each.bytes_per_entity for each in members) <= stage.bytes_per_entity
        assert all(each.bytes_per_event >= 0 for each in members)
        assert sum(each.bytes_per_event for each in members) <= sum(stage.bytes_per_event.values())


def test_a_stage_costs_what_its_plan_says() -> None:
    detector = load_detector("payments")
    names = [kind.name for kind in detector.schema.kinds]
    program = Program(detector, state_bytes=1 << 24)
    for stage, plan in zip(feature_costs(detector).stages, program.stages.plans, strict=True):
        assert stage.name == plan.name
        assert stage.bytes_per_entity == plan.bytes_per_entity
        assert stage.bytes_per_event == {names[kind]: size for kind, size in plan.bytes_per_event.items()}


def payments_of(cards: int, each: int) -> Batch:
    """Return so many payments of so many cards, round after round, each in a shop of its card's."""
    batch = Batch.empty(world().schema, cards * each)
    batch.time[:] = np.arange(cards * each) * 1_000
    for name, values in (
        ("card", 1 + np.arange(cards * each) % cards),
        ("shop", 1_000_000 + np.arange(cards * each) % cards),
        ("amount", np.arange(cards * each)),
        ("tip", np.arange(cards * each)),
    ):
        column = batch.schema.column_index[name]
        batch.values[column] = values
        batch.nulls[column] = 0
    return batch


def grown(program: Program, stage: StageCost, part: str) -> int:
    return len(program.snapshot()[f"{stage.name}/0/{part}"]) * 8


@pytest.mark.parametrize(("cards", "each"), [(5_000, 1), (5_000, 3), (2_000, 10), (300, 100)])
def test_estimates_against_the_state_that_grows(cards: int, each: int) -> None:
    """Records and rings as estimated; rings outgrown add up to as much again, and tables may be half empty."""
    detector = world()
    stage = feature_costs(detector).stages[0]
    program = Program(detector, state_bytes=1 << 30)
    program.process(payments_of(cards, each))
    # Each card has one value: a block of four.
    estimate = cards * (stage.bytes_of({"payment": each}) + 8 * int(pairs.block_words(np.int64(pairs.FIRST))))
    records_and_rings = grown(program, stage, "arena")
    table = cards * round(16 / index.FILL_MAX)
    assert estimate - table <= records_and_rings + 1_024 <= 2.05 * estimate
    # Tables are made large enough for whatever a batch may bring: every event a new card and a new value.
    most = 2 * cards * each
    assert cards * 16 <= grown(program, stage, "table") <= 2 * max(table + most * 16 / index.FILL_MAX, 16 * 1_024)


def test_a_ring_in_use_is_never_more_than_twice_its_events() -> None:
    stage = feature_costs(world()).stages[0]
    record = stage.bytes_of({})
    for each in range(4, 600):
        rings = stage.bytes_of({"payment": each}) - record
        entries = each * stage.bytes_per_event["payment"]
        assert entries < rings <= 2.1 * entries, each
