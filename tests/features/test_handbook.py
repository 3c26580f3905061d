"""The built-in ``handbook`` detector against the features that the Fraud Detection Handbook publishes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from counterfoil.detector_file import load_detector
from counterfoil.events.decode_table import TableDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.rules.types import Base

TIES_MAX = 7
"""Rows that may differ: one customer paid twice in one second, where either order is right (the data's README)."""
BATCH = 1 << 16


def computed(transactions: pl.DataFrame) -> pl.DataFrame:
    """Return every feature of every payment, from the history's beginning."""
    detector, key = load_detector("handbook"), IdentityKey()
    decoder = TableDecoder(detector.schema, DecoderSettings(kind="transaction", naive_utc=True), key, detector.max_skew)
    program = Program(detector, key, state_bytes=1 << 32)
    parts = []
    for start in range(0, transactions.height, BATCH):
        decoded = decoder.decode(transactions[start : start + BATCH], start, arrival=1_800_000_000_000_000)
        assert decoded.dead == []
        decided = program.process(decoded.batch)
        assert len(decided.duplicates) == 0
        columns = {"position": decoded.batch.position[decided.rows]}
        floats = decided.features.view(np.float64)
        for row, (name, each) in enumerate(zip(program.feature_names, program.feature_types, strict=True)):
            if name.isupper() or name.startswith(("TX_", "CUSTOMER_", "TERMINAL_")):
                columns[name] = (floats if each.base is Base.FLOAT else decided.features)[row].astype(np.float64)
                assert not decided.feature_nulls[row].any(), name
        parts.append(pl.DataFrame(columns))
    return pl.concat(parts).with_columns(transactions["TRANSACTION_ID"])


@pytest.mark.needs_data("handbook_card")
def test_equals_the_published_features(shared_data: Path) -> None:
    folder = shared_data / "handbook_card"
    transactions = pl.read_parquet(folder / "transactions.parquet")
    reference = pl.read_parquet(next(folder.glob("reference_features_*.parquet"))).sort("TRANSACTION_ID")
    got = computed(transactions).filter(pl.col("TRANSACTION_ID").is_in(reference["TRANSACTION_ID"].implode()))
    assert got["TRANSACTION_ID"].equals(reference["TRANSACTION_ID"])
    names = [name for name in reference.columns if name not in ("TRANSACTION_ID", "TX_AMOUNT")]
    names = [name for name in names if name in got.columns]
    assert len(names) == 14, "two about the time, six of the customer, six of the terminal"
    differs = np.zeros(len(reference), np.bool_)
    for name in names:
        expected = reference[name].cast(pl.Float64).to_numpy()
        differs |= ~np.isclose(got[name].to_numpy(), expected, rtol=1e-6, atol=1e-6)
    rows = np.flatnonzero(differs)
    assert len(rows) <= TIES_MAX, got[rows.tolist()[:20]]
    ids = reference["TRANSACTION_ID"].to_numpy()[rows]
    customers = transactions.filter(pl.col("TRANSACTION_ID").is_in(ids.tolist()))["CUSTOMER_ID"]
    assert customers.n_unique() <= 1
