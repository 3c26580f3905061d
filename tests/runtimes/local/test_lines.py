from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.kinds import TIME_MAX, TIME_MIN
from counterfoil.rules.definition import Outcome
from counterfoil.rules.types import Base, ValueType
from counterfoil.runtimes.local.arrays import heap_of
from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.records import Records, decode_records, encode_records
from counterfoil.runtimes.local.values import column_values, time_text

DECIDED_AT = 1_800_000_000_000_001
FINDING = b'"rules":[{"name":"r","score":0.5,"values":{"amount":12.30}}],"reasons":["why"]'

one_record = st.fixed_dictionaries(
    {
        "id": st.none() | st.text(max_size=12).filter(lambda text: max(text, default="a") < "\ud800"),
        "position": st.integers(0, 2**62),
        "time": st.integers(TIME_MIN, TIME_MAX),
        "score": st.floats(0, 1),
        "outcome": st.integers(0, 2),
        "late": st.booleans(),
        "finding": st.booleans(),
    }
)


def records_of(rows: list[dict[str, Any]]) -> Records:
    id_heap, id_offset, id_length = heap_of([(row["id"] or "").encode() for row in rows])
    id_length[[row["id"] is None for row in rows]] = -1
    heap, offset, length = heap_of([FINDING if row["finding"] else b"" for row in rows])
    return Records(
        np.arange(len(rows), dtype=np.int32),
        np.array([row["position"] for row in rows], np.int64),
        np.array([row["time"] for row in rows], np.int64),
        np.array([row["score"] for row in rows], np.float64),
        np.array([row["outcome"] for row in rows], np.uint8),
        np.array([row["late"] for row in rows], np.uint8),
        np.arange(len(rows), dtype=np.int64),
        id_heap,
        id_offset,
        id_length,
        heap,
        offset,
        np.where(length == 0, -1, length).astype(np.int32),
    )


def twin(row: dict[str, Any]) -> dict[str, Any]:
    """Return the decision as plain Python makes it."""
    found: dict[str, Any] = json.loads(b"{" + FINDING + b"}") if row["finding"] else {"rules": [], "reasons": []}
    return {
        "id": str(row["position"]) if row["id"] is None else row["id"],
        "position": row["position"],
        "event_time": rfc3339(row["time"]),
        "decided_at": rfc3339(DECIDED_AT),
        "outcome": list(Outcome)[row["outcome"]].value,
        "score": row["score"],
        **found,
        "detector": 'sample"@1',
        "late": row["late"],
    }


def rfc3339(microseconds: int) -> str:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    fraction = f"{time.microsecond // 1000:03d}" if microseconds % 1000 == 0 else f"{time.microsecond:06d}"
    return f"{time.year:04d}-{time:%m-%dT%H:%M:%S}.{fraction}Z"


@given(st.lists(one_record, max_size=8))
def test_the_kernel_writes_what_its_twin_does(rows: list[dict[str, Any]]) -> None:
    records = records_of(rows)
    lines = LineEncoder().encode(records, DECIDED_AT, 'sample"@1')
    assert [json.loads(line) for line in lines.split(b"\n")[:-1]] == [twin(row) for row in rows]
    assert lines.count(b"\n") == len(rows)


@given(st.lists(one_record, min_size=1, max_size=8), st.data())
def test_records_come_back_and_give_the_same_bytes(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    records = records_of(rows)
    again = decode_records(encode_records(records))
    encoder = LineEncoder()
    assert encoder.encode(again, 1, "d") == encoder.encode(records, 1, "d")
    assert np.array_equal(again.digest, records.digest)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    part = again.take(np.array(chosen, np.int64))
    whole = encoder.encode(records, 1, "d").splitlines(keepends=True)
    assert encoder.encode(part, 1, "d") == b"".join(whole[index] for index in chosen)
    assert again.findings(0)["rules"] == twin(rows[0])["rules"]


@given(st.integers(TIME_MIN, TIME_MAX))
def test_times_are_written_alike_everywhere(microseconds: int) -> None:
    assert time_text(microseconds) == rfc3339(microseconds)


def test_features_are_written_in_the_units_of_people() -> None:
    types = {
        "paid": ValueType(Base.MONEY, 2),
        "huge": ValueType(Base.MONEY, 2),
        "often": ValueType(Base.INT),
        "ratio": ValueType(Base.FLOAT),
        "broken": ValueType(Base.FLOAT),
        "seen": ValueType(Base.TIME),
        "since": ValueType(Base.INTERVAL),
        "new": ValueType(Base.BOOL),
        "none": ValueType(Base.INT),
    }
    floats = np.array([0.1, np.inf]).view(np.int64).tolist()
    words = np.array([[1230], [2**60 + 1], [7], [floats[0]], [floats[1]], [1_000], [1_500_000], [1], [0]], np.int64)
    nulls = np.zeros((len(types), 1), np.uint8)
    nulls[-1] = 1
    records = records_of([{"id": "a", "position": 0, "time": 0, "score": 0.0, "outcome": 0, "late": 0, "finding": 0}])
    records.features, records.feature_nulls = words, nulls
    again = decode_records(encode_records(records))
    line = LineEncoder(tuple(types.items())).encode(again, 0, "d")
    assert json.loads(line, parse_float=Decimal)["features"] == {
        "paid": Decimal("12.3"),
        "huge": Decimal("11529215046068469.77"),
        "often": 7,
        "ratio": Decimal("0.1"),
        "broken": None,
        "seen": "1970-01-01T00:00:00.001Z",
        "since": Decimal("1.5"),
        "new": True,
        "none": None,
    }


def test_exact_amounts_print_as_their_decimals() -> None:
    def written(*words: int) -> list[str]:
        values = np.array(words, np.int64)
        return [str(each) for each in column_values(values, np.zeros(len(words), np.uint8), ValueType(Base.MONEY, 2))]

    assert written(5716, -1, 10, 10**15 - 1) == ["57.16", "-0.01", "0.1", "9999999999999.99"]
    assert written(5716, 2**53 - 1) == ["57.16", "90071992547409.91"]
    assert written() == []


def test_a_block_without_decisions_may_record_features() -> None:
    records = records_of([])
    records.features, records.feature_nulls = np.zeros((3, 0), np.int64), np.zeros((3, 0), np.uint8)
    again = decode_records(encode_records(records))
    assert len(again) == 0
    assert LineEncoder((("count", ValueType(Base.INT)),)).encode(again, 0, "d") == b""
