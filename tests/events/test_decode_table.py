"""Tables: every type of column, and what a value may not be."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import ConfigurationError
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decode_table import TableDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.kinds import MONEY_LIMIT, EventKind, Field, FieldType, Schema
from tests.events.records import ARRIVAL, KEY, SCHEMA, SKEW, events_of

PAYMENTS = DecoderSettings(kind="payment")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_901)
MICROS = 1_767_323_045_678_901


def decode(frame: pl.DataFrame, settings: DecoderSettings = PAYMENTS, first: int = 0) -> Decoded:
    decoded = TableDecoder(SCHEMA, settings, KEY, SKEW).decode(frame, first, ARRIVAL)
    assert len(decoded.batch) + len(decoded.dead) == decoded.records == frame.height
    return decoded


def with_column(name: str, values: pl.Series) -> Decoded:
    count = len(values)
    columns: dict[str, Any] = {"payment_id": [str(row) for row in range(count)], "at": [MOMENT] * count}
    columns |= {"amount": [1] * count} | {name: values}
    return decode(pl.DataFrame(columns))


def values_of(decoded: Decoded, name: str) -> list[Any]:
    return [event.values.get(name) for event in events_of(decoded.batch).values()]


def reasons(decoded: Decoded) -> list[str]:
    return [letter.reason.value for letter in decoded.dead]


MINOR = st.one_of(st.integers(0, 10**7), st.integers(0, 10**13), st.integers(0, MONEY_LIMIT))


@given(st.lists(MINOR, min_size=1))
def test_amounts_as_floats_are_exact(minor: list[int]) -> None:
    written = pl.Series([float(Decimal(each).scaleb(-2)) for each in minor])
    decoded = with_column("amount", written)
    # A double holds 15 digits for certain; amounts of more come as near as it can tell.
    assert decoded.dead == []
    for found, expected in zip(values_of(decoded, "amount"), minor, strict=True):
        assert found == expected or (expected > 10**15 and abs(found - expected) <= 1)


@pytest.mark.parametrize(
    ("values", "expected", "dead"),
    [
        (pl.Series([57.16, 0.1 + 0.2, 0.0, -0.0, None, 1e-9]), [5716, 30, 0, 0, 0], ["missing_field"]),
        (pl.Series([57.165, 0.001, 1.0]), [100], ["money_precision"] * 2),
        (pl.Series([57.16, 1234.5], dtype=pl.Float32), [5716, 123_450], []),
        (pl.Series([float("nan"), float("inf"), -1.0, 1e300]), [], ["missing_field", "money_range"]),
        (pl.Series([5, 0, -1, 10**14]), [500, 0], ["negative_amount", "money_range"]),
        (pl.Series([2**64 - 1, 7], dtype=pl.UInt64), [700], ["money_range"]),
        (pl.Series([Decimal("57.16"), Decimal("-1.00"), Decimal("1.00")]), [5716, 100], ["negative_amount"]),
        (pl.Series([Decimal("57.165"), Decimal("57.160")]), [5716], ["money_precision"]),
        (pl.Series(["57.16", "1e2", "", "x", "-1"]), [5716, 10_000], ["missing_field", "wrong_type"]),
        (pl.Series([True, False]), [], ["wrong_type"] * 2),
        (pl.Series([[1], [2]]), [], ["wrong_type"] * 2),
        (pl.Series([None, None]), [], ["missing_field"] * 2),
    ],
    ids=str,
)
def test_amounts(values: pl.Series, expected: list[int], dead: list[str]) -> None:
    decoded = with_column("amount", values)
    assert values_of(decoded, "amount") == expected
    assert reasons(decoded)[: len(dead)] == dead
    assert len(decoded.dead) == len(values) - len(expected)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("attempts", pl.Series([1, 1 - 2**63, None]), [1, 1 - 2**63, None]),
        ("attempts", pl.Series([1, 2], dtype=pl.UInt8), [1, 2]),
        ("attempts", pl.Series([1.0, float("nan"), -3.0]), [1, None, -3]),
        ("attempts", pl.Series(["7", None, ""]), [7, None, None]),
        ("online", pl.Series([True, None, False]), [1, None, 0]),
        ("online", pl.Series([1, 0], dtype=pl.Int8), [1, 0]),
        ("online", pl.Series([1.0, 0.0]), [1, 0]),
        ("online", pl.Series(["true", "False"]), [1, 0]),
        ("customer", pl.Series([66, None, -1]), ["66", None, "-1"]),
        ("customer", pl.Series([66.0, None, float("nan")]), ["66", None, None]),
        ("customer", pl.Series(["a", "", None]), ["a", None, None]),
        ("customer", pl.Series(["a", "b", "a"], dtype=pl.Categorical), ["a", "b", "a"]),
        ("customer", pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])), ["a", "b"]),
        ("country", pl.Series(["DE", "", None]), ["DE", "", None]),
        ("ordered", pl.Series([MOMENT], dtype=pl.Datetime("us")), [MICROS]),
        ("ordered", pl.Series([MOMENT], dtype=pl.Datetime("ns")), [MICROS]),
        ("ordered", pl.Series([MOMENT], dtype=pl.Datetime("ms")), [MICROS // 1000 * 1000]),
        ("ordered", pl.Series([MOMENT.replace(tzinfo=UTC)]).dt.convert_time_zone("Asia/Tokyo"), [MICROS]),
        ("ordered", pl.Series([date(1970, 1, 2)]), [86_400_000_000]),
        ("ordered", pl.Series([1_767_323_045_678]), [MICROS // 1000 * 1000]),
        ("ordered", pl.Series([1_767_323_045_678.0]), [MICROS // 1000 * 1000]),
        ("ordered", pl.Series(["2026-01-02T03:04:05.678901Z", None]), [MICROS, None]),
        ("latitude", pl.Series([None, None]), [None, None]),
    ],
    ids=str,
)
def test_values_of_each_type(name: str, values: pl.Series, expected: list[Any]) -> None:
    decoded = with_column(name, values)
    assert decoded.dead == []
    assert values_of(decoded, name) == expected


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([52.5, None, float("nan"), -0.0]),
        pl.Series([1, 2, 3]),
        pl.Series([Decimal("1.5")]),
        pl.Series(["2.5"]),
    ],
    ids=str,
)
def test_floats_keep_their_bits(values: pl.Series) -> None:
    decoded = with_column("latitude", values)
    column = SCHEMA.column_index["latitude"]
    expected = values.cast(pl.Float64).fill_nan(None)
    np.testing.assert_array_equal(decoded.batch.nulls[column] == 1, expected.is_null().to_numpy())
    found = decoded.batch.values[column]
    np.testing.assert_array_equal(found, expected.fill_null(0.0).to_numpy().view(np.int64))


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("attempts", pl.Series([1.5]), "wrong_type"),
        ("attempts", pl.Series([2.0**63]), "number_range"),
        ("attempts", pl.Series([float("-inf")]), "wrong_type"),
        ("attempts", pl.Series([2**63], dtype=pl.UInt64), "number_range"),
        ("attempts", pl.Series([-(2**63)]), "number_range"),
        ("attempts", pl.Series([-(2.0**63)]), "number_range"),
        ("attempts", pl.Series([str(-(2**63))]), "number_range"),
        ("attempts", pl.Series([True]), "wrong_type"),
        ("latitude", pl.Series([float("inf")]), "number_range"),
        ("latitude", pl.Series(["1e999"]), "number_range"),
        ("latitude", pl.Series([MOMENT]), "wrong_type"),
        ("online", pl.Series([2]), "wrong_type"),
        ("online", pl.Series([0.5]), "wrong_type"),
        ("customer", pl.Series([1.5]), "wrong_type"),
        ("customer", pl.Series([True]), "wrong_type"),
        ("customer", pl.Series(["x" * 257]), "id_too_long"),
        ("card", pl.Series([[4111]]), "wrong_type"),
        ("payment_id", pl.Series([""]), "missing_id"),
        ("payment_id", pl.Series([None], dtype=pl.Int64), "missing_id"),
        ("payment_id", pl.Series([1.5]), "wrong_type"),
        ("payment_id", pl.Series(["x" * 257]), "id_too_long"),
        ("at", pl.Series([None], dtype=pl.Datetime), "missing_time"),
        ("at", pl.Series(["soon"]), "bad_time"),
        ("at", pl.Series(["2026-01-02 03:04:05"]), "bad_time"),
        ("at", pl.Series([True]), "bad_time"),
        ("at", pl.Series([-1]), "time_range"),
        ("at", pl.Series([2**62]), "time_range"),
        ("at", pl.Series([1e300]), "time_range"),
        ("at", pl.Series([datetime(2100, 1, 1)]), "time_skew"),
    ],
    ids=str,
)
def test_values_that_are_wrong(name: str, values: pl.Series, reason: str) -> None:
    decoded = with_column(name, values)
    assert reasons(decoded) == [reason]
    assert decoded.dead[0].detail.startswith(f"{name}: found ")


STRANGE = [
    pl.Series([b"ab\xff"]),
    pl.Series([timedelta(1)]),
    pl.Series([time(1)]),
    pl.Series([object()], dtype=pl.Object),
    pl.Series([2**100], dtype=pl.Int128),
    pl.Series([{"a": MOMENT}]),
    pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)),
    pl.Series([Decimal(10) ** 30]),
    pl.Series([None]),
    pl.Series([float("nan")]),
    pl.Series([date(1, 1, 1)]),
    pl.Series([2**31 - 1], dtype=pl.Int32).cast(pl.Date),
    pl.Series([-(2**63)]).cast(pl.Datetime("ms")),
    pl.Series([-(2**63)]).cast(pl.Datetime("ns")),
    pl.Series([2**63 - 1]).cast(pl.Datetime("us", "Asia/Tokyo")),
]


@pytest.mark.parametrize("values", STRANGE, ids=lambda series: f"{series.dtype}")
def test_strange_columns_are_events_or_dead_letters(values: pl.Series) -> None:
    for name in ("payment_id", "at", *(each.name for each in SCHEMA.kinds[0].fields), "note", "other"):
        decoded = with_column(name, values)
        for event in events_of(decoded.batch).values():
            assert name in {"payment_id", "note", "other"} or name not in event.values or decoded.dead == []
        for letter in decoded.dead:
            assert name in json.loads(letter.record)


def test_dates_beyond_the_calendar_are_out_of_range() -> None:
    for name in ("at", "ordered"):
        assert reasons(with_column(name, pl.Series([2**31 - 1], dtype=pl.Int32).cast(pl.Date))) == ["time_range"]


def test_poison_leaves_its_neighbours_alone() -> None:
    count = 300
    amounts = [float(row) for row in range(count)]
    clean = events_of(with_column("amount", pl.Series(amounts)).batch)
    for bad in ([0], [count - 1], list(range(50, count, 100))):
        spoiled = [-1.0 if row in bad else amount for row, amount in enumerate(amounts)]
        decoded = with_column("amount", pl.Series(spoiled))
        assert [letter.position for letter in decoded.dead] == bad
        assert events_of(decoded.batch) == {row: event for row, event in clean.items() if row not in bad}


def test_rows_of_several_kinds_are_what_their_lines_are() -> None:
    records: list[dict[str, Any]] = [
        {"kind": "payment", "payment_id": "p-1", "at": 1, "amount": 5.5, "card": "4111", "customer": "c"},
        {"kind": "outcome", "outcome_id": "o-1", "known_at": 2_000, "payment_id": "p-1", "fraud": True},
        {"kind": "tick", "at": 3, "payment_id": "not a tick's"},
        {"kind": "refund", "at": 4},
        {"kind": None, "at": 5},
        {"kind": "outcome", "outcome_id": "o-2", "known_at": 2_000},
    ]
    table = decode(pl.DataFrame(records, infer_schema_length=None), DecoderSettings(), first=20)
    lines = JsonDecoder(SCHEMA, DecoderSettings(), KEY, SKEW)
    parts = [{name: value for name, value in record.items() if value is not None} for record in records]
    expected = lines.decode(b"\n".join(json.dumps(record).encode() for record in parts), 20, ARRIVAL)
    assert events_of(table.batch) == events_of(expected.batch)
    assert [(letter.position, letter.reason) for letter in table.dead] == [
        (letter.position, letter.reason) for letter in expected.dead
    ]
    assert table.unknown_fields == expected.unknown_fields == {"payment_id": 1}


def test_columns_that_are_absent() -> None:
    frame = pl.DataFrame({"payment_id": ["p"], "at": [MOMENT], "amount": [1]})
    for name, reason in (("payment_id", "missing_id"), ("at", "missing_time"), ("amount", "missing_field")):
        decoded = decode(frame.drop(name))
        assert reasons(decoded) == [reason]
        assert decoded.dead[0].detail == f"{name}: found no such column"
    assert reasons(decode(frame, DecoderSettings())) == ["missing_kind"]


def test_unknown_columns_are_counted_for_events() -> None:
    frame = pl.DataFrame({"payment_id": ["p", ""], "at": [MOMENT] * 2, "amount": [1, 1], "other": [1, 2], "note": 1})
    assert decode(frame).unknown_fields == {"other": 1}


def test_card_numbers_do_not_stay() -> None:
    decoded = with_column("card", pl.Series([4111111111111111, None, 4111111111111111]))
    texts = values_of(decoded, "card")
    assert texts[0] == texts[2]
    assert texts[0].startswith("tok_")
    assert b"4111" not in decoded.batch.texts.heap.tobytes()


def test_a_dead_letter_is_the_row_as_json_and_hides_cards_in_its_detail() -> None:
    (letter,) = with_column("card", pl.Series([[4111]])).dead
    assert "4111" not in letter.detail
    assert json.loads(letter.record)["card"] == [4111]


def test_an_empty_table_is_an_empty_batch() -> None:
    decoded = decode(pl.DataFrame())
    assert (len(decoded.batch), decoded.dead, decoded.unknown_fields) == (0, [], {})


def test_a_mapping_of_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="amount"):
        TableDecoder(SCHEMA, DecoderSettings(mapping={"amuont": "x"}), KEY, SKEW)


@pytest.mark.needs_data("handbook_card")
def test_the_handbook_data(shared_data: Path) -> None:
    fields = (
        Field("customer_id", FieldType.ID),
        Field("terminal_id", FieldType.ID),
        Field("amount", FieldType.MONEY, required=True),
        Field("fraud", FieldType.BOOL),
    )
    schema = Schema((EventKind("payment", fields, id="transaction_id", time="time", decide=True),))
    names = {"transaction_id": "TRANSACTION_ID", "time": "TX_DATETIME", "amount": "TX_AMOUNT", "fraud": "TX_FRAUD"}
    names |= {"customer_id": "CUSTOMER_ID", "terminal_id": "TERMINAL_ID"}
    frame = pl.read_parquet(shared_data / "handbook_card" / "transactions.parquet").head(200_000)
    decoded = TableDecoder(schema, DecoderSettings(mapping=names), KEY, SKEW).decode(frame, 0, ARRIVAL)
    assert decoded.dead == []
    cents = (frame["TX_AMOUNT"] * 100).round().cast(pl.Int64).to_numpy()
    np.testing.assert_array_equal(decoded.batch.values[2], cents)
    np.testing.assert_array_equal(decoded.batch.values[3], frame["TX_FRAUD"].to_numpy())
    np.testing.assert_array_equal(decoded.batch.time, frame["TX_DATETIME"].dt.epoch("us").to_numpy())
    assert decoded.batch.texts.get(0, 123) == "123"
    assert int(decoded.batch.values[0, 9]) == KEY.hash(str(frame["CUSTOMER_ID"][9]))


def test_reasons_are_the_same_for_tables_and_lines() -> None:
    spoiled: list[dict[str, Any]] = [
        {"amount": -1},
        {"amount": 10**14},
        {"attempts": 2**63},
        {"customer": "x" * 257},
        {"payment_id": ""},
    ]
    lines = JsonDecoder(SCHEMA, PAYMENTS, KEY, SKEW)
    for changes in spoiled:
        record = {"payment_id": "p", "at": 1, "amount": 1} | changes
        found = decode(pl.DataFrame([record])).dead[0].reason
        assert found is lines.decode(json.dumps(record).encode(), 0, ARRIVAL).dead[0].reason
        assert isinstance(found, ReasonCode)
