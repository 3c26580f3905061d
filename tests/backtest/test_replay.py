from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from counterfoil.backtest import Backtest, Period, Progress
from counterfoil.config import LimitsConfig, SourceConfig
from counterfoil.errors import ConfigurationError, InputError
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.identity import IdentityKey
from counterfoil.program import Program
from tests.backtest.sample import START, detector, events, run, write

DAY = 86_400


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return write(tmp_path / "history.ndjson", events())


def payments(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["kind"] == "payment"]


def test_counts_add_up(tmp_path: Path) -> None:
    records = events()
    path = write(tmp_path / "history.ndjson", [*records, records[-1]], broken=True)
    result = run(path)
    totals = result.totals
    assert totals.events == len(records) + 3
    assert totals.decided == len(payments(records))
    assert totals.observed == len(records) - len(payments(records))
    assert (totals.duplicates, totals.dead) == (1, 2)
    found = result.as_dict()
    assert found["events"] == found["decided"] + found["observed"] + found["duplicates"] + found["dead_letters"]
    assert found["dead_letter_reasons"] == {"truncated": 1, "wrong_type": 1}
    assert found["events_per_second"] > 0
    json.dumps(found)


def test_it_decides_as_the_program_does(history: Path) -> None:
    chosen = detector()
    program = Program(chosen)
    decoder = JsonDecoder(chosen.schema, DecoderSettings(), IdentityKey(), chosen.max_skew)
    decided = program.process(decoder.decode(history.read_bytes(), 0, 2_000_000_000_000_000).batch)
    result = run(history)
    assert result.measures.decided == len(decided)
    assert result.measures.flagged == int((decided.outcome > 0).sum())
    assert result.measures.alerts == sum(change.opened for change in decided.alerts)
    hits = [each.hits for each in result.measures.rule_measures()]
    assert hits == (decided.hits == 1).sum(axis=1).tolist()


