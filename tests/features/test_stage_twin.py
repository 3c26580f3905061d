"""The stage kernel against its slow twin: the same value on every event, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.detector import Detector
from counterfoil.events.batch import Batch
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.aggregations import Value
from counterfoil.features.definition import AggregateFeature, Entity, Window
from counterfoil.features.twin import Event, Twin
from counterfoil.program import Program
from counterfoil.rules.types import Base

SECOND = 1_000_000
WINDOWS = (Window("10s", 10 * SECOND), Window("60s", 60 * SECOND))

FIELDS = (
    Field("card", FieldType.INTEGER),
    Field("shop", FieldType.INTEGER),
    Field("amount", FieldType.MONEY, required=True),
    Field("tip", FieldType.MONEY),
    Field("weight", FieldType.FLOAT),
    Field("flag", FieldType.BOOL),
    Field("latitude", FieldType.FLOAT),
    Field("longitude", FieldType.FLOAT),
)
PAYMENT = EventKind("payment", FIELDS, None, "at", decide=True)
CHANGE = EventKind("change", (Field("card", FieldType.INTEGER), Field("what", FieldType.INTEGER)), None, "at")
NAMES = tuple(dict.fromkeys(each.name for each in (*PAYMENT.fields, *CHANGE.fields)))


def aggregates() -> tuple[AggregateFeature, ...]:
    """Every aggregation, with and without windows, ``where``, ``prior``, ``delay`` and ``resolution``."""
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
                f"{name}_cut_prior", name, "payment", arguments[name], "card", WINDOWS, prior=True,
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
    return tuple(features)


DETECTOR = Detector(
    "twin",
    Schema((PAYMENT, CHANGE)),
    (Entity("card", ("card",)), Entity("pair", ("card", "shop")), Entity("shop", ("shop",))),
    aggregates(),
    max_lateness=30 * SECOND,
)


@dataclass(frozen=True)
class Arrival:
    """One event as a test makes it."""

    kind: str
    time: int
    fields: Event


def batch_of(arrivals: Sequence[Arrival]) -> Batch:
    """Return the arrivals as a batch."""
    batch = Batch.empty(DETECTOR.schema, len(arrivals))
    floats = batch.values.view(np.float64)
    for row, arrival in enumerate(arrivals):
        batch.kind[row] = DETECTOR.schema.kind_index[arrival.kind]
        batch.time[row] = arrival.time
        for column, field in enumerate(DETECTOR.schema.columns):
            value = arrival.fields.get(field.name)
            if value is not None:
                batch.nulls[column, row] = 0
                if field.type is FieldType.FLOAT:
                    floats[column, row] = value
                else:
                    batch.values[column, row] = value
    return batch


def values_of(program: Program, arrivals: Sequence[Arrival], batch_size: int) -> list[dict[str, Value]]:
    """Return the features of every decided arrival."""
    result: list[dict[str, Value]] = []
    for start in range(0, len(arrivals), batch_size):
        decided = program.process(batch_of(arrivals[start : start + batch_size]))
        floats = decided.features.view(np.float64)
        for column in range(len(decided)):
            result.append(
                {
                    name: None
                    if decided.feature_nulls[row, column]
                    else float(floats[row, column])
                    if kind.base is Base.FLOAT
                    else int(decided.features[row, column])
                    for row, (name, kind) in enumerate(zip(program.feature_names, program.feature_types, strict=True))
                }
            )
    return result


def evaluate(expression: str, event: Event) -> Value:
    """Evaluate an expression: in these tests they are names of fields."""
    return event.get(expression)


def twin_values(arrivals: Sequence[Arrival]) -> list[dict[str, Value]]:
    """Return the slow twin's features of every decided arrival."""
    twin = Twin(DETECTOR, evaluate, {"amount": 2, "tip": 2})
    answers = [(arrival, twin.update(arrival.kind, arrival.time, arrival.fields)) for arrival in arrivals]
    return [answer for arrival, answer in answers if arrival.kind == "payment"]


def assert_equal(got: list[dict[str, Value]], expected: list[dict[str, Value]]) -> None:
    """Hold whole numbers to equality and floats to a rounding error."""
    assert len(got) == len(expected)
    for row, (one, other) in enumerate(zip(got, expected, strict=True)):
        for name, value in other.items():
            if isinstance(value, float) and one[name] is not None:
                assert one[name] == pytest.approx(value, rel=1e-9, abs=1e-9), (row, name)
            else:
                assert one[name] == value, (row, name)


payments = st.fixed_dictionaries(
    {
        "card": st.one_of(st.none(), st.integers(1, 3)),
        "shop": st.one_of(st.none(), st.integers(1, 4)),
        "amount": st.integers(0, 100_000),
        "tip": st.one_of(st.none(), st.integers(0, 500)),
        "weight": st.one_of(st.none(), st.floats(-1e6, 1e6)),
        "flag": st.one_of(st.none(), st.integers(0, 1)),
        "latitude": st.one_of(st.none(), st.floats(-90, 90)),
        "longitude": st.one_of(st.none(), st.floats(-180, 180)),
    }
)
changes = st.fixed_dictionaries(
    {"card": st.one_of(st.none(), st.integers(1, 3)), "what": st.one_of(st.none(), st.integers(1, 3))}
)
times = st.one_of(st.integers(0, 120).map(lambda each: each * SECOND), st.integers(0, 120 * SECOND))
arrivals = st.one_of(
    st.builds(Arrival, st.just("payment"), times, payments),
    st.builds(Arrival, st.just("payment"), times, payments),
    st.builds(Arrival, st.just("change"), times, changes),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(arrivals, max_size=60), st.sampled_from([1, 7, 1000]), st.sampled_from([1, 3]), st.booleans())
def test_kernel_equals_twin(events: list[Arrival], batch_size: int, shards: int, in_order: bool) -> None:
    if in_order:
        events = sorted(events, key=lambda each: each.time)
    program = Program(DETECTOR, shards=shards, state_bytes=1 << 24)
    assert_equal(values_of(program, events, batch_size), twin_values(events))


@pytest.mark.parametrize("disorder", [0, 5, 40])
def test_hot_key_equals_twin(disorder: int) -> None:
    random = np.random.default_rng(disorder)
    clock = np.sort(random.integers(0, 900 * SECOND, 1_500))
    shuffled = clock + random.integers(-disorder, disorder + 1, len(clock)) * SECOND
    events = [
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
    assert_equal(values_of(Program(DETECTOR, state_bytes=1 << 26), events, 256), twin_values(events))
