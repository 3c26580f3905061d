"""The table that README carries says what was measured, and what was missed."""

from __future__ import annotations

import pytest

from benchmarks.harness import Result, best_seconds, percentile, read_results, report, table


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [
        (400_000.0, "≥ 400,000", True),
        (399_999.0, "≥ 400,000", False),
        (4.9, "≤ 5", True),
        (5.1, "≤ 5", False),
        (1.0, "", None),
    ],
)
def test_a_target_is_met_or_not(value: float, target: str, met: bool | None) -> None:
    assert Result("speed", value, "events/s", target).met is met


def test_the_table_names_what_was_missed() -> None:
    lines = table(
        [Result("fast", 1_234_567.0, "events/s", "≥ 1,000,000"), Result("slow", 0.5, "×", "≥ 1")]
    ).splitlines()
    assert lines[2] == "| fast | 1,230,000 events/s | ≥ 1,000,000 |  |"
    assert lines[3] == "| slow (missed) | 0.5 × | ≥ 1 |  |"


def test_results_go_through_the_output_of_a_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [Result("speed", 3.5, "×", "≥ 2", "with a note")]
    monkeypatch.setattr("sys.argv", ["benchmark", "--json"])
    report(lambda: expected)
    assert read_results("noise\n" + capsys.readouterr().out) == expected


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 1.0) == 4.0


def test_the_best_of_some_rounds_is_taken() -> None:
    calls: list[None] = []
    assert best_seconds(lambda: calls.append(None), rounds=4) >= 0
    assert len(calls) == 4
