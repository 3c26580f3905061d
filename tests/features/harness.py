"""What the tests of features share: a small world of payments, and its features from kernel, twin and SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import strategies as st

from counterfoil.detector import Detector
from counterfoil.events.batch import Batch
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.aggregations import Value
from counterfoil.features.definition import AggregateFeature, Entity, Feature, Window
from counterfoil.features.sql import to_sql, to_tables
from counterfoil.features.twin import Event, Twin
from counterfoil.program import Program
from counterfoil.rules.types import Base, ValueType

SECOND = 1_000_000
WINDOWS = (Window("10s", 10 * SECOND), Window("60s", 60 * SECOND))
LATENESS = 30 * SECOND

PAYMENT = EventKind(
    "payment",
    (
        Field("card", FieldType.INTEGER),
        Field("shop", FieldType.INTEGER),
        Field("amount", FieldType.MONEY, required=True),
        Field("tip", FieldType.MONEY),
        Field("weight", FieldType.FLOAT),
        Field("flag", FieldType.BOOL),
        Field("latitude", FieldType.FLOAT),
        Field("longitude", FieldType.FLOAT),
    ),
    None,
    "at",
    decide=True,
)
CHANGE = EventKind("change", (Field("card", FieldType.INTEGER), Field("what", FieldType.INTEGER)), None, "at")
SCHEMA = Schema((PAYMENT, CHANGE))
ENTITIES = (Entity("card", ("card",)), Entity("pair", ("card", "shop")), Entity("shop", ("shop",)))
SCALES = {"amount": 2, "tip": 2}
EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Arrival:
    """One event as a test makes it."""

    kind: str
    time: int
    fields: Event


Features = list[dict[str, Value]]
"""The features of every decided event."""


def payment(time: float, card: int | None = 1, **fields: Value) -> Arrival:
    """Return a payment at a number of seconds."""
    return Arrival("payment", round(time * SECOND), {"card": card, "amount": 100, **fields})


def change(time: float, card: int | None = 1, what: int | None = 1) -> Arrival:
    """Return an event of the kind that only feeds state."""
    return Arrival("change", round(time * SECOND), {"card": card, "what": what})


class World:
    """Some features over payments and changes, computed three ways.

    Parameters
    ----------
    features
        What to compute.
    lateness
        The detector's ``max_lateness``.
    """

    def __init__(self, *features: Feature, lateness: int = LATENESS) -> None:
        self.detector = Detector("world", SCHEMA, ENTITIES, features, max_lateness=lateness, dedupe=0)

    @cached_property
    def _programs(self) -> dict[int, tuple[Program, Mapping[str, Any]]]:
        return {}

    def program(self, shards: int = 1) -> Program:
        """Return a program that knows nothing yet: compiled once, emptied for each use."""
        if shards not in self._programs:
            program = Program(self.detector, shards=shards, state_bytes=1 << 26)
            self._programs[shards] = program, {name: np.array(array) for name, array in program.snapshot().items()}
        program, empty = self._programs[shards]
        program.restore(empty)
        return program

    def kernel(self, arrivals: Sequence[Arrival], batch_size: int = 1_000, shards: int = 1) -> Features:
        """Return the compiled program's features."""
        return values_of(self.program(shards), arrivals, batch_size)

    def twin(self, arrivals: Sequence[Arrival]) -> Features:
        """Return the slow twin's features."""
        twin = Twin(self.detector, lambda name, event: event.get(name), SCALES)
        answers = [(arrival, twin.update(arrival.kind, arrival.time, arrival.fields)) for arrival in arrivals]
        return [answer for arrival, answer in answers if arrival.kind == "payment"]

    def agree_on_some(self, arrivals: Sequence[Arrival], every: int, batch_size: int = 256) -> None:
        """Hold kernel and twin against each other on every so manyth event of a long stream."""
        got = self.kernel(arrivals, batch_size)
        twin = Twin(self.detector, lambda name, event: event.get(name), SCALES)
        column = 0
        for number, arrival in enumerate(arrivals):
            is_asked = number % every == every - 1
            expected = twin.update(arrival.kind, arrival.time, arrival.fields, answer=is_asked)
            if arrival.kind == "payment":
                if is_asked:
                    assert_equal([got[column]], [expected], f"kernel on event {number}")
                column += 1

    @cached_property
    def _query(self) -> str:
        return to_sql(self.detector)

    @cached_property
    def types(self) -> dict[str, ValueType]:
        """The type of each feature."""
        program = self.program()
        return dict(zip(program.feature_names, program.feature_types, strict=True))

    def sql(self, arrivals: Sequence[Arrival]) -> Features:
        """Return DuckDB's features."""
        with duckdb.connect() as connection:
            # So few rows are not worth a second thread.
            connection.execute("SET threads = 1")
            connection.execute(to_tables(SCHEMA))
            for kind in SCHEMA.kinds:
                rows = [
                    [position, EPOCH + timedelta(microseconds=arrival.time)]
                    + [_person(arrival.fields.get(each.name), each) for each in kind.fields]
                    for position, arrival in enumerate(arrivals)
                    if arrival.kind == kind.name
                ]
                if rows:
                    places = ", ".join("?" * len(rows[0]))
                    connection.executemany(f'INSERT INTO "{kind.name}" VALUES ({places})', rows)
            answer = connection.execute(self._query)
            names = [column[0] for column in answer.description or []][3:]
            rows_of_features = [row[3:] for row in answer.fetchall()]
        return [
            {name: _word(value, self.types[name]) for name, value in zip(names, row, strict=True)}
            for row in rows_of_features
        ]

    def agree(self, arrivals: Sequence[Arrival], batch_size: int = 1_000, shards: int = 1) -> None:
        """Hold the three against one another."""
        expected = self.twin(arrivals)
        assert_equal(self.kernel(arrivals, batch_size, shards), expected, "kernel")
        assert_equal(self.sql(arrivals), expected, "SQL")


