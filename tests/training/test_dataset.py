"""Training tables: features as of each event, labels as of when they were known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from counterfoil.backtest import Backtest, Period
from counterfoil.cli import application
from counterfoil.detector import Detector
from counterfoil.detector_file import read_detector
from counterfoil.errors import ConfigurationError, InputError
from counterfoil.training import Dataset, Labelling, TrainingTable

DAY = 86_400
START = 1_767_225_600
DEFINITION = """
detector: sample
events:
  payment:
    id: payment_id
    time: at
    decide: true
    fields: {card: id, amount: {type: money, required: true}, channel: category, FRAUD}
  outcome:
    id: outcome_id
    time: known_at
    fields: {payment_id: id, verdict: category}
    ignore: [fraud]
entities: {card: card}
features:
  - {name: count, count: payment, by: card, over: 7d}
  - {name: usual, mean: amount, by: card, prior: true}
  - {name: ratio, expr: "amount / usual"}
  - {name: since, time_since: payment, by: card}
"""


def detector(own_label: bool = False) -> Detector:
    fields = DEFINITION.replace("FRAUD}", "fraud: bool}" if own_label else "x: int}\n    ignore: [fraud]")
    return read_detector(fields)


def payment(number: int, day: float, fraud: bool = False, **more: Any) -> dict[str, Any]:
    at = START + int(day * DAY)
    return {
        "kind": "payment", "payment_id": f"p{number}", "at": at, "card": f"c{number % 3}", "amount": 10 + number,
        "channel": ("online", "pos")[number % 2], "fraud": fraud, **more,
    }  # fmt: skip


def outcome(number: int, day: float, verdict: str) -> dict[str, Any]:
    at = START + int(day * DAY)
    return {
        "kind": "outcome", "outcome_id": f"o{number}-{day}", "known_at": at, "payment_id": f"p{number}",
        "verdict": verdict,
    }  # fmt: skip


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def made(tmp_path: Path, events: list[dict[str, Any]], labelling: Labelling | None, **more: Any) -> TrainingTable:
    out = tmp_path / "table.parquet"
    path = write(tmp_path / "events.ndjson", events)
    Dataset(more.pop("detector", detector()), [path], out, labelling, **more).write()
    return TrainingTable.read(out)


def test_a_row_a_decided_event_with_fields_and_features(tmp_path: Path) -> None:
    events = [payment(number, number / 4, fraud=number % 5 == 0) for number in range(40)]
    found = made(tmp_path, events, Labelling("fraud", 0))
    names = ["card", "amount", "channel", "x", "count_7d", "usual", "ratio", "since"]
    assert found.frame.columns == ["id", "event_time", "label", "label_known_at", *names]
    assert list(found.content.types) == names
    assert found.content.types["since"] == "interval"
    assert found.frame["id"].to_list() == [event["payment_id"] for event in events]
    assert found.frame["channel"].to_list() == [event["channel"] for event in events]
    assert found.frame["label"].to_list() == [event["fraud"] for event in events]
    assert found.content.detector == detector().version


def test_features_are_those_that_a_back_test_serves(tmp_path: Path) -> None:
    events = [payment(number, number / 4) for number in range(60)]
    found = made(tmp_path, events, Labelling("fraud", 0))
    features = tmp_path / "features.parquet"
    Backtest(detector(), [tmp_path / "events.ndjson"], features=features).run()
    served = pl.read_parquet(features)
    assert found.frame.select(served.columns).equals(served)


def test_a_label_in_the_record_is_known_only_after_the_delay(tmp_path: Path) -> None:
    events = [payment(number, number, fraud=number % 2 == 0) for number in range(20)]
    found = made(tmp_path, events, Labelling("fraud", 7 * DAY * 10**6))
    assert found.labels.tolist() == [1 - number % 2 if number <= 12 else -1 for number in range(20)]
    # As of day 10: what happened up to day 3 was known.
    early = found.labels_at((START + 10 * DAY) * 10**6)
    assert early.tolist() == [1 - number % 2 if number <= 3 else -1 for number in range(20)]


def test_as_of_leaves_out_what_became_known_later(tmp_path: Path) -> None:
    events = [payment(number, number) for number in range(20)]
    found = made(tmp_path, events, Labelling("fraud", 7 * DAY * 10**6, as_of=(START + 10 * DAY) * 10**6))
    assert (found.labels >= 0).tolist() == [number <= 3 for number in range(20)]


def test_the_label_never_stands_among_what_a_model_may_read(tmp_path: Path) -> None:
    events = [payment(number, number) for number in range(5)]
    found = made(tmp_path, events, Labelling("fraud", 0), detector=detector(own_label=True))
    assert "fraud" not in found.frame.columns


def test_outcomes_are_known_when_they_happen_and_silence_is_genuine_after_the_delay(tmp_path: Path) -> None:
    events = [payment(number, number) for number in range(10)]
    events += [outcome(1, 10, "fraud"), outcome(2, 11, "genuine"), outcome(3, 12, "fraud"), outcome(3, 20, "genuine")]
    events.append(payment(10, 21))
    labelling = Labelling("outcome.verdict", 15 * DAY * 10**6)
    found = made(tmp_path, events, labelling)
    assert found.labels.tolist() == [0, 1, 0, 0, 0, 0, 0, -1, -1, -1, -1]
    known = [None if each is None else (each.timestamp() - START) / DAY for each in found.frame["label_known_at"]]
    assert known == [15, 10, 11, 20, 19, 20, 21, None, None, None, None]
    # Before the second word on it, payment 3 was a fraud for everybody.
    labelling = Labelling("outcome.verdict", 15 * DAY * 10**6, as_of=(START + 16 * DAY) * 10**6)
    assert made(tmp_path, events, labelling).labels.tolist()[:4] == [0, 1, 0, 1]


def test_an_event_reported_late_was_genuine_until_then(tmp_path: Path) -> None:
    events = [payment(0, 0), outcome(0, 30, "fraud"), payment(1, 40)]
    found = made(tmp_path, events, Labelling("outcome.verdict", 10 * DAY * 10**6))
    at = [int(found.labels_at(int((START + day * DAY) * 10**6))[0]) for day in (5, 15, 29.9, 30, 40)]
    assert at == [-1, 0, 0, 1, 1]


def test_without_a_delay_what_was_never_reported_has_no_label(tmp_path: Path) -> None:
    events = [payment(0, 0), payment(1, 1), outcome(0, 5, "fraud"), payment(2, 90)]
    assert made(tmp_path, events, Labelling("outcome.verdict")).labels.tolist() == [1, -1, -1]


def test_only_rows_of_the_period_are_written_and_state_is_warm(tmp_path: Path) -> None:
    events = [payment(number, number / 2) for number in range(40)]
    whole = made(tmp_path, events, Labelling("fraud", 0))
    part = made(tmp_path, events, Labelling("fraud", 0), period=Period((START + 10 * DAY) * 10**6, None))
    assert part.frame.drop("label_known_at").equals(whole.frame[20:].drop("label_known_at"))


def test_a_journal_gives_the_same_table_as_its_files(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    events: list[dict[str, Any]] = [payment(number, number / 2) for number in range(60)]
    events += [outcome(number, 32, "fraud" if number % 7 == 0 else "genuine") for number in range(40)]
    path = write(tmp_path / "events.ndjson", events)
    definition = tmp_path / "sample.yaml"
    definition.write_text(DEFINITION.replace("FRAUD}", "x: int}\n    ignore: [fraud]"))
    state = tmp_path / "state"
    command = ["run", "--detector", definition, "--input", path, "--output", tmp_path / "out.ndjson", "--state", state]
    ran = CliRunner().invoke(application, [str(each) for each in command])
    assert ran.exit_code == 0, ran.stderr
    labelling = Labelling("outcome.verdict", 10 * DAY * 10**6)
    Dataset(detector(), [path], tmp_path / "files.parquet", labelling).write()
    Dataset(detector(), [state], tmp_path / "journal.parquet", labelling).write()
    first, second = TrainingTable.read(tmp_path / "files.parquet"), TrainingTable.read(tmp_path / "journal.parquet")
    assert first.frame.equals(second.frame)
    assert (first.labels == 1).sum() == 6
    with pytest.raises(ConfigurationError, match=r"KIND\.FIELD"):
        Dataset(detector(), [state], tmp_path / "x.parquet", Labelling("fraud", 0)).write()


def test_wrong_use_names_what_may(tmp_path: Path) -> None:
    events = [payment(0, 0)]
    with pytest.raises(ConfigurationError, match=r"outcome\.verdict"):
        made(tmp_path, events, Labelling("outcome.verdikt"))
    with pytest.raises(ConfigurationError, match="--label-id"):
        made(tmp_path, events, Labelling("outcome.verdict", None, "verdict"))
    with pytest.raises(ConfigurationError, match="0 or more"):
        Labelling("fraud", -1)
    with pytest.raises(InputError, match="counterfoil dataset"):
        TrainingTable.read(write(tmp_path / "no.parquet", events))
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="does not say which detector"):
        TrainingTable.read(tmp_path / "other.parquet")


def test_no_decided_event_gives_an_empty_table(tmp_path: Path) -> None:
    found = made(tmp_path, [outcome(1, 1, "fraud")], Labelling("outcome.verdict"))
    assert len(found) == 0
