from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterfoil.backtest.labels import FRAUD, GENUINE, MISSING, LabelReader, WordReader, label_of_text
from counterfoil.config import LimitsConfig, SourceConfig
from counterfoil.connectors.source import Chunk
from counterfoil.events.identity import IdentityKey
from tests.backtest.sample import START, detector

ARRIVAL = 2_000_000_000_000_000


def chunk(values: list[object]) -> Chunk:
    lines = [
        {"kind": "payment", "payment_id": f"p{number}", "at": START + number, "amount": 1}
        | ({} if value is ... else {"fraud": value})
        for number, value in enumerate(values)
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return Chunk(data, 0, len(values), len(data))


@pytest.fixture
def source(tmp_path: Path) -> SourceConfig:
    path = tmp_path / "history.ndjson"
    path.touch()
    return SourceConfig(path=str(path))


def read(source: SourceConfig, values: list[object]) -> list[int]:
    reader = LabelReader("fraud", source, LimitsConfig(), detector(), IdentityKey())
    return reader.labels(chunk(values), 0, ARRIVAL).tolist()


@pytest.mark.parametrize(
    "values",
    [
        [True, False, None, ..., True],
        [1, 0, None, ..., 1],
        [1.0, 0.0, None, ..., 0.5],
        ["1", "0", "", ..., "1"],
        ["fraud", "genuine", "who knows", ..., "FRAUD"],
    ],
    ids=["truth", "integers", "floats", "digits", "words"],
)
def test_every_way_to_write_a_label(source: SourceConfig, values: list[object]) -> None:
    assert read(source, values) == [FRAUD, GENUINE, MISSING, MISSING, FRAUD]


def test_ways_may_be_mixed(source: SourceConfig) -> None:
    assert read(source, [True, 1, "yes", False, 0, "no", [], {}]) == [1, 1, 1, 0, 0, 0, -1, -1]


def test_the_way_may_change_between_chunks(source: SourceConfig) -> None:
    reader = LabelReader("fraud", source, LimitsConfig(), detector(), IdentityKey())
    for values in ([True, False], ["yes", "no"], [1, 0], [True, False]):
        assert reader.labels(chunk(list(values)), 0, ARRIVAL).tolist() == [FRAUD, GENUINE]


def test_records_that_cannot_be_read_have_no_label(source: SourceConfig) -> None:
    good = chunk([True, True])
    assert isinstance(good.data, bytes)
    lines = good.data.splitlines(keepends=True)
    data = lines[0] + b'{"kind":"payment",\n' + lines[1]
    reader = LabelReader("fraud", source, LimitsConfig(), detector(), IdentityKey())
    assert reader.labels(Chunk(data, 7, 10, len(data)), 7, ARRIVAL).tolist() == [FRAUD, MISSING, FRAUD]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", "b", None], ["a", "b", None]),
        ([1, 2, None], ["1", "2", None]),
        ([True, False, None], ["true", "false", None]),
        ([0.5, 1.25, None], ["0.5", "1.25", None]),
    ],
)
def test_words(source: SourceConfig, values: list[object], words: list[str | None]) -> None:
    reader = WordReader("fraud", source, LimitsConfig(), detector(), IdentityKey())
    assert reader.words(chunk(values), 0, ARRIVAL).tolist() == words


def test_label_of_text() -> None:
    assert [label_of_text(text) for text in ("1", " Yes ", "FALSE", None, "2")] == [1, 1, 0, -1, -1]