def variants(aggregation: str, *arguments: str, windows: bool = True, resolution: bool = False) -> World:
    """Return an aggregation in all its forms: windows, ``where``, ``prior``, ``delay``, ``via``, pairs, resolution."""
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "where": {"where": "flag"},
        "of_pair": {"by": "pair"},
        "via": {"via": ("shop",)},
        "of_pair_via": {"by": "pair", "via": ("shop", "card")},
    }
    if windows:
        options |= {
            "prior": {"prior": True},
            "where_prior": {"where": "flag", "prior": True},
            "over": {"over": WINDOWS},
            "over_prior": {"over": WINDOWS, "prior": True},
            "over_where": {"over": WINDOWS[:1], "where": "flag"},
            "over_delay": {"over": WINDOWS, "delay": 7 * SECOND},
            "delay": {"delay": 7 * SECOND},
        }
    if resolution:
        options |= {
            "cut": {"over": WINDOWS, "resolution": 5 * SECOND},
            "cut_prior": {"over": WINDOWS, "prior": True, "resolution": 5 * SECOND, "where": "flag"},
        }
    return World(
        *(
            AggregateFeature(name, aggregation, "payment", arguments, **{"by": "card", **each})
            for name, each in options.items()
        )
    )


def batch_of(arrivals: Sequence[Arrival], first_position: int = 0) -> Batch:
    """Return the arrivals as a batch."""
    batch = Batch.empty(SCHEMA, len(arrivals))
    batch.position += first_position
    floats = batch.values.view(np.float64)
    for row, arrival in enumerate(arrivals):
        batch.kind[row] = SCHEMA.kind_index[arrival.kind]
        batch.time[row] = arrival.time
        for column, field in enumerate(SCHEMA.columns):
            value = arrival.fields.get(field.name)
            if value is not None:
                batch.nulls[column, row] = 0
                if field.type is FieldType.FLOAT:
                    floats[column, row] = value
                else:
                    batch.values[column, row] = value
    return batch


