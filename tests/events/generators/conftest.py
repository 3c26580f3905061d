"""One stream for all tests of the generator: two months of a small bank."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import polars as pl
import pytest

from counterfoil.events.generators import STORIES, EventColumns, PaymentsGenerator
from counterfoil.events.generators.stories import BOOK, Occasion

CUSTOMERS = 4_000
EVENTS = 400_000


@dataclass(frozen=True)
class Bank:
    """What was generated, as columns and as a table."""

    events: EventColumns

    @cached_property
    def table(self) -> pl.DataFrame:
        """Every event: the generated fields, and the numbers behind them."""
        frame = self.events.to_frame()
        rows = self.events.rows
        return frame.with_columns(
            pl.coalesce("event_time", "changed_at", "known_at").alias("at"),
            pl.Series("code", rows["story"]),
            pl.Series("told", np.where(rows["story"] >= 0, rows["number"] >> np.uint64(12), 0)),
            pl.Series("planned", rows["number"] >> np.uint64(60) == 2),
            pl.Series("cents", rows["amount"]),
        ).with_row_index("position")

    @cached_property
    def payments(self) -> pl.DataFrame:
        """Transactions only."""
        return self.table.filter(pl.col("kind") == "transaction")

    def story(self, name: str) -> pl.DataFrame:
        """Every event, outcomes left out, of those tellings of a story that are wholly in the stream."""
        mine = self.table.filter(
            (pl.col("code") == STORIES.index(name)) & pl.col("planned") & (pl.col("kind") != "outcome")
        )
        days = BOOK[STORIES.index(name)].days
        begun, end = self.table["at"][0], self.table["at"][-1]
        whole = mine.group_by("told").agg(pl.col("at").min().alias("first"))
        # Some tellings began before the stream, and the last ones may go on after it.
        if BOOK[STORIES.index(name)].occasion is Occasion.CHANCE:
            whole = whole.filter(pl.col("told") % 2**42 >= 2**30)
        else:
            whole = whole.filter(pl.col("first") > begun + timedelta(days=days))
        whole = whole.filter(pl.col("first") < end - timedelta(days=days))
        return mine.join(whole.select("told"), on="told", how="semi").sort("told", "at", maintain_order=True)


@pytest.fixture(scope="session")
def bank() -> Bank:
    """Return the stream."""
    chunks = list(PaymentsGenerator(seed=11, customers=CUSTOMERS).chunks(EVENTS))
    return Bank(EventColumns(np.concatenate([chunk.rows for chunk in chunks]), chunks[0].key))
