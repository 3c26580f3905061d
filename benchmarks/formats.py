"""The same payments as JSON, Avro and Debezium's changes: how fast they become columns, on one core.

Avro stands next to fastavro making a dictionary of each record, Debezium's changes next to msgspec making objects: both
leave hashes, checks, times as numbers and columns to do.
"""

from __future__ import annotations

import io
import json
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import fastavro
import msgspec

from benchmarks.harness import Result, best_seconds, report
from counterfoil.detector_file import load_detector
from counterfoil.events.changes import ChangeKinds
from counterfoil.events.decode_avro import AvroDecoder
from counterfoil.events.decode_debezium import DebeziumDecoder
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decode_json_schema import JsonSchemaDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.encodings import decimal_base64
from counterfoil.events.identity import IdentityKey
from counterfoil.events.record_batch import RecordBatch, RecordDecoder, TextRecords
from counterfoil.events.schemas import OneSchema, RegisteredSchema

RECORDS = 100_000
CHUNK = 10_000
ARRIVAL = 4_000_000_000_000_000
KEY = IdentityKey()
SETTINGS = DecoderSettings(kind="transaction")
FRAME = struct.pack(">BI", 0, 1)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = ("transaction_id", "customer_id", "card_id", "merchant_id", "device_id", "country")
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Transaction",
    "fields": [
        *({"name": name, "type": ["null", "string"]} for name in TEXTS),
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "latitude", "type": ["null", "double"]},
        {"name": "longitude", "type": ["null", "double"]},
        {"name": "terminal", "type": "string"},
    ],
}
COLUMNS: list[dict[str, Any]] = [
    *({"type": "string", "optional": True, "field": name} for name in TEXTS),
    {"type": "int64", "name": "io.debezium.time.MicroTimestamp", "version": 1, "field": "event_time"},
    {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}, "field": "amount"},
    {"type": "double", "optional": True, "field": "latitude"},
    {"type": "double", "optional": True, "field": "longitude"},
    {"type": "string", "field": "terminal"},
]


def payment(number: int) -> dict[str, Any]:
    """Return a payment."""
    return {
        "transaction_id": f"t{number:011d}",
        "customer_id": f"customer-{number % 20_000}",
        "card_id": f"card-{number % 31_000}",
        "merchant_id": f"merchant-{number % 3_000}",
        "device_id": f"device-{number % 25_000}",
        "country": ("DE", "FR", "NL", "AT")[number % 4],
        "event_time": BEGIN + timedelta(milliseconds=37 * number),
        "amount": Decimal(number % 500_000) / 100,
        "latitude": 48.0 + number % 977 / 1_000,
        "longitude": 11.0 + number % 877 / 1_000,
        "terminal": f"terminal-{number % 900}",
    }


def change(row: dict[str, Any], number: int, with_schema: bool) -> bytes:
    """Return the creation of a row as Debezium writes it."""
    micros = (row["event_time"] - BEGIN) // timedelta(microseconds=1) + 1_767_225_600_000_000
    after = {**row, "event_time": micros, "amount": decimal_base64(int(row["amount"] * 100))}
    source = {
        "version": "3.6.3.Final",
        "connector": "postgresql",
        "name": "bank",
        "ts_ms": micros // 1_000,
        "snapshot": "false",
        "db": "bank",
        "sequence": f'["{number}","{number + 8}"]',
        "schema": "public",
        "table": "transaction",
        "txId": number,
        "lsn": 24_023_128 + number,
        "xmin": None,
    }
    payload = {
        "before": None,
        "after": after,
        "source": source,
        "transaction": None,
        "op": "c",
        "ts_ms": micros // 1_000,
    }
    if not with_schema:
        return json.dumps(payload, separators=(",", ":")).encode()
    value = {"type": "struct", "fields": COLUMNS, "optional": True, "name": "bank.public.transaction.Value"}
    plain = [{"type": "string", "optional": True, "field": name} for name in source]
    fields = [
        {**value, "field": "before"},
        {**value, "field": "after"},
        {"type": "struct", "fields": plain, "name": "io.debezium.connector.postgresql.Source", "field": "source"},
        {"type": "string", "field": "op"},
        {"type": "int64", "optional": True, "field": "ts_ms"},
    ]
    schema = {"type": "struct", "fields": fields, "optional": False, "name": "bank.public.transaction.Envelope"}
    return json.dumps({"schema": schema, "payload": payload}, separators=(",", ":")).encode()


