"""What a new state is made of: the history that topics still have."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.config import RunConfig, parse_config
from counterfoil.errors import InputError
from counterfoil.runtimes.engine import history
from counterfoil.runtimes.engine.history import check_history, check_topics, from_history
from counterfoil.runtimes.engine.job import position_of
from counterfoil.runtimes.engine.results import Splits

SPLITS = Splits(("in",))


def config(**source: Any) -> RunConfig:
    topics = {"type": "kafka", "servers": "localhost:1", "topics": [{"name": "in"}], **source}
    return parse_config({"detector": "payments", "source": topics})


def bounds(monkeypatch: pytest.MonkeyPatch, low: int) -> None:
    monkeypatch.setattr(history, "bounds_of", lambda _: {("in", 0): (low, 100)})


def test_history_begins_at_the_earliest_record_or_where_it_was_said() -> None:
    assert from_history(config(start="latest")).source.start == "earliest"
    assert from_history(config(start="in:0:7")).source.start == "in:0:7"


def test_records_that_are_gone_undecided_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    decided = {0: position_of(0, 50)}
    for low in (0, 50):
        bounds(monkeypatch, low)
        check_history(config(), decided, SPLITS)
    bounds(monkeypatch, 51)
    with pytest.raises(InputError, match=r"before in/0/51 .*--accept-gap"):
        check_history(config(), decided, SPLITS)
    check_history(config(accept_gap=True), decided, SPLITS)


def test_a_part_of_the_history_that_is_gone_is_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bounds(monkeypatch, 20)
    check_history(config(), {0: position_of(0, 50)}, SPLITS)
    assert "has deleted a part of the history" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("confluent_kafka")
    monkeypatch.setattr(history, "_ANSWER_SECONDS", 1.0)
    with pytest.raises(InputError, match="localhost:1 does not say"):
        check_topics(config())
    # Java's settings may be what it takes to reach it.
    check_topics(config(properties={"kafka.security.protocol": "SSL"}))
