"""How fast forty rules run as one program, next to DuckDB evaluating the same conditions as SQL, one core each."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import polars as pl

from benchmarks.harness import Result, best_seconds, report
from counterfoil.events.batch import Batch
from counterfoil.events.identity import IdentityKey
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from counterfoil.rules.expression import ExpressionCompiler, Source, Variable
from counterfoil.rules.program import assemble
from counterfoil.rules.sql import to_duckdb
from counterfoil.rules.types import Base, ValueType

ROWS = 200_000
RUN = 4_096
"""Rows a call, as a runtime would pass them."""

FIELDS = (
    *(Field(name, FieldType.MONEY) for name in ("amount", "spend_1h", "spend_24h", "spend_7d", "highest")),
    *(Field(name, FieldType.INTEGER) for name in ("count_10m", "count_1h", "count_24h", "merchants", "failures")),
    *(Field(name, FieldType.FLOAT) for name in ("mean_7d", "deviation", "speed", "risk")),
    *(Field(name, FieldType.BOOL) for name in ("new_device", "new_country", "at_night")),
)
MONEY = [field.name for field in FIELDS if field.type is FieldType.MONEY]
CONDITIONS = (
    "count_10m > {n} and spend_1h > {m}",
    "amount > {m} and amount > 3 * coalesce(mean_7d, 0)",
    "(amount - mean_7d) / nullif(deviation, 0) > {n}",
    "speed > 900 and new_country and amount >= {m}.50",
    "amount % 100 = 0 and amount >= {m}",
    "new_device and at_night and failures >= {n}",
    "spend_1h / nullif(spend_24h, 0) > 0.9 and count_24h > {n}",
    "amount between 900 and 999.99 and count_24h >= {n}",
    "case when new_country then amount > {m} else amount > 10 * {m} end",
    "(merchants >= {n} or count_1h > 2 * {n}) and not at_night and risk > 0.1",
)


def schema() -> Schema:
    """Return one event kind with every name that the conditions use."""
    return Schema((EventKind("payment", FIELDS, None, "event_time", decide=True),))


def random_batch(size: int) -> Batch:
    """Return events with random values, one in twenty absent."""
    random = np.random.default_rng(11)
    batch = Batch.empty(schema(), size)
    for index, field in enumerate(FIELDS):
        if field.type is FieldType.FLOAT:
            batch.values[index] = np.abs(random.normal(200, 300, size)).view(np.int64)
        else:
            batch.values[index] = random.integers(0, 2 if field.type is FieldType.BOOL else 200_000, size)
        batch.nulls[index] = random.random(size) < 0.05
    return batch


def frame_of(batch: Batch) -> pl.DataFrame:
    """Return the same events as a table, money still in minor units."""
    columns = {}
    for index, field in enumerate(FIELDS):
        present = pl.Series(batch.nulls[index] == 0)
        words = pl.Series(
            batch.values[index].view(np.float64) if field.type is FieldType.FLOAT else batch.values[index]
        )
        if field.type is FieldType.BOOL:
            words = words.cast(pl.Boolean)
        columns[field.name] = pl.select(pl.when(present).then(words)).to_series()
    return pl.DataFrame(columns)


def main() -> list[Result]:
    """Count the hits of forty rules both ways, and time one row alone."""
    texts = [text.format(n=n, m=100 * n) for n in (2, 3, 5, 8) for text in CONDITIONS]
    variables = {field.name: Variable(ValueType.of(field), Source.EVENT, i) for i, field in enumerate(FIELDS)}
    compiler = ExpressionCompiler(variables, IdentityKey(), {})
    program = assemble([(compiler.compile(text, text, Base.BOOL), row) for row, text in enumerate(texts)])
    batch = random_batch(ROWS)
    work, nulls = np.zeros((len(texts), RUN), np.int64), np.zeros((len(texts), RUN), np.uint8)
    hits = np.zeros(len(texts), np.int64)

    def ours() -> None:
        hits[:] = 0
        for start in range(0, ROWS, RUN):
            rows = np.arange(start, min(start + RUN, ROWS))
            space, space_nulls = (work, nulls) if len(rows) == RUN else (work[:, : len(rows)], nulls[:, : len(rows)])
            program.run(batch, rows, space, space_nulls)
            hits[:] += space.sum(axis=1)

    ours()
    our_seconds = best_seconds(ours)
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        frame_of(batch).write_parquet(file := Path(folder) / "payments.parquet")
        money = ", ".join(f"CAST({name} * 0.01 AS DECIMAL(18, 2)) AS {name}" for name in MONEY)
        connection.execute(
            f"CREATE TABLE payments AS SELECT * REPLACE ({money}) FROM read_parquet(?)",  # noqa: S608
            [str(file)],
        )
        counts = ", ".join(f"count(*) FILTER ({to_duckdb(compiler, text)})" for text in texts)
        query = f"SELECT {counts} FROM payments"  # noqa: S608 - made of the conditions above
        found = connection.execute(query).fetchone()
        assert found is not None
        assert list(found) == hits.tolist(), "the two disagree about who hits"
        their_seconds = best_seconds(lambda: connection.execute(query).fetchall())

    one = np.zeros(1, np.int64)
    one_work, one_nulls = np.zeros((len(texts), 1), np.int64), np.zeros((len(texts), 1), np.uint8)

    def singles() -> None:
        for _ in range(1_000):
            program.run(batch, one, one_work, one_nulls)

    note = f"{len(texts)} rules, {len(program.code)} instructions, one core"
    return [
        Result("Forty rules, per event", our_seconds / ROWS * 1e9, "ns", note=note),
        Result("Forty rules against DuckDB", their_seconds / our_seconds, "×", note="the same conditions as SQL"),
        Result("Forty rules, one event alone", best_seconds(singles, 7) * 1e3, "µs", note=note),
    ]


if __name__ == "__main__":
    report(main)
