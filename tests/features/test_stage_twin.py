"""All aggregations at once against their slow twin: what shares tracks, batches and shards does not disturb the others.

Each aggregation by itself, with SQL as the third voice, is in ``aggregations/``.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.features.definition import AggregateFeature
from tests.features.harness import SECOND, WINDOWS, Arrival, World, assert_equal, histories


def aggregates() -> list[AggregateFeature]:
    """Every aggregation in many forms, side by side, so that they share tracks, totals and edges."""
    arguments = {
        "count": (),
        "sum": ("tip",),
        "mean": ("amount",),
        "std": ("amount",),
        "min": ("tip",),
        "max": ("amount",),
        "distinct": ("shop",),
        "share": ("flag",),
        "frequency": ("shop",),
        "rate": ("flag",),
    }
    features: list[AggregateFeature] = []
    for name, argument in arguments.items():
        for number, options in enumerate(
            (
                {},
                {"over": WINDOWS},
                {"over": WINDOWS, "prior": True},
                {"over": WINDOWS, "where": "flag"},
                {"over": WINDOWS, "delay": 7 * SECOND},
                {"where": "flag", "prior": True},
            )
        ):
            features.append(AggregateFeature(f"{name}_{number}", name, "payment", argument, "card", **options))  # type: ignore[arg-type]
    for name in ("count", "sum", "mean", "std", "share", "rate"):
        features.append(
            AggregateFeature(f"{name}_cut", name, "payment", arguments[name], "card", WINDOWS, resolution=5 * SECOND)
        )
        features.append(
            AggregateFeature(
                f"{name}_cut_prior",
                name,
                "payment",
                arguments[name],
                "card",
                WINDOWS,
                prior=True,
                resolution=5 * SECOND,
            )
        )
    position = ("latitude", "longitude")
    features += [
        AggregateFeature("weight_sum", "sum", "payment", ("weight",), "card", WINDOWS),
        AggregateFeature("weight_mean", "mean", "payment", ("weight",), "card", WINDOWS),
        AggregateFeature("weight_std", "std", "payment", ("weight",), "card", WINDOWS),
        AggregateFeature("weight_min", "min", "payment", ("weight",), "card", WINDOWS),
        AggregateFeature("weight_max", "max", "payment", ("weight",), "card"),
        AggregateFeature("last_shop", "last", "payment", ("shop",), "card"),
        AggregateFeature("last_flagged", "last", "payment", ("shop",), "card", where="flag"),
        AggregateFeature("since", "time_since", "payment", (), "card"),
        AggregateFeature("since_change", "time_since", "change", (), "card"),
        AggregateFeature("changes", "count", "change", (), "card", WINDOWS),
        AggregateFeature("kinds_of_change", "distinct", "change", ("what",), "card", WINDOWS),
        AggregateFeature("usual_change", "frequency", "change", ("what",), "card", WINDOWS),
        AggregateFeature("age", "age", "payment", (), "card"),
        AggregateFeature("age_prior", "age", "payment", (), "card", prior=True),
        AggregateFeature("distance", "distance", "payment", position, "card"),
        AggregateFeature("speed", "speed", "payment", position, "card"),
        AggregateFeature("pair", "sum", "payment", ("amount",), "pair", WINDOWS),
        AggregateFeature("paid_to", "sum", "payment", ("amount",), "card", WINDOWS, via=("shop",)),
        AggregateFeature("shoppers", "distinct", "payment", ("card",), "shop", WINDOWS),
    ]
    return features


WORLD = World(*aggregates())
LARGE_WORLD = World(*(each for each in aggregates() if each.over))


@settings(max_examples=40)
@given(histories(50), st.sampled_from([1, 7, 1000]), st.sampled_from([1, 3]))
def test_kernel_equals_twin(history: list[Arrival], batch_size: int, shards: int) -> None:
    assert_equal(WORLD.kernel(history, batch_size, shards), WORLD.twin(history))


PUNCTUAL = World(*aggregates(), lateness=0)
PATIENT = World(*aggregates(), lateness=10**6 * SECOND)


@pytest.mark.parametrize("world", [PUNCTUAL, PATIENT], ids=["punctual", "patient"])
@settings(max_examples=15)
@given(history=histories(50))
def test_lateness_of_nothing_and_of_any_length(world: World, history: list[Arrival]) -> None:
    assert_equal(world.kernel(history, 7), world.twin(history))


def stream(disorder: float, size: int, span: int) -> list[Arrival]:
    """Return payments of one card over a number of seconds, shuffled by up to ``disorder`` seconds."""
    random = np.random.default_rng(size + round(disorder))
    clock = np.sort(random.integers(0, span * SECOND, size))
    shuffled = clock + (random.uniform(-disorder, disorder, size) * SECOND).astype(np.int64)
    return [
        Arrival(
            "payment",
            int(time),
            {
                "card": 1,
                "shop": int(random.integers(1, 40)),
                "amount": int(random.integers(1, 10_000)),
                "tip": None if random.random() < 0.2 else int(random.integers(0, 100)),
                "weight": float(random.normal()),
                "flag": int(random.integers(0, 2)),
                "latitude": float(random.uniform(-80, 80)),
                "longitude": float(random.uniform(-170, 170)),
            },
        )
        for time in shuffled
    ]


@pytest.mark.parametrize("disorder", [0, 5, 40])
def test_hot_key_equals_twin(disorder: float) -> None:
    """Long beyond the horizon: rings are trimmed and reused, with 100 to 200 events in use."""
    WORLD.agree_on_some(stream(disorder, 1_500, 900), every=10)


@pytest.mark.parametrize("disorder", [0, 40])
def test_large_rings_equal_twin(disorder: float) -> None:
    """More than 4,096 events in use at once: rings of several large blocks, with late events among them."""
    LARGE_WORLD.agree_on_some(stream(disorder, 6_000, 110), every=400)
