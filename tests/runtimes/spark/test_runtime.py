"""What a checkpoint fixes need not be said again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterfoil.config import parse_config
from counterfoil.errors import StorageError
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.states import JobState, check_state
from counterfoil.runtimes.spark.runtime import JOB_FILE, SparkRuntime
from tests.runtimes.sample import sample_detector


def runtime(folder: Path, **more: Any) -> SparkRuntime:
    content = {"detector": "sample", "source": {"path": "in.ndjson"}, "state": {"folder": str(folder)}, **more}
    return SparkRuntime(parse_config(content), sample_detector())


def test_tasks_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    assert runtime(tmp_path).config.spark.partitions is None
    state = JobState.of(Job(sample_detector()), {"spark.partitions": 5}, "query")
    check_state(tmp_path / JOB_FILE, state, "place")
    assert runtime(tmp_path, limits={"threads": 2}).config.spark.partitions == 5
    assert runtime(tmp_path, spark={"partitions": 3}).config.spark.partitions == 3


def test_a_note_that_is_damaged_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).write_text("{")
    with pytest.raises(StorageError, match="cannot be read"):
        runtime(tmp_path)
