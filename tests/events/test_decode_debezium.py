"""Changes of rows: what Debezium writes is one event of the right kind, exactly, or a dead letter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.errors import ConfigurationError
from counterfoil.events.changes import IGNORE, OPERATIONS, ChangeKinds
from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decode_debezium import DebeziumDecoder
from counterfoil.events.decoding import Decoded, DecoderSettings
from counterfoil.events.kinds import EventKind, Field, FieldType, Schema, TimeUnit
from counterfoil.events.record_batch import RecordBatch
from tests.events.avro_records import line_of
from tests.events.debezium_records import changed, envelope
from tests.events.records import ARRIVAL, KEY, PAYMENT, SCHEMA, SKEW, RefusedError, decode_slow, events_of

PLAIN = DecoderSettings(kind="payment")
REMOVED = EventKind(
    "payment_delete",
    (Field("amount", FieldType.MONEY), Field("customer", FieldType.ID)),
    id="payment_id",
    time="removed_at",
    time_unit=TimeUnit.MILLISECONDS,
)
CHANGED = EventKind(
    "payment_update",
    (Field("amount", FieldType.MONEY), Field("amount_before", FieldType.MONEY)),
    id=None,
    time="changed_at",
)
ROWS = Schema((PAYMENT, REMOVED, CHANGED))
MAPPING = {
    "removed_at": "payload.source.ts_ms",
    "changed_at": "payload.ts_ms",
    "amount_before": "payload.before.amount",
}
ROW = {"payment_id": "p-1", "at": "2026-01-02T03:04:05.678Z", "amount": "57.16", "customer": 7}


def decoder(
    kinds: ChangeKinds | None = None,
    encodings: dict[str, str] | None = None,
    schema: Schema = ROWS,
    **options: Any,
) -> DebeziumDecoder:
    mapping = MAPPING if schema is ROWS else {}
    chosen = DecoderSettings(mapping=mapping, **options)
    return DebeziumDecoder(schema, chosen, KEY, SKEW, kinds or ChangeKinds("payment"), encodings)


def decode(*values: bytes | None, using: DebeziumDecoder | None = None) -> Decoded:
    return (using or decoder()).decode_records(RecordBatch.of(values), ARRIVAL)


def refused(value: bytes, using: DebeziumDecoder | None = None) -> tuple[ReasonCode, str]:
    decoded = decode(value, using=using)
    assert len(decoded.batch) == 0
    (letter,) = decoded.dead
    assert letter.record == value
    return letter.reason, letter.detail


@given(
    st.lists(st.tuples(changed(), st.sampled_from(["create", "snapshot", "update", "delete"])), min_size=1, max_size=4),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_rows_come_back_exactly(rows: list[Any], with_schema: bool) -> None:
    every = ChangeKinds("payment", dict.fromkeys(OPERATIONS, "payment"))
    values, wanted, reasons = [], {}, {}
    using = decoder(every, None if with_schema else rows[0][0][3], SCHEMA)
    for (row, meant, fields, encodings), operation in rows:
        before, after = (row, None) if operation == "delete" else (None, row)
        values.append(envelope(operation, before, after, fields if with_schema else None))
        if not with_schema and encodings != rows[0][0][3]:
            # Without a schema all rows of a source are written in one way.
            values.pop()
            continue
        try:
            wanted[len(values) - 1] = decode_slow(line_of(meant), PLAIN)
        except RefusedError as error:
            reasons[len(values) - 1] = error.reason
    decoded = using.decode_records(RecordBatch.of(values), ARRIVAL)
    assert {letter.position: letter.reason for letter in decoded.dead} == reasons, decoded.dead
    assert events_of(decoded.batch) == wanted


def test_a_change_is_an_event_of_its_own_kind() -> None:
    after = {**ROW, "amount": "60.00"}
    decoded = decode(
        envelope("create", None, ROW),
        envelope("snapshot", None, {**ROW, "payment_id": "p-2"}),
        envelope("update", ROW, after),
        envelope("delete", after, None),
        None,
    )
    assert not decoded.dead
    assert decoded.records == 5
    events = events_of(decoded.batch)
    assert [(position, event.kind, event.id) for position, event in events.items()] == [
        (0, "payment", "p-1"),
        (1, "payment", "p-2"),
        (2, "payment_update", None),
        (3, "payment_delete", "p-1"),
    ]
    assert events[2].values == {"amount": 6000, "amount_before": 5716}
    assert events[2].time == 1_767_000_000_456_000
    assert events[3].values == {"amount": 6000, "customer": "7"}
    assert events[3].time == 1_767_000_000_123_000


def test_the_table_names_the_kind_where_nobody_else_does() -> None:
    using = decoder(ChangeKinds())
    decoded = decode(envelope("create", None, ROW), envelope("delete", ROW, None), using=using)
    assert [event.kind for event in events_of(decoded.batch).values()] == ["payment", "payment_delete"]
    reason, detail = refused(envelope("create", None, ROW, table="others"), using)
    assert reason is ReasonCode.UNKNOWN_KIND
    assert "source.table" in detail


def test_a_change_without_a_kind_is_a_dead_letter_unless_it_is_ignored() -> None:
    using = decoder(ChangeKinds("payment"), schema=SCHEMA)
    reason, detail = refused(envelope("update", None, ROW), using)
    assert reason is ReasonCode.UNMAPPED_OPERATION
    assert "update" in detail
    assert refused(envelope("truncate", None, None), using)[0] is ReasonCode.UNMAPPED_OPERATION
    quiet = decoder(ChangeKinds("payment", {"update": IGNORE, "truncate": IGNORE}), schema=SCHEMA)
    decoded = decode(envelope("update", None, ROW), envelope("truncate", None, None), using=quiet)
    assert not decoded.dead
    assert len(decoded.batch) == 0
    assert decoded.records == 2


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", ReasonCode.TRUNCATED),
        (b"[]", ReasonCode.NOT_AN_OBJECT),
        (b"{}", ReasonCode.INVALID_ENVELOPE),
        (b'{"a": 1}', ReasonCode.INVALID_ENVELOPE),
        (b'{"payload": {}}', ReasonCode.INVALID_ENVELOPE),
        (b'{"payload": 5}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":"c","after":null,"before":null}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":"c","before":{"payment_id":"p"}}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":"d","after":{"payment_id":"p"}}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":"d","after":{"payment_id":"p"},"before":{"payment_id":"p"}}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":"x","after":{"payment_id":"p"}}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":5,"after":{"payment_id":"p"}}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":"c","after":[1]}', ReasonCode.INVALID_ENVELOPE),
        (b'{"op":"c","after":{}}', ReasonCode.MISSING_ID),
        (b'{"op":"c","after":{},"after":{}}', ReasonCode.DUPLICATE_KEY),
        (b'{"op":"c","after":{"payment_id":1,"payment_id":2}}', ReasonCode.DUPLICATE_KEY),
        (b'{"op":"c","after":{"payment_id":"p"}', ReasonCode.TRUNCATED),
        (b'{"op":"c","after":{"payment_id":"p"}} x', ReasonCode.INVALID_JSON),
        (b'{"op":"c","after":{"payment_id":"p\xff"}}', ReasonCode.INVALID_UTF8),
        (b'{"op":"c","after":{"payment_id":"p\n"}}', ReasonCode.INVALID_JSON),
        (b'{"op":"c","after":{"payment_id":' + b"[" * 70 + b"]" * 70 + b"}}", ReasonCode.TOO_DEEP),
        (b'{"op":"c","after":{"payment_id":"p"},"pad":"' + b"x" * 2000 + b'"}', ReasonCode.RECORD_TOO_LARGE),
    ],
)
def test_what_is_no_change_is_a_dead_letter(value: bytes, reason: ReasonCode) -> None:
    good = envelope("create", None, ROW)
    decoded = decode(good, value, good, using=decoder(record_bytes_max=1_500))
    assert [(letter.position, letter.reason, letter.record) for letter in decoded.dead] == [(1, reason, value)]
    assert decoded.batch.position.tolist() == [0, 2]


def test_newlines_between_values_are_blanks() -> None:
    pretty = json.dumps(json.loads(envelope("create", None, ROW)), indent=2).encode()
    decoded = decode(pretty, pretty)
    assert not decoded.dead
    assert len(decoded.batch) == 2


def test_a_tombstone_in_an_envelope_is_no_event() -> None:
    decoded = decode(b'{"schema": null, "payload": null}', None, b"")
    assert (len(decoded.batch), len(decoded.dead), decoded.records) == (0, 0, 3)


def test_what_postgresql_did_not_log_is_null() -> None:
    row = {**ROW, "country": "__debezium_unavailable_value"}
    (event,) = events_of(decode(envelope("create", None, row)).batch).values()
    assert "country" not in event.values


def test_many_schemas_side_by_side() -> None:
    """More schemas than are remembered, each with another scale: every amount stays exact."""
    values = []
    for number in range(600):
        scale = number % 100
        column = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "version": number}
        fields = [{**column, "parameters": {"scale": str(scale)}, "field": "amount"}]
        unscaled = 5716 * 10 ** (scale - 2) if scale >= 2 else 57
        raw = unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big")
        import base64

        row = {**ROW, "amount": base64.b64encode(raw).decode()}
        values.append(envelope("create", None, row, fields))
    decoded = decode(*values)
    assert not decoded.dead
    amounts = [event.values["amount"] for event in events_of(decoded.batch).values()]
    assert amounts == [5716 if number % 100 >= 2 else (5700 if number % 100 == 0 else 570) for number in range(600)]


def test_amounts_beyond_every_limit_are_refused_and_shown() -> None:
    import base64

    for size in (9, 64, 65, 5_000):
        row = {**ROW, "amount": base64.b64encode(b"\x7f" * size).decode()}
        reason, detail = refused(envelope("create", None, row), decoder(encodings={"amount": "decimal(2)"}))
        assert reason is ReasonCode.MONEY_RANGE, (size, detail)
    row = {**ROW, "amount": "no base64!"}
    assert refused(envelope("create", None, row), decoder(encodings={"amount": "decimal(2)"}))[0] is (
        ReasonCode.WRONG_TYPE
    )


def test_every_dead_letter_shows_its_own_value() -> None:
    """More of them than there is room for rendered values at a time."""
    rows = [{**ROW, "at": 1_800_000_000_000 + number} for number in range(1_000)]
    decoded = decode(*(envelope("create", None, row) for row in rows), using=decoder(encodings={"at": "millis"}))
    assert len(decoded.dead) == 1_000
    for number, letter in enumerate(decoded.dead):
        assert letter.reason is ReasonCode.TIME_SKEW
        assert f"2027-01-15T08:00:0{number // 1000}.{number % 1000:03d}000Z" in letter.detail


def test_lines_of_a_file_keep_their_numbers() -> None:
    lines = b"\n".join([envelope("create", None, ROW), b"", b"{}", envelope("create", None, ROW)]) + b"\n"
    decoded = decoder().decode(lines, 100, ARRIVAL)
    assert decoded.batch.position.tolist() == [100, 103]
    assert [letter.position for letter in decoded.dead] == [102]
    assert decoded.records == 4
    assert decoder().decode(b"", 0, ARRIVAL).records == 0


def test_unknown_columns_are_counted() -> None:
    decoded = decode(envelope("create", None, {**ROW, "surprise": 1, "note": "known"}))
    assert decoded.unknown_fields == {"surprise": 1}


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"updat": "payment"}, "did you mean"),
        ({"update": "paymnt"}, "did you mean"),
    ],
)
def test_wrong_settings_are_named(kinds: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        decoder(ChangeKinds("payment", kinds))


def test_wrong_encodings_and_paths_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"encodings\.amount"):
        decoder(encodings={"amount": "base64"})
    with pytest.raises(ConfigurationError, match="payload"):
        DebeziumDecoder(
            ROWS, DecoderSettings(mapping={"at": "payload.transaction.id"}), KEY, SKEW, ChangeKinds("payment")
        )
