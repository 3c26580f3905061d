"""Records of Avro: what fastavro writes comes back as the slow decoder of JSON would have it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.events.decode_avro import AvroDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.record_batch import RecordBatch
from counterfoil.events.schemas import RegisteredSchema
from tests.events.avro_records import encoded, line_of, written
from tests.events.records import ARRIVAL, KEY, SCHEMA, SKEW, RefusedError, decode_slow, events_of

PAYMENTS = DecoderSettings(kind="payment", record_bytes_max=1 << 20)


class Registry:
    """Schemas by number, in memory."""

    def __init__(self, *schemas: Any, kind: str = "AVRO") -> None:
        self.schemas = {7 + number: RegisteredSchema(kind, json.dumps(each)) for number, each in enumerate(schemas)}
        self.asked: list[int] = []

    def get(self, number: int) -> RegisteredSchema | None:
        self.asked.append(number)
        return self.schemas.get(number)


def decoder(*schemas: Any, options: DecoderSettings = PAYMENTS) -> AvroDecoder:
    return AvroDecoder(SCHEMA, options, KEY, SKEW, Registry(*schemas))


@given(st.lists(written(), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_what_writers_write_comes_back(records: list[Any]) -> None:
    using = decoder(*(schema for schema, _, _ in records))
    values = [encoded(schema, record, 7 + index) for index, (schema, record, _) in enumerate(records)]
    decoded = using.decode_records(RecordBatch.of(values, 100), ARRIVAL)
    wanted = {}
    refused = {}
    for index, (_, _, expected) in enumerate(records):
        try:
            wanted[100 + index] = decode_slow(line_of(expected), PAYMENTS)
        except RefusedError as error:
            refused[100 + index] = error.reason
    assert {letter.position: letter.reason for letter in decoded.dead} == refused
    assert events_of(decoded.batch) == wanted
