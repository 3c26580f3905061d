from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from counterfoil.detector_file import load_detector
from tests.cli.conftest import Command, Kept


def test_json_has_what_scripts_rely_on(kept: Kept, command: Command) -> None:
    result = command("backtest", "payments", kept.source, "--labels", "fraud", "--by", "story", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    for name in ("events", "decided", "observed", "duplicates", "dead_letters", "alerts"):
        assert found[name] == kept.summary[name], name
    assert found["seconds"] > 0
    assert found["events_per_second"] > 0
    assert 0 <= found["recall"] <= 1
    assert found["groups"]


def test_it_agrees_with_the_run(kept: Kept, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "decisions.parquet"
    assert command("backtest", "payments", kept.source, "--decisions", out).exit_code == 0
    frame = pl.read_parquet(out)
    expected = kept.decisions()
    for name in ("id", "position", "outcome", "score", "reasons", "late", "detector"):
        assert frame[name].to_list() == [each[name] for each in expected], name
    assert frame["rules"].to_list() == [[rule["name"] for rule in each["rules"]] for each in expected]


def test_files(kept: Kept, command: Command, tmp_path: Path) -> None:
    features, report = tmp_path / "features.parquet", tmp_path / "report.html"
    result = command(
        "backtest", "payments", kept.source, "--labels", "fraud", "--features", features, "--report", report,
        "--from", "2026-01-15", "--to", "2026-01-20",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "precision" in result.stdout
    assert f"written {report}" in result.stderr
    frame = pl.read_parquet(features)
    assert frame.columns == ["id", "event_time", *load_detector("payments").feature_names]
    assert str(frame["event_time"].min()) >= "2026-01-15"
    assert str(frame["event_time"].max()) < "2026-01-20"


def test_against(kept: Kept, command: Command, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    text = command("detectors", "show", "payments").stdout
    mine.write_text(text.replace("review: score >= 0.7", "review: score >= 0.4"))
    result = command("backtest", mine, kept.source, "--labels", "fraud", "--against", "payments", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["outcomes"]["approve"] <= found["against"]["outcomes"]["approve"]
    assert found["comparison"]["only_other_flags"] == {"fraud": 0, "genuine": 0, "missing": 0}


def test_lines_with_parameters(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "transfers.txt"
    assert command("generate", "transfers", "--count", 3000, "--output", path).exit_code == 0
    result = command("backtest", "laundering", path, "--set", "window=10m", "--json", "--shards", 2)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["alerts"] > 0


@pytest.mark.parametrize(
    "arguments",
    [("--from", "soon"), ("--value", "x"), ("--from", "2026-01-02", "--to", "2026-01-01"), ("--map", "x=y")],
)
def test_wrong_use(kept: Kept, command: Command, arguments: tuple[str, ...]) -> None:
    result = command("backtest", "payments", kept.source, *arguments)
    assert result.exit_code == 2
    assert "allowed" in result.stderr or "does not have" in result.stderr


@pytest.mark.needs_data("handbook_card")
def test_the_published_features_of_the_handbook(command: Command, shared_data: Path, tmp_path: Path) -> None:
    folder, out = shared_data / "handbook_card", tmp_path / "features.parquet"
    reference = pl.read_parquet(next(folder.glob("reference_features_*.parquet"))).sort("TRANSACTION_ID")
    result = command("backtest", "handbook", folder / "transactions.parquet", "--features", out, "--from", "2018-06-20")
    assert result.exit_code == 0, result.stderr
    found = pl.read_parquet(out).with_columns(pl.col("id").cast(pl.Int32)).sort("id")
    assert found["id"].equals(reference["TRANSACTION_ID"])
    names = [name for name in reference.columns if name in found.columns]
    assert len(names) == 14
    differs = pl.any_horizontal(
        (reference[name].cast(pl.Float64) - found[name].cast(pl.Float64)).abs() > 1e-6 for name in names
    )
    # One customer paid twice in one second, where either order is right: at most so many rows, says the data's README.
    assert pl.select(differs.sum()).item() <= 7


@pytest.mark.parametrize("option", ["--features", "--decisions", "--report"])
def test_history_is_not_overwritten(command: Command, tmp_path: Path, option: str) -> None:
    path, link = tmp_path / "history.ndjson", tmp_path / "link"
    path.write_bytes(b"{}\n")
    link.symlink_to(path)
    result = command("backtest", "payments", path, option, link)
    assert result.exit_code == 2
    assert f"{option}: {link} is the file of FILES ({path})" in result.stderr
    assert path.read_bytes() == b"{}\n"


def test_two_results_are_not_one_file(command: Command, kept: Kept, tmp_path: Path) -> None:
    out = tmp_path / "both.parquet"
    result = command("backtest", "payments", kept.source, "--features", out, "--decisions", out)
    assert result.exit_code == 2
    assert "written already" in result.stderr
    assert not out.exists()


def test_a_folder_is_no_history(command: Command, tmp_path: Path) -> None:
    result = command("backtest", "payments", tmp_path)
    assert result.exit_code == 1
    assert "it is a folder" in result.stderr


def test_a_label_that_nothing_has_is_named(kept: Kept, command: Command) -> None:
    result = command("backtest", "payments", kept.source, "--labels", "nope", "--against", "payments")
    assert result.exit_code == 0
    assert 'no payment has a label in "nope"' in " ".join(result.stderr.split())
    assert "Both detectors are the same" in result.stdout
    assert "Only payments flags" not in result.stdout