def avro(row: dict[str, Any], parsed: Any) -> bytes:
    """Return a row as Confluent's serializer writes it."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, parsed, row)
    return FRAME + buffer.getvalue()


def plain(row: dict[str, Any]) -> bytes:
    """Return a row as JSON."""
    shown = {**row, "event_time": row["event_time"].isoformat(), "amount": float(row["amount"])}
    return json.dumps(shown, separators=(",", ":")).encode()


def seconds_of(decoder: RecordDecoder, values: list[bytes]) -> float:
    """Return how long it takes to decode records, chunk by chunk."""
    chunks = [RecordBatch.of(values[first : first + CHUNK], first) for first in range(0, len(values), CHUNK)]

    def decode() -> None:
        for chunk in chunks:
            decoded = decoder.decode_records(chunk, ARRIVAL)
            assert len(decoded.batch) == len(chunk), decoded.dead[:1]

    decode()
    return best_seconds(decode)


def main() -> list[Result]:
    """Measure each format."""
    schema = load_detector("payments").schema
    rows = [payment(number) for number in range(RECORDS)]
    parsed = fastavro.parse_schema(json.loads(json.dumps(SCHEMA)))
    arguments = (schema, SETTINGS, KEY, 0)
    one = OneSchema(RegisteredSchema("AVRO", json.dumps(SCHEMA)))
    lines = [plain(row) for row in rows]
    records = [avro(row, parsed) for row in rows]
    changes = [change(row, number, False) for number, row in enumerate(rows)]
    with_schema = [change(row, number, True) for number, row in enumerate(rows)]
    encodings = {"amount": "decimal(2)", "event_time": "micros"}
    json_decoder = TextRecords(JsonDecoder(*arguments))
    framed = JsonSchemaDecoder(schema, SETTINGS, OneSchema(RegisteredSchema("JSON", "{}")), json_decoder)
    debezium = DebeziumDecoder(*arguments, ChangeKinds("transaction"), encodings)
    times = {
        "JSON": seconds_of(json_decoder, lines),
        "Avro": seconds_of(AvroDecoder(*arguments, one), records),
        "JSON Schema": seconds_of(framed, [FRAME + line for line in lines]),
        "Debezium": seconds_of(debezium, changes),
        "Debezium, schema in each": seconds_of(debezium, with_schema),
    }
    sizes = {
        "JSON": lines,
        "Avro": records,
        "JSON Schema": lines,
        "Debezium": changes,
        "Debezium, schema in each": with_schema,
    }
    dictionaries = best_seconds(
        lambda: [fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed) for value in records], 1
    )
    texts = [(name, str | None, None) for name in TEXTS]
    row_type = msgspec.defstruct("Row", [("amount", str), ("event_time", int), *texts])
    envelope = msgspec.defstruct("Envelope", [("op", str), ("after", row_type | None, None)])
    objects = msgspec.json.Decoder(envelope)
    structs = best_seconds(lambda: [objects.decode(value) for value in changes])
    found = [
        Result(
            f"{name} to columns, one core",
            RECORDS / seconds,
            "events/s",
            "",
            f"{sum(map(len, sizes[name])) / RECORDS:.0f} bytes a record, batches of {CHUNK:,}",
        )
        for name, seconds in times.items()
    ]
    return [
        *found,
        Result("Avro, against fastavro making dictionaries", dictionaries / times["Avro"], "×", "", "without columns"),
        Result("Debezium, against msgspec making objects", structs / times["Debezium"], "×", "", "without columns"),
    ]


if __name__ == "__main__":
    report(main)
