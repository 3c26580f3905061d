"""``check``, ``detectors``, ``features``, ``schema`` and ``version``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterfoil.config import parse_config, setting_names
from counterfoil.config_schema import run_schema, setting_documentation
from counterfoil.detector_file import json_schema, load_detector
from counterfoil.detectors import builtin_names, builtin_path
from counterfoil.features.definition import AggregateFeature
from tests.cli.conftest import Command

WRONG = """
detector: wrong
events:
  payment: {id: payment_id, time: at, decide: true, fields: {customer: id, amount: mony}}
entities:
  customer: customr
features:
  - {name: count, cuont: payment, by: customer, over: 1h}
rules:
  - {name: many, when: "count_1h > > 3", then: review}
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    return path


def test_check_names_every_problem_at_once(command: Command, wrong: Path) -> None:
    result = command("check", wrong)
    assert result.exit_code == 2
    assert result.stdout == ""
    for part in ("mony", 'did you mean "money"?', "customr", "cuont", "found", "allowed", "wrong.yaml:4"):
        assert part in result.stderr, part


def test_check_json(command: Command, wrong: Path) -> None:
    result = command("check", wrong, "--json")
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert not found["valid"]
    assert len(found["problems"]) >= 3
    assert all(set(each) == {"path", "found", "allowed", "hint"} for each in found["problems"])


@pytest.mark.parametrize("name", builtin_names())
def test_built_in_detectors_are_valid(command: Command, name: str) -> None:
    result = command("check", name, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["valid"]
    assert found["detector"] == load_detector(name).version


def test_check_says_what_is_there(command: Command) -> None:
    result = command("check", "laundering", "--set", "window=10m")
    assert "laundering@" in result.stdout
    assert "1 kind," in result.stdout


def test_check_a_parameter_that_there_is_not(command: Command) -> None:
    result = command("check", "laundering", "--set", "windo=10m")
    assert result.exit_code == 2
    assert 'did you mean "window"?' in result.stderr


def test_detectors(command: Command) -> None:
    assert all(name in command("detectors").stdout for name in builtin_names())
    found = json.loads(command("detectors", "--json").stdout)
    assert [each["name"] for each in found] == list(builtin_names())
    payments = next(each for each in found if each["name"] == "payments")
    assert payments["features"] >= 60
    assert payments["rules"] >= 12


def test_detectors_show(command: Command) -> None:
    assert command("detectors", "show", "payments").stdout == builtin_path("payments").read_text("utf-8")


def test_features(command: Command) -> None:
    text = command("features", "laundering", env={"COLUMNS": "200"}).stdout
    assert "sum of amount of transfer by sender via receiver over 1h" in text
    found = json.loads(command("features", "payments", "--json").stdout)
    assert tuple(each["name"] for each in found) == load_detector("payments").feature_names
    prior = next(each for each in found if each.get("prior"))
    assert prior["by"]


def test_features_with_a_delay(command: Command) -> None:
    assert "known for 7 days" in command("features", "handbook", env={"COLUMNS": "200"}).stdout


def test_features_as_sql_run_in_duckdb(command: Command) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = json.loads(command("features", "laundering", "--sql", "--json").stdout)
    connection = duckdb.connect()
    connection.execute(found["tables"])
    names = [each[0] for each in connection.execute(found["query"]).description]
    assert set(load_detector("laundering").feature_names) <= set(names)
    text = command("features", "laundering", "--sql").stdout
    assert found["query"] in text


def test_features_cost(command: Command) -> None:
    assert "all together" in command("features", "payments", "--cost", env={"COLUMNS": "160"}).stdout
    found = json.loads(command("features", "payments", "--cost", "--json").stdout)
    aggregates = [each.name for each in load_detector("payments").features if isinstance(each, AggregateFeature)]
    assert [each["name"] for each in found["features"]] == aggregates
    assert all(each["bytes_per_entity"] > 0 for each in found["stages"])


def test_features_one_of_two(command: Command) -> None:
    assert command("features", "payments", "--sql", "--cost").exit_code == 2


def test_schema_of_definitions(command: Command) -> None:
    assert json.loads(command("schema").stdout) == json.loads(json.dumps(json_schema()))


def names_of(schema: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            found |= names_of(inner, f"{prefix}{name}.")
        elif "properties" in inner.get("items", {}):
            found |= names_of(inner["items"], f"{prefix}{name}[].")
        else:
            found.add(prefix + name)
    return found


def test_schema_of_runs_knows_every_setting(command: Command) -> None:
    schema = json.loads(command("schema", "run").stdout)
    assert names_of(schema) == set(setting_names())
    assert schema["required"] == ["detector"]
    assert schema["properties"]["limits"]["properties"]["shards"]["maximum"] == 1024


def test_schema_of_runs_has_a_description_for_everything() -> None:
    def described(schema: dict[str, Any]) -> bool:
        return all(
            inner["description"] and described(inner) and described(inner.get("items", {}))
            for inner in schema.get("properties", {}).values()
        )

    assert described(run_schema())


def test_schema_of_runs_has_the_defaults_that_there_are() -> None:
    config = parse_config({"detector": "payments", "source": {"path": "x"}})
    limits = run_schema()["properties"]["limits"]["properties"]
    assert {name: limits[name]["default"] for name in limits} == {name: getattr(config.limits, name) for name in limits}
    assert set(setting_documentation(type(config.limits))) == set(limits)


def test_version(command: Command) -> None:
    lines = dict(line.split() for line in command("version").stdout.splitlines())
    assert lines == json.loads(command("version", "--json").stdout)
    assert {"counterfoil", "python", "numba"} <= set(lines)


def test_compile_makes_kernels_once(command: Command) -> None:
    first = command("compile", "account-burst")
    assert first.exit_code == 0
    assert "1 stage," in first.stdout
    again = command("compile", "account-burst", "--json")
    assert json.loads(again.stdout) == {"stages": 1, "results": [], "without": 0}
    assert "none compiled now" in command("compile", "account-burst").stdout


def test_compile_has_nothing_to_do_for_rules_alone(command: Command, tmp_path: Path) -> None:
    definition = tmp_path / "rules.yaml"
    definition.write_text(
        "detector: rules\n"
        "events: {payment: {id: id, time: at, decide: true, fields: {amount: money}}}\n"
        "rules: [{name: large, when: amount > 100, then: review, score: 0.9, reason: Large.}]\n"
    )
    assert "nothing to compile" in command("compile", str(definition)).stdout


def test_compile_says_which_stage_has_none(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from counterfoil.runtimes import special_kernels

    def fail(program: object, tell: Callable[[special_kernels.Told], None]) -> int:
        tell(special_kernels.Told(0, "account", "waiting"))
        tell(special_kernels.Told(0, "account", "failed", 1.5, "its answers are others"))
        return 1

    monkeypatch.setattr(special_kernels, "compile_now", fail)
    result = command("compile", "account-burst")
    assert result.exit_code == 1
    assert "its answers are others" in result.stderr
    assert "go on with the general kernel" in result.stderr
    assert result.stdout == ""
