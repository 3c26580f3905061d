from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from counterfoil.detector import Detector
from counterfoil.detector_file import load_detector
from counterfoil.events.batch import Batch
from counterfoil.events.decode_table import TableDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.generators import PaymentsGenerator
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.features.definition import AggregateFeature, DerivedFeature, Entity, Feature, Window
from counterfoil.features.sql import interval, to_sql, to_tables
from counterfoil.program import Program
from counterfoil.rules.definition import ValueList
from counterfoil.rules.types import Base
from tests.features.harness import SECOND, payment, variants

KEY = IdentityKey()


def fill(connection: duckdb.DuckDBPyConnection, batch: Batch, folder: Path) -> None:
    """Put a batch's events into tables, by way of Parquet."""
    for number, kind in enumerate(batch.schema.kinds):
        rows = np.flatnonzero(batch.kind == number)
        columns = {"position": pl.Series(batch.position[rows])}
        values = ["position"]
        if kind.id is not None:
            columns["id"] = pl.Series([batch.texts.get(0, row) for row in rows.tolist()], dtype=pl.String)
            values.append("id")
        columns["time"] = pl.Series(batch.time[rows])
        values.append("make_timestamp(time)")
        for field in kind.fields:
            name = f"field_{field.name}"
            columns[name] = _series(batch, field, rows)
            values.append(
                {
                    FieldType.MONEY: f"CAST({name} AS DECIMAL(18, 0)) * CAST(0.01 AS DECIMAL(3, 2))",
                    FieldType.BOOL: f"{name} = 1",
                }.get(field.type, name)
            )
        path = folder / f"{kind.name}.parquet"
        pl.DataFrame(columns).write_parquet(path)
        connection.execute(f"INSERT INTO \"{kind.name}\" SELECT {', '.join(values)} FROM read_parquet('{path}')")


