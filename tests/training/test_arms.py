"""Arms: who served whom, what is known of it by when, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from counterfoil.errors import ConfigurationError, InputError
from counterfoil.models.comparison import compare
from counterfoil.training.arms import Asked, arms_of, decision_lines
from tests.training.demo_model import DAY, decisions, frame, write


def test_arms_hold_what_was_decided_and_what_is_known(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 3_000)
    table = write(content, tmp_path / "table.parquet", as_of=5 * DAY)
    found = arms_of(decisions(content, random), table, Asked(by="customer_id", value="amount"))
    assert [arm.name for arm in found.arms] == ["fraud", "challenger"]
    assert [arm.model for arm in found.arms] == ["demo@1", "demo@2"]
    assert not found.paired
    assert sum(len(arm.score) for arm in found.arms) == 3_000
    assert not set(found.arms[0].customer) & set(found.arms[1].customer)
    times = table.times
    assert sum(int(arm.mature.sum()) for arm in found.arms) == np.count_nonzero(times <= 3 * DAY)
    # What became known after that day is not known.
    assert sum(int((arm.label == 1).sum()) for arm in found.arms) == np.count_nonzero(
        (times + 2 * DAY <= 5 * DAY) & (table.labels == 1)
    )
    assert sum(float(arm.amount.sum()) for arm in found.arms) == pytest.approx(content["amount"].sum())


def test_an_earlier_day_knows_less(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 3_000)
    table = write(content, tmp_path / "table.parquet", as_of=9 * DAY)
    lines = decisions(content, random)
    counts = [
        compare(*arms_of(lines, table, Asked(as_of=day * DAY)).arms, replicates=100).first.immature for day in (3, 5, 9)
    ]
    assert counts[0] > counts[1] > counts[2] == 0


def test_a_shadow_is_on_the_same_payments(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 2_000)
    table = write(content, tmp_path / "table.parquet", as_of=9 * DAY)
    found = arms_of(decisions(content, random, shadow=True), table, Asked(shadow="next", by="customer_id"))
    assert found.paired
    served, watched = found.arms
    asked = json.loads(next(iter(decisions(content, random, shadow=True))))["models"]
    assert watched.model == asked["next"]["model"] != served.model
    assert np.array_equal(served.customer, watched.customer)
    result = {
        each.name: each for each in compare(served, watched, paired=True, alert_rate=0.05, replicates=100).metrics
    }
    assert result["average precision"].better == "next"


def test_payments_that_the_table_does_not_know_are_counted(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 1_000)
    table = write(content[:900], tmp_path / "table.parquet", as_of=9 * DAY)
    assert arms_of(decisions(content, random), table, Asked()).unmatched == 100
    with pytest.raises(InputError, match="knows none of their ids"):
        arms_of(decisions(content[950:], random), table, Asked())


def test_a_payment_of_nobody_known_stands_for_itself(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 200)
    lines = decisions(content, random)
    nobody = content.with_columns(customer_id=pl.lit(None, pl.String))
    table = write(nobody, tmp_path / "table.parquet", as_of=9 * DAY)
    found = arms_of(lines, table, Asked(by="customer_id"))
    assert len({number for arm in found.arms for number in arm.customer.tolist()}) == 200


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    content = frame(random, 100)
    table = write(content, tmp_path / "table.parquet", as_of=9 * DAY)
    lines = decisions(content, random)
    with pytest.raises(InputError, match='none names "fruad"; they name fraud; did you mean "fraud"'):
        arms_of(lines, table, Asked("fruad"))
    with pytest.raises(InputError, match='none names "fraud" and "next"'):
        arms_of(lines, table, Asked("fraud", "next"))
    with pytest.raises(InputError, match="they name no models"):
        arms_of([b'{"id": "a", "outcome": "approve"}'], table, Asked())
    with pytest.raises(InputError, match="line 2 is no decision"):
        arms_of([lines[0], b"{}"], table, Asked())
    with pytest.raises(ConfigurationError, match=r'--value: the table has no column "amuont"; did you mean "amount"'):
        arms_of(lines, table, Asked(value="amuont"))
    alone = [line for line in lines if json.loads(line)["models"]["fraud"]["arm"] == "fraud"]
    with pytest.raises(InputError, match='every one was served by "fraud"'):
        arms_of(alone, table, Asked())


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "decisions.ndjson"
    path.write_bytes(b'{"id": "a"}\n\n{"id": "b"}\n')
    assert list(decision_lines(path)) == [b'{"id": "a"}\n', b'{"id": "b"}\n']
    with pytest.raises(InputError, match="cannot be read"):
        list(decision_lines(tmp_path / "none"))