def test_features_are_one_row_a_payment_in_order(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    run(history, features=out)
    frame = pl.read_parquet(out)
    assert frame.columns == ["id", "event_time", *detector().feature_names]
    records = payments(events())
    assert frame["id"].to_list() == [record["payment_id"] for record in records]
    assert frame["event_time"].dt.epoch("s").to_list() == [record["at"] for record in records]
    assert frame.schema["spend_24h"] == pl.Decimal(38, 2)
    assert frame.schema["since_change"] == pl.Float64()
    spend: dict[str, list[tuple[int, Decimal]]] = {}
    for record, found in zip(records, frame["spend_24h"].to_list(), strict=True):
        own = spend.setdefault(record["customer"], [])
        own.append((record["at"], Decimal(str(record["amount"]))))
        assert found == sum(amount for at, amount in own if at > record["at"] - DAY)


def test_a_text_is_shown_as_its_hash(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    run(history, features=out)
    shops = pl.read_parquet(out)["last_shop"].drop_nulls()
    assert shops.str.contains(r"^#[0-9a-f]{16}$").all()
    assert shops.n_unique() <= 5


def test_batches_files_and_shards_change_nothing(history: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    expected = run(history, features=whole)
    lines = history.read_text().splitlines(keepends=True)
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    first.write_text("".join(lines[:137]))
    second.write_text("".join(lines[137:]))
    limits = LimitsConfig(batch_events=7, shards=3)
    found = run(history, files=(first, second), features=parts, limits=limits)
    assert pl.read_parquet(whole).equals(pl.read_parquet(parts))
    same = ("seconds", "events_per_second", "files")
    trimmed = [
        {name: value for name, value in each.as_dict().items() if name not in same} for each in (expected, found)
    ]
    assert trimmed[0] == trimmed[1]


def test_labels_never_reach_the_detector(tmp_path: Path) -> None:
    records = events()
    frames = []
    for number in range(3):
        changed = [
            record | {"fraud": (record.get("fraud"), not record.get("fraud"), None)[number]} for record in records
        ]
        path, out = write(tmp_path / f"{number}.ndjson", changed), tmp_path / f"{number}.parquet"
        run(path, features=out)
        frames.append(pl.read_parquet(out))
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


def test_a_label_that_cannot_be_read_is_missing_and_the_payment_is_decided(tmp_path: Path) -> None:
    records = events()
    chosen = payments(records)[3]
    chosen["fraud"] = {"who": "knows"}
    result = run(write(tmp_path / "history.ndjson", records))
    assert result.totals.dead == 0
    assert result.measures.labelled == result.measures.decided - 1


def test_measures_against_counting_by_hand(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "decisions.parquet"
    result = run(history, decisions=out)
    frame = pl.read_parquet(out)
    truth = {record["payment_id"]: record for record in payments(events())}
    assert frame["label"].to_list() == [truth[each]["fraud"] for each in frame["id"]]
    flagged = frame.filter(pl.col("outcome") != "approve")
    frauds = flagged.filter(pl.col("label"))
    measures = result.measures
    assert 0 < len(frauds) < len(flagged)
    assert measures.precision() == len(frauds) / len(flagged)
    assert measures.recall() == len(frauds) / sum(record["fraud"] for record in truth.values())
    caught = sum(Decimal(str(truth[each]["amount"])) for each in frauds["id"])
    assert measures.amount(1, 1) == float(caught)
    blocked = frame.filter((pl.col("outcome") == "block") & ~pl.col("label"))
    wrong = sum(Decimal(str(truth[each]["amount"])) for each in blocked["id"])
    assert measures.amount(2, 0) == float(wrong)
    rules = flagged["rules"].explode().drop_nulls()
    assert {"many", "large"} <= set(rules.to_list())
    assert (
        flagged.filter(pl.col("rules").list.contains("large"))["reasons"]
        .list.eval(pl.element().str.contains("in a day"))
        .list.any()
        .all()
    )


def test_the_period_is_warmed_up(history: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    start, end = (START + DAY) * 1_000_000, (START + 3 * DAY) * 1_000_000
    run(history, features=whole)
    result = run(history, features=part, period=Period(start, end))
    every = pl.read_parquet(whole)
    inside = every.filter(every["event_time"].dt.epoch("us").is_between(start, end, closed="left"))
    assert pl.read_parquet(part).equals(inside)
    assert result.measures.decided == len(inside)
    times = every["event_time"].dt.epoch("us").to_numpy()
    assert result.totals.before == int((times < start).sum())
    assert result.totals.after == int((times >= end).sum())
    assert [each.day for each in result.measures.days()] == [start // (DAY * 1_000_000), start // (DAY * 1_000_000) + 1]


def test_a_period_that_ends_before_it_begins() -> None:
    with pytest.raises(ConfigurationError, match="not after its start"):
        Period(5, 5)


def test_against_another_detector(history: Path) -> None:
    strict, lax = detector(2), detector(5)
    result = run(history, detector=strict, against=lax)
    assert result.other is not None
    assert result.comparison is not None
    alone = run(history, detector=lax)
    assert result.other.measures.counts.tolist() == alone.measures.counts.tolist()
    gained, lost = result.comparison.gained, result.comparison.lost
    assert sum(gained.values()) > 0
    assert lost == {"fraud": 0, "genuine": 0, "missing": 0}
    assert sum(gained.values()) == result.measures.flagged - alone.measures.flagged
    found = result.as_dict()
    assert found["against"]["alerts"] == alone.measures.alerts
    assert found["comparison"]["changed"]


def test_against_a_detector_that_cannot_read_everything(history: Path) -> None:
    demanding = detector()
    kinds = tuple(
        replace(kind, fields=tuple(replace(each, required=each.name != "customer") for each in kind.fields))
        for kind in demanding.schema.kinds
    )
    demanding = replace(demanding, schema=type(demanding.schema)(kinds))
    records = payments(events())
    records[4] = {name: value for name, value in records[4].items() if name != "shop"}
    result = run(write(history, records), against=demanding)
    assert result.other is not None
    assert result.comparison is not None
    assert result.other.totals.dead == 1
    assert int(result.comparison.counts.sum()) == len(records) - 1


def test_groups(history: Path) -> None:
    result = run(history, groups="story")
    frauds = sum(record["fraud"] for record in payments(events()))
    assert result.measures.groups["stolen"][0] == frauds
    assert set(result.measures.groups) == {"stolen"}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_other_formats_say_the_same(history: Path, tmp_path: Path, form: str) -> None:
    expected = run(history).as_dict()
    frame = pl.read_ndjson(history).with_columns(pl.from_epoch("at", "s").dt.replace_time_zone("UTC"))
    path = tmp_path / f"history.{form}"
    if form == "csv":
        frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        frame.write_parquet(path)
    found = run(path, source=SourceConfig(format=form)).as_dict()
    for name in ("decided", "observed", "alerts", "labels", "precision", "recall", "value", "rules"):
        assert found[name] == expected[name], name


def test_lines_without_ids(tmp_path: Path) -> None:
    from counterfoil.detector_file import load_detector

    path = tmp_path / "transfers.txt"
    path.write_text("".join(f"2017-07-23T01:{minute:02}:00Z;66;26;3000\n" for minute in range(5)))
    out = tmp_path / "features.parquet"
    result = Backtest(
        load_detector("laundering", {"window": "10m"}), (path,), SourceConfig(format="lines"), features=out
    ).run()
    assert result.measures.alerts == 1
    frame = pl.read_parquet(out)
    assert frame["id"].to_list() == ["0", "1", "2", "3", "4"]
    assert frame["pair_total_10m"].to_list() == [Decimal(3000 * (each + 1)) for each in range(5)]


def test_a_label_under_a_foreign_name(tmp_path: Path) -> None:
    records = [{"isFraud" if name == "fraud" else name: value for name, value in record.items()} for record in events()]
    path = write(tmp_path / "history.ndjson", records)
    mapped = run(path, source=SourceConfig(fields={"fraud": "isFraud"}))
    plain = run(path, labels="isFraud")
    assert mapped.measures.frauds == plain.measures.frauds == sum(bool(record.get("isFraud")) for record in records)


def test_progress_reaches_the_end(history: Path) -> None:
    seen: list[Progress] = []
    run(history, limits=LimitsConfig(batch_events=50), on_progress=seen.append)
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert seen[-1].done == pytest.approx(1.0)
    assert seen[-1].events == 400


def test_an_empty_file_has_its_columns(tmp_path: Path) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.write_text("")
    features, decisions = tmp_path / "features.parquet", tmp_path / "decisions.parquet"
    result = run(empty, features=features, decisions=decisions)
    assert result.totals.events == 0
    assert result.measures.precision() is None
    assert pl.read_parquet(features).columns == ["id", "event_time", *detector().feature_names]
    assert len(pl.read_parquet(decisions)) == 0


def test_what_is_wrong_is_said(tmp_path: Path, history: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        run(tmp_path / "absent.ndjson")
    with pytest.raises(ConfigurationError, match=r'--value: found "amout".*did you mean "amount"'):
        run(history, value="amout")
    with pytest.raises(ConfigurationError, match="FILES"):
        Backtest(detector(), ()).run()


def test_a_failure_leaves_no_file(history: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    with pytest.raises(InputError):
        run(history, files=(history, tmp_path / "absent.ndjson"), features=out)
    assert list(tmp_path.iterdir()) == [history]


def test_values_are_exact_far_beyond_floats(tmp_path: Path) -> None:
    amount = "90071992547409.91"
    records = [
        {"kind": "payment", "payment_id": f"p{n}", "at": START + n, "customer": "c", "amount": amount} for n in range(9)
    ]
    out = tmp_path / "features.parquet"
    run(write(tmp_path / "history.ndjson", records), features=out)
    spend = pl.read_parquet(out)["spend_24h"].to_list()
    assert spend == [Decimal(amount) * (n + 1) for n in range(9)]