def _series(batch: Batch, field: Field, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.Series:
    column = batch.schema.column_index[field.name]
    if field.type.is_text:
        place = 1 + batch.schema.text_columns.index(column)
        return pl.Series([batch.texts.get(place, row) for row in rows.tolist()], dtype=pl.String)
    words = batch.values.view(np.float64) if field.type is FieldType.FLOAT else batch.values
    return pl.select(
        pl.when(pl.Series(batch.nulls[column, rows] == 0)).then(pl.Series(words[column, rows]))
    ).to_series()


def words_of(name: str, base: Base, scale: int) -> str:
    """Return SQL for a feature as the kernel holds it."""
    if base is Base.MONEY:
        return f'CAST("{name}" * {10**scale} AS BIGINT)'
    if base is Base.INTERVAL:
        # The whole days by themselves: DuckDB would count them as such.
        return f'CAST(round(epoch("{name}") * 1000000) AS BIGINT)'
    if base is Base.TIME:
        return f'epoch_us("{name}")'
    return f'"{name}"' if base is Base.FLOAT else f'CAST("{name}" AS BIGINT)'


def assert_same_as_sql(program: Program, batch: Batch, folder: Path) -> set[str]:
    """Hold every feature of a program to the query's; return the names of those that are null throughout."""
    detector = program.detector
    decided = program.process(batch)
    with duckdb.connect() as connection:
        connection.execute(to_tables(detector.schema))
        fill(connection, batch, folder)
        path = folder / "features.parquet"
        columns = [
            f'{words_of(name, each.base, each.scale)} AS "{name}"'
            for name, each in zip(program.feature_names, program.feature_types, strict=True)
        ]
        query = f"SELECT position, id, event_time, {', '.join(columns)} FROM ({to_sql(detector)}) ORDER BY position"
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    answer = pl.read_parquet(path)
    assert answer.columns == ["position", "id", "event_time", *program.feature_names]
    assert answer["position"].to_list() == batch.position[decided.rows].tolist()
    if any(kind.id is not None for kind in detector.schema.kinds):
        assert answer["id"].to_list() == [batch.texts.get(0, row) for row in decided.rows.tolist()]
    floats = decided.features.view(np.float64)
    silent: set[str] = set()
    for row, (name, each) in enumerate(zip(program.feature_names, program.feature_types, strict=True)):
        nulls = decided.feature_nulls[row] != 0
        assert answer[name].is_null().to_list() == nulls.tolist(), name
        silent |= {name} if nulls.all() else set()
        expected = (floats if each.base is Base.FLOAT else decided.features)[row, ~nulls]
        got = answer[name].drop_nulls().to_numpy()
        if each.base is Base.FLOAT:
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(got, expected, err_msg=name)
    return silent


def test_payments_as_sql(tmp_path: Path) -> None:
    """Every feature of the built-in detector, over the stream it is made for."""
    detector = load_detector("payments")
    events = next(PaymentsGenerator(seed=3, customers=40, fraud_share=0.05).chunks(count=3_000))
    batch = events.to_batch(detector.schema, KEY)
    silent = assert_same_as_sql(Program(detector, KEY, state_bytes=1 << 28), batch, tmp_path)
    assert silent == set(), "null throughout: the test says nothing about them"


@pytest.mark.needs_data("aml_injected")
def test_transfers_as_sql(shared_data: Path, tmp_path: Path) -> None:
    """Accounts of very different degree, and dozens of transfers in every minute: ties in whatever is asked."""
    detector = load_detector("laundering")
    rows = pl.read_parquet(shared_data / "aml_injected" / "transactions.parquet", n_rows=40_000)
    mapping = {"time": "timestamp", "sender": "from_account", "receiver": "to_account", "amount": "amount_paid"}
    settings = DecoderSettings(mapping=mapping, kind="transfer", naive_utc=True)
    decoded = TableDecoder(detector.schema, settings, KEY, detector.max_skew).decode(rows, 0, arrival=2 * 10**15)
    # Bitcoins have more digits than cents.
    assert len(decoded.batch) > 30_000
    assert assert_same_as_sql(Program(detector, KEY, state_bytes=1 << 30), decoded.batch, tmp_path) == set()


def detector_of(kinds: Sequence[EventKind], *features: Feature, entity: tuple[str, ...] = ("who",)) -> Detector:
    return Detector("some", Schema(tuple(kinds)), (Entity("one", entity),), features)


def run(detector: Detector, *inserts: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        connection.execute(to_tables(detector.schema))
        for insert in inserts:
            connection.execute(insert)
        return connection.execute(to_sql(detector)).fetchall()


def test_reads_like_the_definition() -> None:
    kind = EventKind(
        "payment", (Field("card", FieldType.ID), Field("amount", FieldType.MONEY)), "id", "at", decide=True
    )
    spend = AggregateFeature("spend", "sum", "payment", ("amount",), "one", (Window("1h", 3_600 * SECOND),))
    detector = detector_of((kind,), spend, DerivedFeature("high", "spend_1h > 100"), entity=("card",))
    assert to_sql(detector) == (
        """WITH
-- Every event, of whatever kind.
"events" AS (
    SELECT position, 'payment' AS kind, "id" AS event_key, "at" AS happened, "card", "amount", "at"
    FROM "payment"
),

-- Events by one. A late one counts as of the oldest time that is allowed.
"by_one" AS (
    SELECT
        *,
        greatest(happened, max(happened) OVER (PARTITION BY "card" ORDER BY position) - INTERVAL '7 days') AS as_of
    FROM "events"
    WHERE kind = 'payment' AND "card" IS NOT NULL
),

-- sum of amount on payment by one over 1h.
"spend" AS (
    SELECT e.position, CAST(sum(s.value_1) AS DECIMAL(18, 2)) AS "spend_1h"
    FROM (
        SELECT position, "card", as_of AS time
        FROM "by_one"
        WHERE kind = 'payment'
    ) AS e
    LEFT JOIN (
        SELECT position, "card", as_of AS time, "amount" AS value_1
        FROM "by_one"
        WHERE kind = 'payment'
    ) AS s
        ON s."card" = e."card"
            AND s.position <= e.position
            AND s.time <= e.time
            AND s.time > e.time - INTERVAL '1 hours'
    GROUP BY e.position, e.time
),

-- The decided events with all aggregates.
"aggregates" AS (
    SELECT "events".*, "spend"."spend_1h"
    FROM "events"
    LEFT JOIN "spend" ON "spend".position = "events".position
    WHERE kind = 'payment'
),

-- Features computed from fields and other features.
"derived" AS (
    SELECT *, ("spend_1h" > 100) AS "high"
    FROM "aggregates"
)

SELECT position, event_key AS id, happened AS event_time, "spend_1h", "high"
FROM "derived"
ORDER BY position
"""
    )


def test_names_of_the_detector_come_first() -> None:
    """Fields, kinds and features may be called like anything that the query uses itself."""
    names = ("position", "kind", "time", "happened", "as_of", "value_1", "asks", "event_key")
    kind = EventKind("events", tuple(Field(name, FieldType.INTEGER) for name in names), None, "at", decide=True)
    features = (
        AggregateFeature("by_one", "sum", "events", ("position",), "one"),
        AggregateFeature("aggregates", "frequency", "events", ("kind",), "one"),
        AggregateFeature("own_1", "count", "events", (), "one", via=("asks", "position")),
        DerivedFeature("derived", "by_one + 1"),
        DerivedFeature("e", "derived + 1"),
    )
    detector = detector_of((kind,), *features, entity=("value_1", "time"))
    columns = 'position_, "at", position, kind, time, happened, as_of, value_1, asks, event_key'
    rows = "(0, TIMESTAMP '2026-01-01', 5, 6, 7, 0, 0, 8, 8, 0), (1, TIMESTAMP '2026-01-02', 7, 7, 7, 0, 0, 8, 8, 0)"
    answer = run(detector, f"INSERT INTO events ({columns}) VALUES {rows}")
    assert [row[3:] for row in answer] == [(5, 1.0, 0, 6, 7), (12, 0.5, 1, 13, 14)]


def test_derived_features_stand_on_one_another() -> None:
    kind = EventKind("payment", (Field("who", FieldType.ID), Field("n", FieldType.INTEGER)), None, "at", decide=True)
    chain = (
        DerivedFeature("a", "n + 1"),
        DerivedFeature("b", "a * 2"),
        AggregateFeature("total", "sum", "payment", ("n",), "one"),
        DerivedFeature("c", "a + b + total"),
    )
    answer = run(detector_of((kind,), *chain), "INSERT INTO payment VALUES (0, TIMESTAMP '2026-01-01', 'x', 3)")
    assert answer[0][3:] == (4, 8, 3, 15)


def test_an_event_without_an_id_is_known_by_its_position() -> None:
    kind = EventKind("payment", (Field("who", FieldType.ID),), None, "at", decide=True)
    assert run(detector_of((kind,)), "INSERT INTO payment VALUES (7, TIMESTAMP '2026-01-01', 'x')")[0][1] == "7"


def test_texts_times_and_lists() -> None:
    fields = (Field("who", FieldType.ID), Field("country", FieldType.CATEGORY), Field("due", FieldType.TIME))
    kind = EventKind("payment", fields, None, "at", decide=True)
    features = (
        AggregateFeature("before", "last", "payment", ("country",), "one", where="country in risky"),
        AggregateFeature("earliest", "min", "payment", ("due",), "one"),
        AggregateFeature("since", "time_since", "payment", (), "one"),
        DerivedFeature("soon", "since <= interval '1' day and due > earliest"),
    )
    detector = Detector(
        "some",
        Schema((kind,)),
        (Entity("one", ("who",)),),
        features,
        lists=(ValueList("risky", "country", ("X", "Y")),),
    )
    rows = (
        "(0, TIMESTAMP '2026-01-01', 'x', 'Y', TIMESTAMP '2026-02-01'), "
        "(1, TIMESTAMP '2026-01-02', 'x', 'A', TIMESTAMP '2026-02-02'), "
        "(2, TIMESTAMP '2026-01-04', 'x', 'X', NULL)"
    )
    answer = run(detector, f"INSERT INTO payment VALUES {rows}")
    assert [row[3] for row in answer] == [None, "Y", "Y"]
    assert [str(row[4]) for row in answer] == ["2026-02-01 00:00:00"] * 3
    assert [row[6] for row in answer] == [False, True, False]


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0 days"), (90 * SECOND, "90 seconds"), (1_500, "1500 microseconds"), (2_000, "2 milliseconds")],
)
def test_intervals(length: int, text: str) -> None:
    assert interval(length) == f"INTERVAL '{text}'"


def test_late_events_count_as_of_the_limit() -> None:
    """Thirty seconds late is too late: the event counts, and is judged, as of the oldest time allowed."""
    world = variants("count")
    world.agree([payment(100), payment(60), payment(75), payment(71), payment(102)])
