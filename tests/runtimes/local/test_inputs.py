from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from counterfoil.config import LimitsConfig, RunConfig, SinkConfig, SourceConfig, StateConfig
from counterfoil.detector_file import load_detector
from counterfoil.errors import ConfigurationError
from counterfoil.events.identity import IdentityKey
from counterfoil.runtimes.local.inputs import decoder_settings, open_input
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.summary import RunSummary
from tests.runtimes.sample import sample_detector

ROWS = [
    {
        "payment_id": f"p{number}",
        "at": f"2026-01-01T00:{number:02d}:00Z",
        "customer": f"customer-{number % 3}",
        "shop": "shop-1",
        "amount": 100.25 * (number + 1),
        "channel": "online",
    }
    for number in range(30)
]


def json_lines(path: Path) -> SourceConfig:
    path.write_text("".join(json.dumps({**row, "betrag": row["amount"], "amount": "x"}) + "\n" for row in ROWS))
    return SourceConfig(path=str(path), kind="payment", fields={"amount": "betrag"})


def csv(path: Path) -> SourceConfig:
    pl.DataFrame(ROWS).rename({"customer": "client"}).write_csv(path)
    return SourceConfig(path=str(path), format="csv", kind="payment", fields={"customer": "client"})


def delimited(path: Path) -> SourceConfig:
    names = ("payment_id", "at", "customer", "shop", "amount", "channel")
    path.write_text("".join("|".join(str(row[name]) for name in names) + "\n" for row in ROWS))
    return SourceConfig(path=str(path), format="lines", kind="payment", delimiter="|")


def named_columns(path: Path) -> SourceConfig:
    names = ("amount", "at", "payment_id", "customer", "note", "shop", "channel")
    path.write_text("".join(";".join(str(row.get(name, "n")) for name in names) + "\n" for row in ROWS))
    return SourceConfig(path=str(path), format="lines", kind="payment", columns=names)


def parquet(path: Path) -> SourceConfig:
    pl.DataFrame(ROWS).write_parquet(path)
    return SourceConfig(path=str(path), format="parquet", kind="payment")


def run(source: SourceConfig, folder: Path, *, resumed: bool = False) -> tuple[RunSummary, list[dict[str, object]]]:
    config = RunConfig(
        detector="sample",
        source=source,
        sinks=(SinkConfig(path=str(folder / "out.ndjson")),),
        state=StateConfig(folder=str(folder / "state")),
        limits=LimitsConfig(batch_events=7),
    )
    with LocalRuntime(config, sample_detector(), clock=lambda: 1_800_000_000_000_000) as runtime:
        summary = runtime.run()
    if resumed:
        return run(source, folder)
    decisions = [json.loads(line) for line in (folder / "out.ndjson").read_text().splitlines()]
    return summary, [{name: value for name, value in each.items() if name != "position"} for each in decisions]


@pytest.mark.parametrize("write", [csv, delimited, named_columns, parquet])
def test_every_format_gives_the_same_decisions(write: Callable[[Path], SourceConfig], tmp_path: Path) -> None:
    for name in ("expected", "found"):
        (tmp_path / name).mkdir()
    _, expected = run(json_lines(tmp_path / "rows.ndjson"), tmp_path / "expected")
    summary, found = run(write(tmp_path / "rows"), tmp_path / "found")
    assert found == expected
    assert (summary.events, summary.decided) == (30, 30)
    again, still = run(write(tmp_path / "rows"), tmp_path / "found", resumed=True)
    assert (again.events, still) == (0, expected)


@pytest.mark.parametrize(("what", "detector"), [("payments", "payments"), ("transfers", "laundering")])
def test_the_generators_are_sources(what: str, detector: str, tmp_path: Path) -> None:
    source = SourceConfig(type="generator", generate=what, count=150, customers=50)
    config = RunConfig(detector=detector, source=source, state=StateConfig(folder=str(tmp_path)))
    with LocalRuntime(config) as runtime:
        summary = runtime.run()
    assert summary.events == 150
    assert summary.dead_letters == 0
    assert summary.decided + summary.observed == 150
    with LocalRuntime(replace(config, source=replace(source, count=200))) as runtime:
        assert runtime.run().events == 50


def test_what_does_not_fit_the_detector_is_named(tmp_path: Path) -> None:
    detector, limits, key = sample_detector(), LimitsConfig(), IdentityKey()
    path = tmp_path / "rows"
    path.write_text("")
    lines = SourceConfig(path=str(path), format="lines")
    with pytest.raises(ConfigurationError, match=r"source\.columns: found nothing"):
        open_input(lines, limits, detector, key)
    with pytest.raises(ConfigurationError, match=r"source\.kind: found 'paymant'.*did you mean \"payment\""):
        open_input(replace(lines, kind="paymant"), limits, detector, key)
    classic = decoder_settings(lines, limits, load_detector("laundering"))
    assert (classic.kind, classic.delimiter) == ("transfer", ";")
    assert classic.fields == ("time", "sender", "receiver", "amount")


@pytest.mark.parametrize("write", [csv, delimited])
@pytest.mark.parametrize("growing", [False, True])
def test_a_delimited_last_line_without_its_newline_may_grow(
    write: Callable[[Path], SourceConfig], growing: bool, tmp_path: Path
) -> None:
    path = tmp_path / "rows"
    config = write(path)
    path.write_bytes(path.read_bytes()[:-1])
    feed = open_input(config, LimitsConfig(), sample_detector(), IdentityKey(), growing)
    records = 0
    while (chunk := feed.source.read(lambda: False)) is not None:
        records += chunk.next_position - chunk.position
    feed.source.close()
    assert records == len(ROWS) - growing
