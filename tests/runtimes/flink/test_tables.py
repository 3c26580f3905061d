from __future__ import annotations

from typing import Any

import pytest

from counterfoil.config import parse_config
from counterfoil.detector_file import load_detector
from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.flink.tables import sink_table, source_table


def _config(**source: Any) -> Any:
    content = {"type": "kafka", "servers": "h:1", "topics": [{"name": "in"}, {"name": "more"}], **source}
    sinks = [{"type": "kafka", "topic": "out"}, {"type": "kafka", "topic": "late", "delivery": "exactly-once"}]
    return parse_config({"detector": "payments", "source": content, "sinks": sinks})


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("earliest", "'scan.startup.mode' = 'earliest-offset'"),
        ("latest", "'scan.startup.mode' = 'latest-offset'"),
        ("2026-01-01T00:00:00Z", "'scan.startup.timestamp-millis' = '1767225600000'"),
        ("more:0:2", "'scan.startup.mode' = 'earliest-offset'"),
        ("in:0:5,in:1:7,more:0:2", "'scan.startup.specific-offsets' = 'partition:0,offset:5;partition:1,offset:7'"),
    ],
)
def test_where_a_topic_begins(start: str, words: str) -> None:
    assert words in source_table("s", "in", _config(start=start).source, load_detector("payments"))


@pytest.mark.parametrize("start", ["soon", "in:x:3", "in:3"])
def test_a_place_that_is_none(start: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed"):
        source_table("s", "in", _config(start=start).source, load_detector("payments"))


def test_only_what_is_committed_is_read_and_the_end_is_only_where_it_is_wanted() -> None:
    text = source_table("s", "in", _config().source, load_detector("payments"))
    assert "'properties.isolation.level' = 'read_committed'" in text
    assert "scan.bounded" not in text
    text = source_table("s", "in", _config(until_end=True).source, load_detector("payments"))
    assert "'scan.bounded.mode' = 'latest-offset'" in text


def test_a_quote_stays_within_its_text() -> None:
    settings = {"security.protocol": "SASL_SSL", "sasl.username": "o'x", "sasl.password": "p'w"}
    text = source_table("s", "in", _config(properties=settings).source, load_detector("payments"))
    assert "o''x" in text
    assert "p''w" in text


def test_deliveries() -> None:
    config = _config()
    text = sink_table("topic0", config.sinks[0], config, "q")
    assert "'sink.delivery-guarantee' = 'exactly-once'" in text
    assert "'sink.transactional-id-prefix' = 'counterfoil-q-topic0'" in text
