"""What a real Debezium wrote about a real table, under five settings: the same events from each."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from counterfoil.events.changes import ChangeKinds
from counterfoil.events.decode_debezium import DebeziumDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema
from tests.events.records import KEY, SKEW, events_of

FOLDER = Path(__file__).parent / "debezium"
RECORDED = 1_800_000_000_000_000
FIELDS = (
    Field("amount", FieldType.MONEY, required=True),
    Field("fee", FieldType.FLOAT),
    Field("rate", FieldType.FLOAT),
    Field("customer", FieldType.ID),
    Field("country", FieldType.CATEGORY),
    Field("latitude", FieldType.FLOAT),
    Field("attempts", FieldType.INTEGER),
    Field("online", FieldType.BOOL),
    Field("booked_at", FieldType.TIME),
    Field("noted_at", FieldType.TIME),
    Field("day", FieldType.TIME),
    Field("note", FieldType.CATEGORY),
)
PAYMENT = EventKind("payment", FIELDS, id="payment_id", time="made_at", decide=True)
UPDATE = EventKind(
    "payment_update",
    (Field("amount", FieldType.MONEY), Field("amount_before", FieldType.MONEY), Field("note", FieldType.CATEGORY)),
    id=None,
    time="changed_at",
)
DELETE = EventKind("payment_delete", (Field("amount", FieldType.MONEY),), id="payment_id", time="removed_at")
SCHEMA = Schema((PAYMENT, UPDATE, DELETE))
MAPPING = {
    "changed_at": "payload.source.ts_us",
    "removed_at": "payload.source.ts_ms",
    "amount_before": "payload.before.amount",
}
TIMES = {"booked_at": "millis", "noted_at": "micros", "day": "days"}
ENCODINGS = {
    "precise": {"amount": "decimal(2)", "fee": "decimal(5)", **TIMES},
    "string": TIMES,
}
MILLIS = 1_767_323_045_678_000
DAY = 1_767_312_000_000_000


def floats(**numbers: float) -> dict[str, bytes]:
    return {name: struct.pack("d", number) for name, number in numbers.items()}


@pytest.mark.parametrize("name", ["precise", "precise_schema", "string", "double", "isostring"])
def test_every_setting_gives_the_same_events(name: str) -> None:
    settings = DecoderSettings(mapping=MAPPING)
    changes = ChangeKinds("payment")
    decoder = DebeziumDecoder(SCHEMA, settings, KEY, SKEW, changes, ENCODINGS.get(name))
    decoded = decoder.decode((FOLDER / f"{name}.ndjson").read_bytes(), 0, RECORDED)
    assert not decoded.dead
    assert decoded.records == 6
    assert decoded.unknown_fields == {}
    events = events_of(decoded.batch)
    assert [(position, event.kind, event.id) for position, event in events.items()] == [
        (0, "payment", "p-1"),
        (1, "payment", "p-2"),
        (2, "payment_update", None),
        (3, "payment_delete", "p-2"),
        (5, "payment", "p-3"),
    ]
    assert events[0].time == events[1].time == events[5].time == MILLIS - 3_600_000_000 + 901
    # Connect's own times have milliseconds.
    noted = MILLIS + (0 if name == "double" else 901)
    assert events[0].values == {
        "amount": 5_716,
        "customer": "1",
        "country": "DE",
        "attempts": 3,
        "online": 1,
        "booked_at": MILLIS,
        "noted_at": noted,
        "day": DAY,
        **floats(fee=8.16571, rate=14.29, latitude=52.5),
    }
    assert events[1].values["amount"] == 9_999_999_999
    assert events[2].values == {"amount": 6_000, "amount_before": 5_716, "note": "corrected"}
    assert events[2].time - 1_795_386_600_000_000 < 60_000_000
    assert events[3].values == {"amount": 9_999_999_999}
    assert events[5].values["amount"] == 1
