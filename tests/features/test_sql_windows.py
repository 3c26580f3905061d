from __future__ import annotations

import json
import random
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from counterfoil.config import parse_config
from counterfoil.detector_file import load_detector, read_detector
from counterfoil.features.sql_windows import DIALECTS, window_sql
from counterfoil.runtimes.local.runtime import LocalRuntime
from tests.conformance.engines import ROOT, python_of
from tests.conftest import absent

DEFINITION = """
detector: windows
events:
  payment:
    id: id
    time: happened
    decide: true
    fields: {customer_id: id, card_id: id, amount: money, channel: category}
  change: {id: id, time: happened, fields: {customer_id: id}}
entities: {customer: customer_id, card: card_id}
features:
  - {name: n, count: payment, by: card, over: [1h, 24h]}
  - {name: s, sum: amount, by: card, over: [1h, 30d]}
  - {name: m, mean: amount, by: customer, over: 7d, where: "channel = 'online'"}
  - {name: most, max: amount, by: customer, over: 24h}
  - {name: least, min: amount, by: customer, over: 24h}
  - {name: ever, count: payment, by: card}
  - {name: before, count: payment, by: card, over: 1h, prior: true}
  - {name: changes, count: change, by: customer, over: 1h}
  - {name: usual, std: amount, by: card, over: 1h}
  - {name: ratio, expr: "n_1h / n_24h"}
"""


def _events(count: int) -> list[bytes]:
    """Payments in the order of their times, some exactly a window apart."""
    random.seed(3)
    found, now = [], 1_767_225_600_000
    for number in range(count):
        now += random.choice([1, 1_000, 600_000, 3_600_000])
        time = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").partition("+")[0]
        event = {"kind": "payment", "id": f"p{number}", "happened": time, "customer_id": f"c{random.randrange(5)}"}
        event["card_id"] = random.choice([None, "k1", "k2", "k3"])  # type: ignore[assignment]
        event |= {"amount": f"{random.randrange(1, 99_999) / 100:.2f}", "channel": random.choice(["online", "shop"])}
        found.append(json.dumps(event).encode() + b"\n")
    return found


@pytest.mark.parametrize("engine", DIALECTS)
def test_windows_of_an_engine_are_ours(engine: str, tmp_path: Path) -> None:
    if not python_of(engine).exists():
        absent(f"the environment of {engine} (make .venv-{engine})")
    (tmp_path / "detector.yaml").write_text(DEFINITION)
    (tmp_path / "in.ndjson").write_bytes(b"".join(_events(600)))
    source = {"path": str(tmp_path / "in.ndjson"), "naive_utc": True}
    sinks = [{"path": str(tmp_path / "out.ndjson"), "features": True}]
    config = parse_config({"detector": str(tmp_path / "detector.yaml"), "source": source, "sinks": sinks})
    with LocalRuntime(config) as runtime:
        assert runtime.run().decided == 600
    words = [str(python_of(engine)), "-m", "tests.features.windows_on", engine, str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / f"{engine}.json").read_text())
    ours = {row["id"]: row["features"] for row in map(json.loads, (tmp_path / "out.ndjson").read_text().splitlines())}
    assert set(found["rows"]) == set(ours)
    assert set(found["features"]) == {"n_1h", "n_24h", "s_1h", "s_30d", "m_7d", "most_24h", "least_24h", "ever"}
    for identity, values in found["rows"].items():
        for name, value in zip(found["features"], values, strict=True):
            expected = ours[identity].get(name)
            if value is None or expected is None:
                assert value is expected, (identity, name)
            else:
                assert value == pytest.approx(float(expected), rel=1e-12), (identity, name)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_left_out_is_named_with_its_reason(dialect: str) -> None:
    sql = window_sql(read_detector(DEFINITION), dialect)
    assert {name for name, _ in sql.left_out} == {"before_1h", "changes_1h", "usual_1h", "ratio"}
    assert "-- changes_1h: aggregates change" in str(sql)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["payments", "laundering", "handbook"])
def test_every_feature_of_a_built_in_detector_is_there_or_left_out(name: str, dialect: str) -> None:
    detector = load_detector(name)
    sql = window_sql(detector, dialect)
    assert {*sql.features, *(each for each, _ in sql.left_out)} == set(detector.feature_names)
