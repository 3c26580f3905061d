from __future__ import annotations

import json
from datetime import datetime

import polars as pl

from counterfoil.events.generators.fields import FIELDS
from counterfoil.events.generators.frames import frame_schema
from tests.events.generators.conftest import Bank


def test_a_table_holds_what_the_lines_hold(bank: Bank) -> None:
    events = bank.events[5_000:6_000]
    frame = events.to_frame()
    assert frame.columns == list(frame_schema())
    for line, row in zip(events.to_ndjson().splitlines(), frame.iter_rows(named=True), strict=True):
        event = json.loads(line)
        for name in ("event_time", "changed_at", "known_at"):
            if name in event:
                event[name] = datetime.fromisoformat(event[name])
        assert {name: value for name, value in row.items() if name in event} == event
        assert all(value is None for name, value in row.items() if name not in event)


def test_an_empty_table_has_the_same_columns(bank: Bank) -> None:
    assert bank.events[:0].to_frame().schema == bank.events[:10].to_frame().schema


def test_every_field_has_a_column() -> None:
    names = {each.name for members in FIELDS.values() for each in members}
    assert set(frame_schema()) == names | {"kind"}
    assert frame_schema()["amount"] == pl.Float64()
