"""Every format through a real broker and a real schema registry: poison among good records, schemas that change."""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest

from counterfoil.config import (
    LimitsConfig,
    RegistryConfig,
    RunConfig,
    SinkConfig,
    SourceConfig,
    StateConfig,
    TopicConfig,
)
from counterfoil.detector_file import read_detector
from counterfoil.errors import InputError
from counterfoil.events.encodings import decimal_base64
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.summary import RunSummary
from counterfoil.stack import Stack
from tests.integration.conftest import guard, provisioned
from tests.integration.kafka import Broker

DETECTOR = read_detector(
    """
detector: transfers
events:
  transfer:
    id: number
    time: at
    decide: true
    fields: {sender: id, amount: money}
  transfer_delete: {id: number, time: removed_at, time_unit: ms, fields: {amount: money}}
entities: {sender: sender}
features:
  - {name: total, sum: amount, by: sender, over: 24h}
rules:
  - {name: much, when: total_24h > 1000000, then: review, score: 0.8, reason: "{total_24h} in a day."}
""",
    "transfers.yaml",
)
RECORDS = 2_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Row = dict[str, Any]


def row(number: int, naive: bool = False) -> Row:
    """Return a transfer; ``naive``: with a time that lacks its zone."""
    at = (BEGIN + timedelta(seconds=number)).isoformat()
    return {
        "number": f"n{number}",
        "at": at.removesuffix("+00:00") if naive else at,
        "sender": f"s{number % 50}",
        "amount": Decimal(number % 977) / 100 + number,
    }


class Registry:
    """The registry's own interface, as its users know it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def register(self, subject: str, schema: Any, kind: str = "AVRO") -> int:
        """Register a schema and return its number."""
        body = {"schema": json.dumps(schema), "schemaType": kind}
        answer = httpx.post(f"{self.url}/subjects/{subject}/versions", json=body, timeout=30)
        answer.raise_for_status()
        return int(answer.json()["id"])


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Give a real registry; ``COUNTERFOIL_TEST_REGISTRY=URL`` names one that runs already."""
    if given := os.environ.get("COUNTERFOIL_TEST_REGISTRY"):
        yield Registry(given)
        return
    stack = Stack(tmp_path_factory.mktemp("registry"))
    with provisioned():
        started = stack.up(["registry"], ports={"registry": 0}, brief=True)
    for each in started:
        guard(stack, each.name, os.getpid())
    try:
        yield Registry(started[0].addresses["registry"])
    finally:
        stack.down()


def record(*fields: tuple[str, Any], name: str = "Transfer") -> Any:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields]}


def decimal(scale: int) -> Any:
    return {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": scale}


def avro(schema: Any, number: int) -> Callable[[Row], bytes]:
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))

    def write(values: Row) -> bytes:
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, parsed, values)
        return struct.pack(">BI", 0, number) + buffer.getvalue()

    return write


@dataclass(frozen=True)
class Format:
    """How a format writes a row, what is poison in it, and the reason that poison is given."""

    settings: dict[str, Any]
    write: Callable[[Row], bytes]
    poison: bytes
    reason: str


def plain(values: Row) -> bytes:
    return json.dumps({**values, "amount": float(values["amount"])}).encode()


def line(values: Row) -> bytes:
    return f"{values['number']};{values['at']};{values['sender']};{values['amount']}".encode()


def changed(values: Row) -> bytes:
    after = {**values, "amount": decimal_base64(int(values["amount"] * 100))}
    return json.dumps({"before": None, "after": after, "op": "c", "source": {"table": "transfer"}}).encode()


TEXT_AVRO = record(("number", "string"), ("at", "string"), ("sender", ["null", "string"]), ("amount", decimal(2)))
JSON_SCHEMA = {"type": "object", "properties": {"number": {"type": "string"}, "amount": {"type": "number"}}}