def values_of(program: Program, arrivals: Sequence[Arrival], batch_size: int) -> Features:
    """Return the features of every decided arrival."""
    result: Features = []
    for start in range(0, len(arrivals), batch_size):
        decided = program.process(batch_of(arrivals[start : start + batch_size], start))
        floats = decided.features.view(np.float64)
        for column in range(len(decided)):
            result.append({})
            for row, (name, kind) in enumerate(zip(program.feature_names, program.feature_types, strict=True)):
                words = floats if kind.base is Base.FLOAT else decided.features
                result[-1][name] = None if decided.feature_nulls[row, column] else words[row, column].item()
    return result


def assert_equal(got: Features, expected: Features, who: str = "kernel") -> None:
    """Hold whole numbers to equality and floats to a rounding error."""
    assert len(got) == len(expected)
    for row, (one, other) in enumerate(zip(got, expected, strict=True)):
        for name, value in other.items():
            if isinstance(value, float) and one[name] is not None:
                assert one[name] == pytest.approx(value, rel=1e-9, abs=1e-9), (who, row, name)
            else:
                assert one[name] == value, (who, row, name)


def _person(value: Value, field: Field) -> object:
    """Return a word as DuckDB takes it."""
    if value is None:
        return None
    if field.type is FieldType.MONEY:
        return Decimal(value).scaleb(-field.scale)
    return bool(value) if field.type is FieldType.BOOL else value


def _word(value: Any, value_type: ValueType) -> Value:
    """Return what DuckDB gave as a word."""
    if value is None:
        return None
    if value_type.base is Base.MONEY:
        return int(value.scaleb(value_type.scale))
    if value_type.base is Base.INTERVAL:
        return int(value // timedelta(microseconds=1))
    if value_type.base is Base.TIME:
        return int((value.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    return float(value) if value_type.base is Base.FLOAT else int(value)


# Strategies.

CARDS = st.one_of(st.none(), st.integers(1, 2))
# Halves and quarters: sums and squares of them are exact, so that no order of adding changes the last digit.
WEIGHTS = st.one_of(st.integers(-4_000, 4_000).map(lambda each: each / 4), st.sampled_from([0.0, -0.0, 1.5]))
PAYMENTS = st.fixed_dictionaries(
    {
        "card": CARDS,
        "shop": st.one_of(st.none(), st.integers(1, 4)),
        "amount": st.integers(0, 100_000),
        "tip": st.one_of(st.none(), st.integers(-5, 500)),
        "weight": st.one_of(st.none(), WEIGHTS),
        "flag": st.one_of(st.none(), st.integers(0, 1)),
        "latitude": st.one_of(st.none(), st.floats(-90, 90)),
        "longitude": st.one_of(st.none(), st.floats(-180, 180)),
    }
)
CHANGES = st.fixed_dictionaries({"card": CARDS, "what": st.one_of(st.none(), st.integers(1, 3))})
# Whole seconds make ties and events on the edge of windows; half of the times lie before 1970.
TIMES = st.one_of(st.integers(-60, 60).map(lambda each: each * SECOND), st.integers(-60 * SECOND, 60 * SECOND))
ARRIVALS = st.one_of(
    st.builds(Arrival, st.just("payment"), TIMES, PAYMENTS),
    st.builds(Arrival, st.just("payment"), TIMES, PAYMENTS),
    st.builds(Arrival, st.just("change"), TIMES, CHANGES),
)


def histories(max_size: int = 40) -> st.SearchStrategy[list[Arrival]]:
    """Return lists of events: in order, or in any order at all."""
    some = st.lists(ARRIVALS, max_size=max_size)
    return st.one_of(some, some.map(lambda each: sorted(each, key=lambda arrival: arrival.time)))


def ask(history: Sequence[Arrival], aggregation: str, *arguments: str, **options: Any) -> list[Value]:
    """Return one feature on every payment, when kernel, twin and SQL agree on it."""
    form = {"kind": "payment", "by": "card", **options}
    world = World(AggregateFeature("f", aggregation, form.pop("kind"), arguments, form.pop("by"), **form))
    world.agree(history)
    return [next(iter(row.values())) for row in world.kernel(history)]
