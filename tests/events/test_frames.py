"""Batches to frames and back, exactly."""

from __future__ import annotations

import gc
import io
import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import StorageError
from counterfoil.events import arrow
from counterfoil.events.batch import Batch
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.frames import column_name, frame_schema, from_frame, texts_to_series, to_frame
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from tests.events.records import ARRIVAL, KEY, SCHEMA, SKEW, events_of

DECODER = JsonDecoder(SCHEMA, DecoderSettings(), KEY, SKEW)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.text("漢é😀", min_size=4, max_size=60),
    st.integers(11, 14).map(lambda size: "x" * size),
)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


PAYMENTS = st.fixed_dictionaries(
    {
        "kind": st.just("payment"),
        "payment_id": TEXTS.filter(bool),
        "at": st.integers(0, 10**9),
        "amount": st.integers(0, 10**12),
        "customer": optional(TEXTS),
        "card": optional(TEXTS),
        "country": optional(TEXTS),
        "latitude": optional(st.floats(allow_nan=False, allow_infinity=False)),
        "attempts": optional(st.integers(1 - 2**63, 2**63 - 1)),
        "online": optional(st.booleans()),
        "ordered": optional(st.integers(0, 10**12)),
    }
)
TICKS = st.fixed_dictionaries({"kind": st.just("tick"), "at": st.integers(0, 10**9)})


def batch_of(records: list[dict[str, Any]]) -> Batch:
    decoded = DECODER.decode(b"\n".join(json.dumps(record).encode() for record in records), 7, ARRIVAL)
    assert decoded.dead == []
    return decoded.batch


def assert_same(left: Batch, right: Batch) -> None:
    for name in ("kind", "position", "time", "identity", "values", "nulls"):
        found, expected = getattr(left, name), getattr(right, name)
        assert found.dtype == expected.dtype
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(left.texts.length, right.texts.length)
    assert left.texts.length.dtype == right.texts.length.dtype
    assert events_of(left) == events_of(right)


@given(st.lists(st.one_of(PAYMENTS, TICKS), max_size=12))
def test_batches_come_back_exactly(records: list[dict[str, Any]]) -> None:
    batch = batch_of(records)
    frame = to_frame(batch)
    assert dict(frame.schema) == frame_schema(SCHEMA)
    assert_same(from_frame(frame, SCHEMA, KEY), batch)


@given(st.lists(PAYMENTS, min_size=4, max_size=12), st.data())
def test_slices_and_several_chunks_come_back(records: list[dict[str, Any]], data: st.DataObject) -> None:
    batch = batch_of(records)
    frame = to_frame(batch)
    first = data.draw(st.integers(0, len(records)))
    size = data.draw(st.integers(0, len(records) - first))
    part = batch.take(np.arange(first, first + size))
    assert_same(from_frame(frame.slice(first, size), SCHEMA, KEY), part)
    assert_same(from_frame(to_frame(part), SCHEMA, KEY), part)
    in_chunks = pl.concat([frame[:first], frame[first:]], rechunk=False)
    assert_same(from_frame(in_chunks, SCHEMA, KEY), batch)


def test_a_stored_frame_comes_back() -> None:
    batch = batch_of(
        [
            {"kind": "payment", "payment_id": f"payment-{index}" * (index % 3 + 1), "at": index, "amount": index}
            for index in range(5_000)
        ]
    )
    stored = io.BytesIO()
    to_frame(batch).write_parquet(stored)
    stored.seek(0)
    assert_same(from_frame(pl.read_parquet(stored), SCHEMA, KEY), batch)


def test_polars_gives_back_what_it_borrowed() -> None:
    before = len(arrow._lent)
    frame = to_frame(batch_of([{"kind": "payment", "payment_id": "x" * 50, "at": 1, "amount": 1}] * 3))
    kept = frame["id"]
    del frame
    gc.collect()
    assert kept.to_list() == ["x" * 50] * 3
    del kept
    gc.collect()
    assert len(arrow._lent) == before


def test_one_row_of_texts() -> None:
    batch = batch_of([{"kind": "tick", "at": 1}, {"kind": "payment", "payment_id": "é", "at": 1, "amount": 1}])
    series = texts_to_series(batch.texts, 0, "id")
    assert (series.name, series.to_list()) == ("id", [None, "é"])


def test_columns_with_the_frames_own_names() -> None:
    fields = (Field("time", FieldType.MONEY), Field("kind", FieldType.CATEGORY))
    schema = Schema((EventKind("k", fields, id=None, time="t"),))
    decoder = JsonDecoder(schema, DecoderSettings(kind="k"), KEY, SKEW)
    batch = decoder.decode(b'{"t": 5, "time": 7, "kind": "word"}', 0, ARRIVAL).batch
    frame = to_frame(batch)
    assert [column_name(each) for each in fields] == ["column.time", "column.kind"]
    assert frame.row(0, named=True) == {
        "position": 0,
        "kind": 0,
        "time": 5_000_000,
        "id": None,
        "column.time": 700,
        "column.kind": "word",
    }
    assert_same(from_frame(frame, schema, KEY), batch)


@pytest.mark.parametrize("change", [lambda frame: frame.drop("card"), lambda frame: frame.cast({"amount": pl.Int32})])
def test_a_frame_of_another_detector_is_refused(change: Any) -> None:
    frame = to_frame(Batch.empty(SCHEMA, 0))
    with pytest.raises(StorageError, match="another detector"):
        from_frame(change(frame), SCHEMA, KEY)
