"""Container files: every codec, reading on, and damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from counterfoil.config import LimitsConfig, SourceConfig
from counterfoil.connectors.avro_file import AvroFileSource
from counterfoil.detector_file import read_detector
from counterfoil.errors import InputError
from counterfoil.events.batch import Batch
from counterfoil.runtimes.local.inputs import open_input
from tests.events.records import ARRIVAL, KEY

DETECTOR = read_detector(
    """
detector: small
events: {visit: {id: number, time: at, decide: true, fields: {place: id}}}
entities: {place: place}
features: [{name: count, count: visit, by: place, over: 1h}]
rules: [{name: many, when: count_1h >= 12, then: review, score: 0.8, reason: many}]
""",
    "small.yaml",
)
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Visit",
    "fields": [
        {"name": "number", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "place", "type": ["null", "string"]},
    ],
}
ROWS: list[dict[str, Any]] = [
    {"number": number, "at": 1_767_000_000_000 + number, "place": f"p{number % 7}"} for number in range(5_000)
]


def written(path: Path, codec: str = "null", rows: Any = ROWS) -> Path:
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(json.loads(json.dumps(SCHEMA))), rows, codec, sync_interval=2_000)
    return path


def read(path: Path, position: int = 0, offset: int = 0, events: int = 300) -> tuple[list[int], list[Any], list[Any]]:
    """Return the numbers of all events, the dead letters and where each chunk began."""
    config = SourceConfig(path=str(path), format="avro", kind="visit")
    feed = open_input(config, LimitsConfig(batch_events=events), DETECTOR, KEY)
    feed.source.seek(position, offset)
    numbers: list[int] = []
    dead: list[Any] = []
    places = []
    while (chunk := feed.source.read(lambda: False)) is not None:
        decoded = feed.decode(chunk, chunk.position, ARRIVAL)
        numbers += ids(decoded.batch)
        dead += decoded.dead
        assert decoded.records == chunk.next_position - chunk.position
        places.append((chunk.next_position, chunk.next_offset))
    feed.source.close()
    return numbers, dead, places


def ids(batch: Batch) -> list[int]:
    found = [int(batch.texts.get(0, index) or "") for index in range(len(batch))]
    assert found == batch.position.tolist()
    return found


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_every_codec(codec: str, tmp_path: Path) -> None:
    assert read(written(tmp_path / "visits.avro", codec))[0] == list(range(5_000))


def test_a_second_reader_goes_on_behind_any_chunk(tmp_path: Path) -> None:
    path = written(tmp_path / "visits.avro")
    _, _, places = read(path)
    assert len(places) > 10
    for position, offset in places[::5]:
        assert read(path, position, offset)[0] == list(range(position, 5_000))


def test_an_empty_file_of_records(tmp_path: Path) -> None:
    assert read(written(tmp_path / "none.avro", rows=[]))[0] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"PAR1" + data, "no Avro container file"),
        (lambda data: data[:40], "header"),
        (lambda data: data[:-5], "half a block"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "mark"),
        (lambda data: data.replace(b"null", b"lz99", 1), "codec"),
    ],
)
def test_damage_is_named(change: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "visits.avro")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=words):
        read(path)


def test_a_file_that_is_not_there_and_one_that_was_cut(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        AvroFileSource(tmp_path / "none", 10)
    source = AvroFileSource(written(tmp_path / "visits.avro"), 10)
    with pytest.raises(InputError, match="another file or was cut"):
        source.seek(5, 10**9)
    assert source.fingerprint(4) == source.fingerprint(4)
    source.close()
    source.close()


def test_records_with_wrong_values_are_dead_letters_and_keep_their_numbers(tmp_path: Path) -> None:
    rows = [{**row, "at": 2**60} if row["number"] % 1_000 == 1 else row for row in ROWS]
    plain = {**SCHEMA, "fields": [SCHEMA["fields"][0], {"name": "at", "type": "long"}, SCHEMA["fields"][2]]}
    path = tmp_path / "visits.avro"
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(json.loads(json.dumps(plain))), rows, "deflate")
    # A plain long counts seconds: all of them are absurd.
    numbers, dead, _ = read(path)
    assert numbers == []
    assert [letter.position for letter in dead] == list(range(5_000))
