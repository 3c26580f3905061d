"""Decisions performed again from the journal are those that were served; a changed record is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from counterfoil.cli import application
from counterfoil.runtimes.local.log import StateLog
from counterfoil.runtimes.local.verification import Verifier


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified")
    runner = CliRunner()
    events = folder / "events.ndjson"
    made = ["generate", "payments", "--count", "6000", "--customers", "120", "--seed", "3", "--output", str(events)]
    assert runner.invoke(application, made).exit_code == 0
    ran = ["run", "--detector", "payments", "--input", str(events), "--output", str(folder / "out.ndjson")]
    assert runner.invoke(application, [*ran, "--state", str(folder / "state")]).exit_code == 0
    return folder / "state"


def test_nothing_differs(state: Path) -> None:
    with StateLog(state) as log:
        verifier = Verifier(log.store, log.detectors(), log.key)
        found = verifier.advance()
        assert found.decisions > 3_000
        assert found.different == 0
        assert verifier.registry.get_sample_value("counterfoil_recomputed_decisions_total") == found.decisions
        assert verifier.registry.get_sample_value("counterfoil_recomputed_differences_total") == 0
        # Nothing is new: nothing is performed twice.
        assert verifier.advance().decisions == found.decisions


def test_the_command_counts(state: Path) -> None:
    result = CliRunner().invoke(application, ["verify", "--state", str(state), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["differences"] == 0
    assert "no difference" in CliRunner().invoke(application, ["verify", "--state", str(state)]).stdout


def test_metrics_need_follow(state: Path) -> None:
    assert CliRunner().invoke(application, ["verify", "--state", str(state), "--metrics-port", "0"]).exit_code == 2


def test_a_difference_is_found(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from counterfoil.runtimes.local import records, verification

    honest = records.digest

    def shifted(decided: object) -> object:
        found = honest(decided)  # type: ignore[arg-type]
        found[: min(2, len(found))] ^= 1
        return found

    monkeypatch.setattr(verification, "digest", shifted)
    result = CliRunner().invoke(application, ["verify", "--state", str(state)])
    assert result.exit_code == 1
    assert "differ, at positions" in result.stdout
