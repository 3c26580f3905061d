from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.backtest import Period
from counterfoil.backtest.notes import notes
from counterfoil.detector_file import load_detector, read_detector
from tests.backtest.sample import DEFINITION, START, events, run, write


@pytest.fixture
def history(tmp_path: Path) -> Path:
    records = events()
    records[3].pop("fraud", None)
    return write(
        tmp_path / "history.ndjson", [{**record, "colour": 1} for record in [*records, records[-1]]], broken=True
    )


def test_everything_that_was_left_out(history: Path) -> None:
    result = run(history, period=Period((START + 86_400) * 1_000_000, (START + 2 * 86_400) * 1_000_000))
    text = "\n".join(notes(result))
    for part in (
        "before the period only warmed the state up",
        "after the period are not measured",
        "1 duplicates were left out",
        "2 records could not be read (1 truncated, 1 wrong_type); first: record 5",
        "does not know were ignored: colour",
    ):
        assert part in text


def test_missing_labels_are_counted(history: Path) -> None:
    result = run(history)
    assert f"1 of {result.measures.decided} payments have no label" in notes(result)[0]


def test_a_label_that_is_nowhere(history: Path) -> None:
    assert 'No payment has a label in "frauds"' in notes(run(history, labels="frauds"))[0]


def test_nothing_precedes_the_period(history: Path) -> None:
    result = run(history, period=Period((START - 1) * 1_000_000))
    assert any("Nothing precedes the period" in note for note in notes(result))


LEAKING = DEFINITION.replace("LIMIT", "3").replace("ignore: [fraud, story]", "ignore: [story]")


@pytest.mark.parametrize(
    ("feature", "leaks"),
    [
        ("{name: rate, rate: fraud, by: customer, over: 24h, delay: 1h}", False),
        ("{name: rate, rate: fraud, by: customer, over: 24h}", True),
        ("{name: rate, count: payment, where: fraud, by: customer, over: 24h}", True),
        ('{name: rate, expr: "if(fraud, 1, 0)"}', True),
    ],
)
def test_a_detector_that_reads_the_label_is_found_out(history: Path, feature: str, leaks: bool) -> None:
    text = LEAKING.replace(
        "amount: {type: money, required: true}", "amount: {type: money, required: true}, fraud: bool"
    )
    text = text.replace("features:\n", f"features:\n  - {feature}\n")
    found = "\n".join(notes(run(history, detector=read_detector(text))))
    assert ("these measures say nothing" in found) == leaks
    assert ("only once it is as old" in found) == (not leaks)


def test_the_handbook_reads_its_label_with_a_delay(tmp_path: Path) -> None:
    path = tmp_path / "empty.ndjson"
    path.touch()
    found = notes(run(path, detector=load_detector("handbook"), labels="TX_FRAUD"))
    assert any("only once it is as old" in note for note in found)
