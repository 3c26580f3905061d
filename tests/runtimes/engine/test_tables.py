"""A Parquet file of an engine is that of a local run."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from counterfoil.config import parse_config
from counterfoil.detector_file import load_detector
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.tables import line_frames, write_parquet
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.conformance.cases import WITH_MODELS, payments, run_content


@pytest.mark.parametrize("features", [False, True])
def test_lines_become_the_table_of_a_local_run(tmp_path: Path, features: bool) -> None:
    source, lines, table = tmp_path / "in.ndjson", tmp_path / "o.ndjson", tmp_path / "o.parquet"
    source.write_bytes(b"".join(line + b"\n" for line in payments(1_500)))
    sinks = [{"path": str(lines), "features": features}]
    sinks.append({"path": str(table), "format": "parquet", "features": features})
    with LocalRuntime(
        parse_config({"detector": "payments", "source": {"path": str(source)}, "sinks": sinks})
    ) as runtime:
        runtime.run()
    found = tmp_path / "found.parquet"
    job = Job(load_detector("payments"))
    assert write_parquet(found, iter(lines.read_bytes().splitlines()), job, features) > 500
    assert_frame_equal(pl.read_parquet(found), pl.read_parquet(table), check_exact=True)


def test_models_have_a_column(tmp_path: Path) -> None:
    content = run_content(WITH_MODELS, tmp_path, tmp_path / "o.ndjson")
    content["sinks"].append({"path": str(tmp_path / "o.parquet"), "format": "parquet"})
    with LocalRuntime(parse_config(content)) as runtime:
        runtime.run()
    lines = (tmp_path / "o.ndjson").read_bytes().splitlines()
    frame = pl.concat(line_frames(iter(lines), (), models=True))
    assert_frame_equal(frame, pl.read_parquet(tmp_path / "o.parquet"), check_exact=True)
    assert json.loads(frame["models"][0])


def test_nothing_becomes_an_empty_table() -> None:
    [frame] = line_frames(iter(()), ())
    assert frame.is_empty()
    assert frame.columns[:2] == ["id", "position"]