def format_of(name: str, registry: Registry, topic: str) -> Format:
    match name:
        case "json":
            return Format({}, plain, b'{"number": "x", ', "truncated")
        case "lines":
            return Format({}, line, b"too;few", "invalid_line")
        case "debezium":
            settings = {"encodings": {"amount": "decimal(2)"}}
            return Format(settings, changed, b'{"op":"d","before":null,"after":null}', "invalid_envelope")
        case "debezium-avro":
            inner = {**TEXT_AVRO, "name": "Value"}
            schema = record(
                ("before", ["null", inner]), ("after", ["null", "Value"]), ("op", "string"), name="Envelope"
            )
            write = avro(schema, registry.register(f"{topic}-value", schema))
            poison = write({"before": None, "after": None, "op": "c"})
            return Format(
                {}, lambda each: write({"before": None, "after": each, "op": "c"}), poison, "invalid_envelope"
            )
        case "avro":
            write = avro(TEXT_AVRO, registry.register(f"{topic}-value", TEXT_AVRO))
            return Format({}, write, write(row(1))[:-2], "invalid_avro")
        case "debezium-json-schema":
            number = registry.register(f"{topic}-value", {"type": "object", "properties": {"op": {}}}, "JSON")
            frame = struct.pack(">BI", 0, number)
            settings = {"encodings": {"amount": "decimal(2)"}}
            return Format(settings, lambda each: frame + changed(each), changed(row(1)), "no_schema_id")
        case _:
            number = registry.register(f"{topic}-value", JSON_SCHEMA, "JSON")
            frame = struct.pack(">BI", 0, number)
            return Format(
                {}, lambda each: frame + plain(each), struct.pack(">BI", 0, 999_999) + b"{}", "unknown_schema"
            )


def settings(
    kafka: Broker, registry: Registry, folder: Path, topic: str, form: str, dead: str | None = None, **more: Any
) -> RunConfig:
    kind = "transfer"
    sinks = [] if dead is None else [SinkConfig(type="kafka", topic=dead, content="dead-letters")]
    return RunConfig(
        detector="transfers",
        source=SourceConfig(
            type="kafka",
            servers=kafka.address,
            topics=(TopicConfig(name=topic, kind=kind, format=form, **more),),
            format=form,
            until_end=True,
            group=kafka.group(),
            session_ms=6_000,
            registry=RegistryConfig(url=registry.url, wait_seconds=1.0),
        ),
        sinks=tuple(sinks),
        state=StateConfig(folder=str(folder)),
        limits=LimitsConfig(batch_events=500),
    )


def run(config: RunConfig) -> RunSummary:
    with LocalRuntime(config, DETECTOR) as runtime:
        return runtime.run()


@pytest.mark.parametrize(
    "form", ["json", "lines", "debezium", "avro", "debezium-avro", "json-schema", "debezium-json-schema"]
)
def test_poison_among_good_records(form: str, kafka: Broker, registry: Registry, tmp_path: Path) -> None:
    """One in a hundred is poison: each is a dead letter with bytes, place and reason, and what is mended is decided."""
    topic, dead = kafka.topic("in"), kafka.topic("dead")
    written = format_of(form, registry, topic)
    values: list[bytes] = []
    broken, naive = [], []
    for number in range(RECORDS):
        if number % 200 == 57:
            broken.append(number)
            values.append(written.poison)
        elif number % 200 == 157:
            naive.append(number)
            values.append(written.write(row(number, naive=True)))
        else:
            values.append(written.write(row(number)))
    kafka.produce(topic, values, partition=0)
    config = settings(kafka, registry, tmp_path, topic, form, dead, **written.settings)
    summary = run(config)
    assert (summary.decided, summary.dead_letters) == (RECORDS - len(broken) - len(naive), len(broken) + len(naive))
    found = {}
    for message in kafka.read(dead):
        pairs = dict(message.headers() or [])
        headers = {name: value.decode() for name, value in pairs.items() if isinstance(value, bytes)}
        offset = int(headers["source"].rpartition("/")[2])
        assert headers["source"] == f"{topic}/0/{offset}"
        assert message.value() == values[offset]
        found[offset] = headers["reason"]
    assert found == dict.fromkeys(broken, written.reason) | dict.fromkeys(naive, "bad_time")
    # Told that times without a zone are UTC, those can be read; the others stay dead.
    mended = replace(config, source=replace(config.source, kind="transfer", naive_utc=True, **written.settings))
    with LocalRuntime(mended, DETECTOR) as runtime:
        again = runtime.retry_dead_letters()
    assert (again.decided, again.dead_letters) == (len(naive), 0)


