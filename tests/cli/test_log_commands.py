"""``decisions``, ``alerts``, ``explain`` and ``dead-letters``."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from counterfoil.cli.explain import value_text
from tests.cli.conftest import Command, Kept

PROGRAM = Path(sys.executable).parent / "counterfoil"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_decisions_are_those_of_the_output(kept: Kept, command: Command) -> None:
    result = command("decisions", "--state", kept.folder, "--json")
    assert result.exit_code == 0
    assert result.stdout == kept.output.read_text()


def test_decisions_filtered(kept: Kept, command: Command) -> None:
    every = kept.decisions()
    raised = [each for each in every if each["outcome"] != "approve"]
    middle = every[len(every) // 2]["event_time"]
    rule = raised[0]["rules"][0]["name"]
    for arguments, expected in (
        (("--outcome", "block"), [each for each in every if each["outcome"] == "block"]),
        (("--score", 0.5), [each for each in every if each["score"] >= 0.5]),
        (("--since", middle), [each for each in every if each["event_time"] >= middle]),
        (("--until", middle), [each for each in every if each["event_time"] < middle]),
        (("--rule", rule), [each for each in every if rule in [hit["name"] for hit in each["rules"]]]),
        (("--id", raised[0]["id"]), [raised[0]]),
        (("--limit", 3), every[-3:]),
        (("--id", "nobody"), []),
    ):
        found = lines(command("decisions", "--state", kept.folder, "--json", *arguments).stdout)
        assert found == expected, arguments


def test_decisions_for_people(kept: Kept, command: Command) -> None:
    raised = [each for each in kept.decisions() if each["outcome"] != "approve"][-1]
    text = command("decisions", "--state", kept.folder, "--id", raised["id"]).stdout
    assert raised["id"] in text
    assert raised["reasons"][0] in text
    assert raised["rules"][0]["name"] in text
    assert len(command("decisions", "--state", kept.folder, "--outcome", "approve").stdout.splitlines()) >= 25


def test_alerts(kept: Kept, command: Command) -> None:
    every = lines(command("alerts", "--state", kept.folder, "--json").stdout)
    assert len(every) == kept.summary["alerts"]
    assert set(every[0]) == {
        "alert", "rules", "entity", "key", "opened", "last", "decisions", "first_id", "last_id", "outcome", "score",
        "reasons", "position",
    }  # fmt: skip
    rule, one, middle = every[0]["rules"][0], every[1]["alert"], every[len(every) // 2]["opened"]
    for arguments, expected in (
        (("--rule", rule), [each for each in every if rule in each["rules"]]),
        (("--id", one), [each for each in every if each["alert"] == one]),
        (("--outcome", "block"), [each for each in every if each["outcome"] == "block"]),
        (("--since", middle), [each for each in every if each["last"] >= middle]),
        (("--until", middle), [each for each in every if each["opened"] < middle]),
        (("--limit", 2), every[-2:]),
        (("--outcome", "review", "--limit", 2), [each for each in every if each["outcome"] == "review"][-2:]),
    ):
        assert lines(command("alerts", "--state", kept.folder, "--json", *arguments).stdout) == expected, arguments


def test_alerts_for_people(kept: Kept, command: Command) -> None:
    text = command("alerts", "--state", kept.folder, "--limit", 0).stdout
    every = lines(command("alerts", "--state", kept.folder, "--json").stdout)
    assert all(each["alert"] in text for each in every)
    assert every[0]["reasons"][0] in text
    long = max(every, key=lambda each: int(each["decisions"]))
    assert long["decisions"] == 1 or f"{long['decisions']} payments until" in text


def test_explain(kept: Kept, command: Command) -> None:
    raised = next(each for each in kept.decisions() if each["rules"])
    text = command("explain", raised["id"], "--state", kept.folder, env={"COLUMNS": "160"}).stdout
    for part in (
        raised["id"],
        raised["outcome"],
        raised["reasons"][0],
        "bit for bit",
        raised["detector"],
        "customer_id",
    ):
        assert part in text, part
    result = command("explain", raised["id"], "--state", kept.folder, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["equal"]
    assert (found["outcome"], found["score"], found["position"]) == tuple(
        raised[name] for name in ("outcome", "score", "position")
    )
    hits = [rule for rule in found["rules"] if rule["result"] == "hit"]
    assert [rule["name"] for rule in hits] == [rule["name"] for rule in raised["rules"]]


def test_explain_everything(kept: Kept, command: Command) -> None:
    some = kept.decisions()[0]["id"]
    short, whole = (
        command("explain", some, "--state", kept.folder, *given, env={"COLUMNS": "160"}).stdout
        for given in ((), ("--all",))
    )
    assert len(whole) > len(short)
    assert "rules did not hit" in short
    assert "rules did not hit" not in whole


def test_explain_what_is_not_there(kept: Kept, command: Command) -> None:
    result = command("explain", "nobody", "--state", kept.folder)
    assert result.exit_code == 1
    assert "nobody" in result.stderr


def test_explain_by_position(kept: Kept, command: Command) -> None:
    some = kept.decisions()[5]
    found = json.loads(command("explain", some["position"], "--state", kept.folder, "--json").stdout)
    assert found["id"] == some["id"]


def test_values_for_people() -> None:
    assert [value_text(each) for each in (None, True, False, 1.5, "x", 3)] == ["–", "yes", "no", "1.5", "x", "3"]


def test_dead_letters(kept: Kept, command: Command) -> None:
    found = lines(command("dead-letters", "list", "--state", kept.folder, "--json").stdout)
    assert [each["reason"] for each in found] == ["truncated", "bad_time"]
    assert [each["position"] for each in found] == [12_000, 12_001]
    text = command("dead-letters", "list", "--state", kept.folder).stdout
    assert "2 in all" in text
    assert "not [a] time" in text
    only = command("dead-letters", "list", "--state", kept.folder, "--reason", "bad_time", "--json")
    assert len(lines(only.stdout)) == 1
    assert "no dead letters" in command("dead-letters", "list", "--state", kept.folder, "--reason", "x").stdout


def test_a_dead_letter(kept: Kept, command: Command) -> None:
    number = lines(command("dead-letters", "list", "--state", kept.folder, "--json").stdout)[1]["number"]
    record = kept.source.read_text().splitlines()[-1]
    assert command("dead-letters", "show", number, "--state", kept.folder, "--raw").stdout == record
    assert record in command("dead-letters", "show", number, "--state", kept.folder).stdout
    shown = json.loads(command("dead-letters", "show", number, "--state", kept.folder, "--json").stdout)
    assert shown["record"] == record
    assert command("dead-letters", "show", 999, "--state", kept.folder).exit_code == 1


def test_retrying_what_is_still_wrong(kept: Kept, command: Command, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(kept.folder, state)
    result = command("dead-letters", "retry", "--state", state)
    assert result.exit_code == 0, result.stderr
    assert "0 of 2 could be read" in result.stdout


def test_amounts_and_lengths_of_time_are_readable() -> None:
    assert value_text(1012.61) == value_text(Decimal("1012.61")) == "1,012.61"
    assert value_text(1234567.89) == value_text(Decimal("1234567.89")) == "1,234,567.89"
    assert value_text(150_000.0) == value_text(Decimal("150000.00")) == "150,000"
    assert value_text(100_000.5) == "100,000.5"
    assert value_text(2773.15, interval=True) == "46 min 13 s"


@pytest.mark.parametrize("command_name", ["alerts", "decisions"])
def test_a_rule_that_nobody_has_is_named(kept: Kept, command: Command, command_name: str) -> None:
    result = command(command_name, "--state", kept.folder, "--rule", "impossible-travl")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert 'no rule "impossible-travl" in this folder; did you mean "impossible-travel"?' in result.stderr
    assert command(command_name, "--state", kept.folder, "--rule", "impossible-travel").stderr == ""


def test_a_file_is_no_state_folder(kept: Kept, command: Command) -> None:
    for arguments in (["alerts"], ["run", "--detector", "payments", "--input", kept.source]):
        result = command(*arguments, "--state", kept.output)
        assert result.exit_code == 1
        assert "is a file, not a folder" in result.stderr


def test_retrying_what_is_not_there(kept: Kept, command: Command) -> None:
    result = command("dead-letters", "retry", 999, "--state", kept.folder)
    assert result.exit_code == 1
    assert "dead letter 999: there is none with this number" in result.stderr


def test_retrying_under_another_mapping(command: Command, tmp_path: Path) -> None:
    source, state, output = tmp_path / "in.ndjson", tmp_path / "state", tmp_path / "retried.ndjson"
    source.write_text(
        '{"when":"2026-01-01T00:00:00Z","sender":"a","receiver":"b","amount":10001}\n'
        '{"time":"2026-01-01T00:01:00Z","sender":"a","receiver":"b","amount":1}\n'
    )
    assert command("run", "--detector", "laundering", "--input", source, "--state", state).exit_code == 0
    assert len(lines(command("dead-letters", "list", "--state", state, "--json").stdout)) == 1
    result = command("dead-letters", "retry", 1, "--state", state, "--map", "time=when", "--output", output, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["decided"] == 1
    assert len(lines(command("decisions", "--state", state, "--json").stdout)) == 2
    assert lines(command("dead-letters", "list", "--state", state, "--json").stdout)[0]["retried"]
    assert lines(output.read_text())[0]["outcome"] == "review"


@pytest.mark.parametrize("name", ["decisions", "alerts"])
def test_following(name: str, kept: Kept) -> None:
    follower = subprocess.Popen(
        [PROGRAM, name, "--state", kept.folder, "--follow", "--json", "--limit", "5"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert follower.stdout is not None
        found = [json.loads(follower.stdout.readline()) for _ in range(5)]
        assert follower.poll() is None
        time.sleep(0.3)
        follower.send_signal(signal.SIGINT)
        rest, _ = follower.communicate(timeout=30)
    finally:
        if follower.poll() is None:
            follower.kill()
            follower.wait()
    assert follower.returncode == 0
    assert rest == ""
    assert len(found) == 5
