"""Records in one buffer, and decoders of lines that read them: against one record at a time."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.decode_delimited import DelimitedDecoder
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import Decoder, DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.events.record_batch import RecordBatch, TextRecords
from tests.runtimes.sample import sample_detector

ARRIVAL = 1_800_000_000_000_000
DETECTOR = sample_detector()
DECODER = JsonDecoder(DETECTOR.schema, DecoderSettings(), IdentityKey(), DETECTOR.max_skew)
DELIMITED = DelimitedDecoder(
    DETECTOR.schema,
    DecoderSettings(kind="payment", fields=("payment_id", "at", "amount")),
    IdentityKey(),
    DETECTOR.max_skew,
)


@given(st.lists(st.none() | st.binary(max_size=8)), st.integers(0, 10**12))
def test_every_record_is_found_where_it_is_said_to_be(values: list[bytes | None], first: int) -> None:
    records = RecordBatch.of(values, first)
    assert len(records) == len(values)
    assert [records.get(index) for index in range(len(values))] == values
    assert records.position.tolist() == list(range(first, first + len(values)))


def _event(number: int, indent: int | None) -> bytes:
    content = {"kind": "payment", "payment_id": f"p{number}", "at": 1_767_225_600 + number, "amount": number}
    return json.dumps(content, indent=indent).encode()


RECORDS = st.lists(
    st.sampled_from([None, b"", b"{", b"\n", _event(1, None), _event(2, 2), _event(3, None) + b"\n", b"no json"])
    | st.sampled_from([b'p7,1767225607,"7"', b"p8,1767225608,8\r\n", b'p9,"1767225609']),
    max_size=12,
)


@given(RECORDS, st.sampled_from([DECODER, DELIMITED]))
def test_values_are_read_as_records_are(values: list[bytes | None], decoder: Decoder) -> None:
    expected = TextRecords(decoder).decode_records(RecordBatch.of(values, 100), ARRIVAL)
    found = TextRecords(decoder).decode_values(values, 100, ARRIVAL)
    assert found.dead == expected.dead
    assert (found.consumed, found.records, found.unknown_fields) == (
        expected.consumed,
        expected.records,
        expected.unknown_fields,
    )
    assert found.batch.position.tolist() == expected.batch.position.tolist()
    assert found.batch.values.tolist() == expected.batch.values.tolist()
    texts = [[batch.texts.get(row, 0) for row in range(1)] for batch in (found.batch, expected.batch) if len(batch)]
    assert not texts or texts[0] == texts[1]


@given(RECORDS)
def test_a_record_is_one_event_or_one_dead_letter(values: list[bytes | None]) -> None:
    decoded = TextRecords(DECODER).decode_records(RecordBatch.of(values, 100), ARRIVAL)
    expected_events, expected_dead = [], []
    for place, value in enumerate(values, 100):
        if value is None or not value.strip():
            continue
        try:
            json.loads(value)
        except ValueError:
            expected_dead.append(place)
        else:
            expected_events.append(place)
    assert decoded.batch.position.tolist() == expected_events
    assert [letter.position for letter in decoded.dead] == expected_dead
