from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from counterfoil.config import LimitsConfig, SourceConfig
from counterfoil.detector_file import load_detector
from counterfoil.errors import ConfigurationError, InputError
from counterfoil.events.generators import PaymentsGenerator, TransfersGenerator
from counterfoil.runtimes.local.replay import TIME_KIND, Portion, Replay, time_reader

SMALL = LimitsConfig(batch_events=64)


def read(replay: Replay) -> Portion:
    portions = list(replay.portions(lambda: False))
    keys = [key for each in portions for key in each.keys or ()]
    times = [each.times for each in portions if each.times is not None]
    return Portion(
        [value for each in portions for value in each.values], keys or None, np.concatenate(times) if times else None
    )


def source(path: Path, form: str, **more: object) -> SourceConfig:
    return SourceConfig(path=str(path), format=form, **more)  # type: ignore[arg-type]


def test_payments_with_keys_and_times(tmp_path: Path) -> None:
    events = next(PaymentsGenerator(seed=3, customers=50).chunks(500, 500))
    path = tmp_path / "payments.ndjson"
    path.write_bytes(events.to_ndjson())
    found = read(Replay(source(path, "json"), SMALL, load_detector("payments"), True, "customer_id"))
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert found.values == path.read_bytes().splitlines()
    assert found.keys == [record["customer_id"] for record in records]
    assert found.times is not None
    assert found.times.tolist() == events.time_us.tolist()


def test_lines_and_a_named_time(tmp_path: Path) -> None:
    transfers = next(TransfersGenerator(seed=3).chunks(300, 300))
    path = tmp_path / "transfers.txt"
    path.write_bytes(transfers.to_lines())
    names = ("time", "sender", "receiver", "amount")
    for found in (
        read(Replay(source(path, "lines"), SMALL, load_detector("laundering"), True, "receiver")),
        read(
            Replay(source(path, "lines", kind=TIME_KIND, columns=names), SMALL, time_reader("time"), True, "receiver")
        ),
    ):
        assert found.values == path.read_bytes().splitlines()
        assert found.keys == [str(each).encode() for each in transfers.receiver]
        assert found.times is not None
        assert found.times.tolist() == (transfers.time * 1_000_000).tolist()


def test_what_cannot_be_read_goes_all_the_same_with_the_one_before_it(tmp_path: Path) -> None:
    path = tmp_path / "some.ndjson"
    path.write_bytes(
        b'{"broken\n\n{"at":"2026-01-01T00:00:01Z"}\n{"at":"soon"}\n   \n{"at":"2026-01-01T00:00:09Z"}\r\n{}\n'
    )
    config = source(path, "json", kind=TIME_KIND)
    found = read(Replay(config, LimitsConfig(), time_reader("at"), True, None))
    assert found.values == [
        b'{"broken', b'{"at":"2026-01-01T00:00:01Z"}', b'{"at":"soon"}', b'{"at":"2026-01-01T00:00:09Z"}', b"{}",
    ]  # fmt: skip
    assert found.times is not None
    assert (np.diff(found.times) // 1_000_000).tolist() == [0, 0, 8, 0]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_rows_become_records(tmp_path: Path, form: str) -> None:
    events = next(PaymentsGenerator(seed=3, customers=50).chunks(300, 300))
    path = tmp_path / f"payments.{form}"
    if form == "csv":
        events.to_frame().write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")
    else:
        events.to_frame().write_parquet(path)
    found = read(Replay(source(path, form), SMALL, load_detector("payments"), True, "customer_id"))
    records = [json.loads(line) for line in events.to_ndjson().splitlines()]
    # A date is a time of the day with fewer digits: compared as instants below.
    dropped = {"event_time", "changed_at", "known_at"}
    plain = [{name: each for name, each in row.items() if each is not None and name not in dropped} for row in records]
    sent = [{name: each for name, each in json.loads(value).items() if name not in dropped} for value in found.values]
    assert sent == plain
    assert found.keys == [record["customer_id"] for record in records]
    assert found.times is not None
    assert found.times.tolist() == events.time_us.tolist()


def test_without_times_nothing_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text('a,b\n1,"x, y"\n\n2,\n')
    found = read(Replay(source(path, "csv"), LimitsConfig(), None, False, "a"))
    assert found == Portion([b'{"a":1,"b":"x, y"}', b'{"a":2}'], [b"1", b"2"], None)


def test_a_value_over_two_lines_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text('a,b\n1,"x\ny"\n2,z\n')
    with pytest.raises(InputError, match="near line 2"):
        read(Replay(source(path, "csv"), LimitsConfig(), None, False, None))


def test_wrong_use(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a;b\n")
    with pytest.raises(ConfigurationError, match="--time FIELD or --detector"):
        Replay(source(path, "lines"), LimitsConfig(), None, True, None)
    with pytest.raises(ConfigurationError, match="--columns or --detector"):
        Replay(source(path, "lines"), LimitsConfig(), None, False, "sender")
    with pytest.raises(ConfigurationError, match='did you mean "sender"'):
        Replay(source(path, "lines"), LimitsConfig(), load_detector("laundering"), False, "sendr")
    with pytest.raises(ConfigurationError, match="allowed: the name of a field"):
        time_reader("")
    with pytest.raises(InputError):
        Replay(source(tmp_path / "absent", "parquet"), LimitsConfig(), None, False, None)


def test_parquet_keeps_the_digits_of_a_decimal(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pl.DataFrame({"id": ["1"], "amount": ["12.50"]}).with_columns(
        pl.col("amount").cast(pl.Decimal(10, 2))
    ).write_parquet(path)
    assert read(Replay(source(path, "parquet"), LimitsConfig(), None, False, None)).values == [
        b'{"id":"1","amount":12.50}'
    ]
