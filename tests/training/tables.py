"""Small training tables, made without a detector."""

from __future__ import annotations

import numpy as np
import polars as pl

from counterfoil.training.table import Content, TrainingTable

DAY = 86_400_000_000
START = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""


def table(
    rows: int = 4_000, days: int = 40, delay: int = 7 * DAY, seed: int = 1, leak: str | None = None
) -> TrainingTable:
    """Return payments over some days, one in twenty a fraud: large ones, at strange hours, more often than others.

    Parameters
    ----------
    leak
        ``value`` for a feature that knows the label, ``missing`` for one that is there only for frauds.
    """
    random = np.random.default_rng(seed)
    times = START + np.sort(random.integers(0, days * DAY, rows))
    fraud = random.random(rows) < 0.05
    amount = np.round(np.exp(random.normal(3 + 1.2 * fraud, 0.8)), 2)
    count = random.poisson(3 + 2 * fraud)
    columns: dict[str, pl.Series] = {
        "card": pl.Series(random.integers(1, 60, rows)),
        "amount": pl.Series(amount).round(2).cast(pl.Decimal(38, 2)),
        "count_1d": pl.Series(count),
        "ratio": pl.Series(amount / 30).set(pl.Series(random.random(rows) < 0.1), None),
        "night": pl.Series(random.random(rows) < 0.2 + 0.2 * fraud),
        "channel": pl.Series(random.choice(["online", "pos", "atm"], rows)),
        "since": pl.Series(random.exponential(3_600, rows)),
        "last_at": pl.Series(times).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        "same": pl.Series(np.ones(rows)),
    }
    types = dict(
        zip(columns, ["id", "money", "int", "float", "bool", "text", "interval", "time", "float"], strict=True)
    )
    if leak is not None:
        values = fraud + random.normal(0, 0.05, rows)
        columns["leak"] = pl.Series(values) if leak == "value" else pl.Series(values).set(pl.Series(~fraud), None)
        types["leak"] = "float"
    known = times + delay
    as_of = START + days * DAY
    moment = pl.Series(known).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    unknown = pl.Series(known > as_of)
    frame = pl.DataFrame(
        {
            "id": [f"p{number}" for number in range(rows)],
            "event_time": pl.Series(times).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "label": pl.Series(fraud).set(unknown, None),
            "label_known_at": moment.set(unknown, None),
            **columns,
        }
    )
    return TrainingTable(frame, Content("sample@0", types, "fraud", delay, as_of=as_of, source="made"))
