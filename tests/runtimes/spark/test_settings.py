"""What Spark is told, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterfoil.config import parse_config
from counterfoil.errors import ConfigurationError
from counterfoil.runtimes.spark.session import master_of, partitions_of, settings
from counterfoil.runtimes.spark.submit import submit_command, written


def config(**spark: object) -> dict[str, object]:
    return {
        "detector": "payments",
        "source": {"path": "in.ndjson"},
        "limits": {"threads": 2, "shards": 3},
        "spark": spark,
    }


def test_a_run_without_a_master_is_on_this_machine() -> None:
    settled = parse_config(config())
    assert master_of(settled) == "local[2,4]"
    assert partitions_of(settled) == 3
    found = settings(settled, [Path("/a.jar"), Path("/b.jar")])
    assert found["spark.jars"] == "/a.jar,/b.jar"
    assert found["spark.sql.shuffle.partitions"] == "3"
    assert found["spark.ui.enabled"] == "false"


def test_state_in_one_part_has_one_task() -> None:
    whole = config() | {"limits": {"threads": 2}}
    assert partitions_of(parse_config(whole)) == 1
    assert partitions_of(parse_config(whole | {"spark": {"partitions": 2}})) == 2
    assert partitions_of(parse_config(whole | {"state": {"folder": "file:///here"}})) == 1


@pytest.mark.parametrize(("shards", "threads"), [(1, 1), (1, 4), (3, 1), (3, 2), (3, 8)])
def test_threads_have_no_say_where_nobody_can_ask_a_checkpoint_how_many_it_has(shards: int, threads: int) -> None:
    content = config() | {"limits": {"shards": shards, "threads": threads}, "state": {"folder": "s3a://there/state"}}
    assert partitions_of(parse_config(content)) == shards


def test_what_is_submitted_has_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    words = written(submit_command(parse_config(config()), Path("run.yaml"), []))
    assert "spark.sql.shuffle.partitions=3" in words
    for own in ("127.0.0.1", "--master", "spark.driver.memory", "spark.ui.enabled"):
        assert own not in words
    # Nor has the driver that it starts, wherever that is.
    for name in ("SPARK_ENV_LOADED", "PYSPARK_GATEWAY_PORT"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert master_of(parse_config(config())) is None


def test_what_counterfoil_depends_on_cannot_be_set() -> None:
    settled = parse_config(config(properties={"spark.sql.shuffle.partitions": 7}))
    with pytest.raises(ConfigurationError, match=r"spark\.partitions"):
        settings(settled, [])


def test_properties_are_passed_on_and_never_shown() -> None:
    content = config(master="spark://host:7077", partitions=12, properties={"spark.hadoop.fs.s3a.secret.key": "hush"})
    settled = parse_config(content)
    assert settings(settled, [])["spark.hadoop.fs.s3a.secret.key"] == "hush"
    command = submit_command(settled, Path("run.yaml"), [Path("/a.jar")], ["--deploy-mode", "cluster"])
    assert command[:5] == ["spark-submit", "--name", "counterfoil payments", "--master", "spark://host:7077"]
    assert command[-4:-2] == ["--deploy-mode", "cluster"]
    assert command[-1] == "run.yaml"
    assert "hush" not in written(command)
    assert "hush" not in repr(settled)