def test_writers_of_several_versions(kafka: Broker, registry: Registry, tmp_path: Path) -> None:
    """Fields come, go and widen; a schema that cannot be an event is a dead letter, and nobody else is touched."""
    topic, out = kafka.topic("in"), kafka.topic("out")
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    schemas = [
        record(("number", "string"), ("at", micros), ("sender", "string"), ("amount", "int")),
        record(("number", "string"), ("at", micros), ("amount", "long"), ("sender", "string"), ("channel", "string")),
        record(("amount", "double"), ("number", ["null", "string"]), ("at", ["null", micros])),
        record(("number", "string"), ("at", micros), ("amount", decimal(4)), ("sender", ["null", "string"])),
        record(("number", "string"), ("at", micros), ("amount", "boolean")),
    ]
    writers = [avro(schema, registry.register(f"{topic}-v{version}", schema)) for version, schema in enumerate(schemas)]
    values, wrong = [], []
    for number in range(RECORDS):
        version = 4 if number % 100 == 99 else number % 4
        amount: Any = {0: 57, 1: 57, 2: 57.16, 3: Decimal("57.1600"), 4: True}[version]
        at = BEGIN + timedelta(seconds=number)
        values.append(
            writers[version]({"number": f"n{number}", "at": at, "sender": "s", "channel": "web", "amount": amount})
        )
        if version == 4:
            wrong.append(number)
    kafka.produce(topic, values, partition=0)
    config = settings(kafka, registry, tmp_path, topic, "avro")
    config = replace(config, sinks=(SinkConfig(type="kafka", topic=out, features=True),))
    summary = run(config)
    assert (summary.decided, summary.dead_letters) == (RECORDS - len(wrong), len(wrong))
    totals, spent = {}, Decimal(0)
    for number in range(RECORDS):
        if number % 100 != 99 and number % 4 != 2:
            spent += Decimal("57.16") if number % 4 == 3 else 57
            totals[f"n{number}"] = spent
    decisions = {each["id"]: each["features"]["total_24h"] for each in map(json.loads, kafka.values(out))}
    assert len(decisions) == RECORDS - len(wrong)
    assert {name: round(Decimal(decisions[name]), 2) for name in totals} == totals
    with LocalRuntime(config, DETECTOR) as runtime:
        letters = list(runtime.store.dead_letters())
    assert {(each.reason, each.detail.partition(": ")[2]) for each in letters} == {
        ("incompatible_schema", "amount: found boolean; allowed: decimal, double, float, int, long, string")
    }


def test_a_registry_that_is_down_makes_nobody_a_dead_letter(kafka: Broker, registry: Registry, tmp_path: Path) -> None:
    topic = kafka.topic("in")
    number = registry.register(f"{topic}-value", TEXT_AVRO)
    kafka.produce(topic, [avro(TEXT_AVRO, number)(row(each)) for each in range(10)], partition=0)
    down = Registry("http://127.0.0.1:1/apis/ccompat/v7")
    with pytest.raises(InputError, match="no record was skipped"):
        run(settings(kafka, down, tmp_path, topic, "avro"))
    summary = run(settings(kafka, registry, tmp_path, topic, "avro"))
    assert (summary.decided, summary.dead_letters) == (10, 0)


def test_both_classic_forms_of_time(kafka: Broker, registry: Registry, tmp_path: Path) -> None:
    topic = kafka.topic("in")
    kafka.produce(
        topic,
        [b"n1;Sunday, 23-Jul-17 01:06:47 UTC;66;7810", b"n2;2017-07-23T01:06:47Z;66;7810.5\n", b"", b"n3;nonsense;1;1"],
        partition=0,
    )
    summary = run(settings(kafka, registry, tmp_path, topic, "lines"))
    assert (summary.decided, summary.dead_letters) == (2, 1)
