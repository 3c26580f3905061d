"""Decisions performed again from the journal are those that were served; a changed record is found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from counterfoil.cli import application
from counterfoil.config import SourceConfig
from counterfoil.runtimes.local.log import StateLog
from counterfoil.runtimes.local.runtime import LocalRuntime
from counterfoil.runtimes.local.verification import Verifier
from tests.runtimes.sample import DEFINITION, sample_config, sample_detector, sample_lines, write_lines


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


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state folder with 80 events of one detector, none of a second, 60 of a third, none of a fourth."""
    folder = tmp_path_factory.mktemp("accepted")
    config = sample_config(folder, write_lines(folder / "one.ndjson", sample_lines(80, seed=1)), batch_events=16)
    with LocalRuntime(config, sample_detector()) as runtime:
        runtime.run()
    path = write_lines(folder / "two.ndjson", sample_lines(60, seed=2))
    config = replace(config, source=SourceConfig(path=str(path)), state=replace(config.state, accept_detector=True))
    for limit in (4, 2, 3):
        with LocalRuntime(config, sample_detector(DEFINITION.replace("count_1h >= 5", f"count_1h >= {limit}"))) as last:
            if limit == 2:
                last.run()
    return folder / "state"


def test_each_decision_is_performed_by_the_detector_that_made_it(accepted: Path) -> None:
    progress: list[tuple[int, int]] = []
    with StateLog(accepted) as log:
        decided = [json.loads(line)["detector"] for line in log.decisions()]
        verifier = Verifier(log.store, log.detectors(), log.key)
        found = verifier.advance(lambda done, of: progress.append((done, of)))
        events = sum(header.events for header in log.store.headers())
        assert verifier.advance().decisions == len(decided)
    assert (found.decisions, found.different, found.events) == (len(decided), 0, events)
    assert found.detectors == {version: decided.count(version) for version in decided}
    assert len(found.detectors) == 2
    assert progress == sorted(progress)
    assert progress[-1][0] == progress[-1][1]
    result = CliRunner().invoke(application, ["verify", "--state", str(accepted)])
    assert result.exit_code == 0
    assert "by the 2 detector versions that made them" in result.stdout


def test_a_detector_that_comes_while_following_is_taken_over(tmp_path: Path) -> None:
    config = sample_config(tmp_path, write_lines(tmp_path / "one.ndjson", sample_lines(40, seed=1)))
    with LocalRuntime(config, sample_detector()) as runtime:
        runtime.run()
    path = write_lines(tmp_path / "two.ndjson", sample_lines(40, seed=2))
    config = replace(config, source=SourceConfig(path=str(path)), state=replace(config.state, accept_detector=True))
    with StateLog(tmp_path / "state") as log:
        verifier = Verifier(log.store, log.detectors(), log.key)
        before = verifier.advance().decisions
        with LocalRuntime(config, sample_detector(DEFINITION.replace("count_1h >= 5", "count_1h >= 2"))) as runtime:
            runtime.run()
        found = verifier.advance()
        assert list(found.detectors) == [version.version for _, version in log.detectors()]
        assert (found.different, found.decisions) == (0, sum(1 for _ in log.decisions()))
        assert found.decisions > before > 0


def test_a_difference_of_a_former_detector_is_found(accepted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from counterfoil.runtimes.local import verification

    former = sample_detector().version
    honest = Verifier._hold

    def hold(self: Verifier, records: object, decided: object) -> None:
        if self._program.detector.version == former:
            records.digest[:] ^= 1  # type: ignore[attr-defined]
        honest(self, records, decided)  # type: ignore[arg-type]

    monkeypatch.setattr(verification.Verifier, "_hold", hold)
    result = CliRunner().invoke(application, ["verify", "--state", str(accepted), "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["differences"] == found["recomputed_by_detector"][former] > 0


def test_nothing_decided_is_no_success(tmp_path: Path) -> None:
    with LocalRuntime(sample_config(tmp_path, write_lines(tmp_path / "none.ndjson", [])), sample_detector()) as runtime:
        runtime.run()
    result = CliRunner().invoke(application, ["verify", "--state", str(tmp_path / "state")])
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing was checked")
    assert "✓" not in result.stdout
