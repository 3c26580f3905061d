from __future__ import annotations

import pytest

from counterfoil.connectors.kafka_start import Start
from counterfoil.errors import ConfigurationError

PARTITIONS = [("in", 0), ("in", 1), ("other", 0)]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("earliest", Start(word="earliest")),
        ("1970-01-01T00:00:01", Start(milliseconds=1_000)),
        ("1970-01-01T01:00:01+01:00", Start(milliseconds=1_000)),
        ("in:1:4,a:b:0:2", Start(places={("in", 1): 4, ("a:b", 0): 2})),
    ],
)
def test_reads_words_times_and_places(text: str, start: Start) -> None:
    assert Start.parse(text) == start


@pytest.mark.parametrize("text", ["", "newest", "in:1", "in:x:1", "in:1:-1", ":0:1"])
def test_refuses_what_is_none_of_them(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"source\.start \(--from\): found"):
        Start.parse(text)


def test_places_must_be_there() -> None:
    Start.parse("in:1:4,other:0:0").check(PARTITIONS)
    Start.parse("latest").check(PARTITIONS)
    with pytest.raises(ConfigurationError, match=r'found "othr"; allowed: a topic of the source: in, other; .*"?other'):
        Start.parse("othr:0:0").check(PARTITIONS)
    with pytest.raises(ConfigurationError, match=r'found partition 2 of "in"; allowed: 0 to 1'):
        Start.parse("in:2:0").check(PARTITIONS)
