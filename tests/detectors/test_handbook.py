"""The handbook's features, held against the published reference on every row."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from counterfoil.detector_file import load_detector
from counterfoil.events.batch import Batch, Texts, Words
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from counterfoil.rules.types import Base

from .harness import START, Event, at, decide

DETECTOR = load_detector("handbook")
SETTINGS = DecoderSettings(kind="transaction")
REFERENCE_NAMES = tuple(name for name in DETECTOR.feature_names if name.isupper())


def payment(number: int, when: str, terminal: int, amount: float, fraud: int = 0, customer: int = 1) -> Event:
    return {
        "TRANSACTION_ID": number,
        "TX_DATETIME": when,
        "CUSTOMER_ID": customer,
        "TERMINAL_ID": terminal,
        "TX_AMOUNT": amount,
        "TX_FRAUD": fraud,
    }


def test_the_label_counts_only_once_it_is_seven_days_old() -> None:
    events = [payment(1, at(), 5, 10, fraud=1)]
    events += [
        payment(2 + index, at(days=days), 5, 10) for index, days in enumerate([1, 6.99, 7, 7.5, 8.5, 14.5, 37.5])
    ]
    decisions = decide(DETECTOR, events, SETTINGS)
    assert [decision.features["TERMINAL_ID_NB_TX_7DAY_WINDOW"] for decision in decisions] == [0, 0, 0, 1, 1, 2, 4, 0]
    assert [decision.features["TERMINAL_ID_RISK_1DAY_WINDOW"] for decision in decisions][3:5] == [1.0, 1.0]
    assert decisions[-2].features["TERMINAL_ID_RISK_30DAY_WINDOW"] == 0.2


def test_weekend_and_night() -> None:
    times = [
        START.replace(hour=6, minute=59),
        START.replace(hour=7),
        START + timedelta(days=5),
        START + timedelta(days=6.6),
    ]
    decisions = decide(DETECTOR, [payment(n, at(time), 5, 10) for n, time in enumerate(times)], SETTINGS)
    assert [decision.features["TX_DURING_NIGHT"] for decision in decisions] == [1, 0, 0, 1]
    assert [decision.features["TX_DURING_WEEKEND"] for decision in decisions] == [0, 0, 1, 0]


def test_the_rules() -> None:
    events = [payment(n, at(hours=n), 5, 20) for n in range(12)]
    decisions = decide(DETECTOR, [*events, payment(90, at(days=1), 5, 90), payment(91, at(days=1), 5, 221)], SETTINGS)
    assert [decision.rules for decision in decisions[-3:]] == [
        (),
        ("amount-out-of-line",),
        ("high-amount", "amount-out-of-line"),
    ]
    bad = [payment(n, at(hours=n), 5, 20, fraud=1) for n in range(4)]
    assert decide(DETECTOR, [*bad, payment(9, at(days=8), 5, 20)], SETTINGS)[-1].rules == ("risky-terminal",)


def to_batch(table: pl.DataFrame, key: IdentityKey) -> Batch:
    """Make one batch of the shared transactions, without texts."""
    schema = DETECTOR.schema
    size = len(table)
    batch = Batch.empty(schema, size)
    batch.time[:] = table["TX_DATETIME"].dt.timestamp("us").to_numpy()
    batch.identity[:] = table["TRANSACTION_ID"].to_numpy().astype(np.int64) + 1
    batch.nulls[:] = 0
    for name in ("CUSTOMER_ID", "TERMINAL_ID"):
        batch.values[schema.column_index[name]] = hashes(table[name].to_numpy().astype(np.int64), key)
    batch.values[schema.column_index["TX_AMOUNT"]] = np.rint(table["TX_AMOUNT"].to_numpy() * 100).astype(np.int64)
    batch.values[schema.column_index["TX_FRAUD"]] = table["TX_FRAUD"].to_numpy()
    rows = 1 + len(schema.text_columns)
    batch.texts = Texts(np.zeros(0, np.uint8), np.zeros((rows, size), np.int64), np.zeros((rows, size), np.int32))
    return batch


def hashes(numbers: Words, key: IdentityKey) -> Words:
    unique, inverse = np.unique(numbers, return_inverse=True)
    found: Words = np.array([key.hash(str(number)) for number in unique.tolist()], np.int64)[inverse]
    return found


@pytest.mark.needs_data("handbook_card")
def test_every_feature_equals_the_published_reference(shared_data: Path) -> None:
    folder = shared_data / "handbook_card"
    table = pl.read_parquet(folder / "transactions.parquet")
    reference = pl.read_parquet(next(folder.glob("reference_features*.parquet")))
    assert set(reference.columns) - {"TRANSACTION_ID"} == set(REFERENCE_NAMES)
    wanted = reference["TRANSACTION_ID"].to_numpy()
    key = IdentityKey()
    batch = to_batch(table, key)
    program = Program(DETECTOR, key)
    rows = {name: index for index, name in enumerate(program.feature_names)}
    found: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in REFERENCE_NAMES}
    for start in range(0, len(batch), 65_536):
        part = batch.take(np.arange(start, min(len(batch), start + 65_536)))
        decided = program.process(part)
        assert len(decided) == len(part)
        for name in REFERENCE_NAMES:
            row = rows[name]
            assert not decided.feature_nulls[row].any()
            words = decided.features[row]
            is_float = program.feature_types[row].base is Base.FLOAT
            found[name].append(words.view(np.float64).copy() if is_float else words.astype(np.float64))
    different = np.zeros(len(wanted), np.bool_)
    for name in REFERENCE_NAMES:
        values = np.concatenate(found[name])[wanted]
        different |= ~np.isclose(values, reference[name].to_numpy().astype(np.float64), rtol=1e-6, atol=1e-6)
    # One customer pays twice within a second now and then: there either order is right.
    assert different.sum() <= 7
    customers = table["CUSTOMER_ID"].to_numpy()[wanted[different]]
    assert len(np.unique(customers)) <= 1
