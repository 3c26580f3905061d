"""Whose state a checkpoint holds: what may change goes on, all else is refused with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from counterfoil.detector import Detector
from counterfoil.errors import StorageError
from counterfoil.events.identity import IdentityKey
from counterfoil.runtimes.engine.job import Job
from counterfoil.runtimes.engine.states import JobState, check_state, state_change
from tests.runtimes.sample import DEFINITION, sample_detector

RULE = '  - {name: more, when: "amount > 5", score: 0.1, reason: "More."}\n'


def check(path: Path, detector: Detector, *, shards: int = 1, partitions: int = 2, secret: bytes = b"s") -> JobState:
    job = Job(detector, IdentityKey(secret), shards)
    return check_state(path, JobState.of(job, {"spark.partitions": partitions}, "query"), "place")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("score: 0.3", "score: 0.4"),
        ("amount > 50", "amount > 60"),
        ("reason: Soon after a change.", "reason: Just after a change."),
        ("nullif(usual_24h, 0)", "nullif(usual_24h, 1)"),
        ("    reason: Soon after a change.\n", "    reason: Soon after a change.\n" + RULE),
    ],
)
def test_what_has_no_state_may_change(tmp_path: Path, before: str, after: str) -> None:
    assert DEFINITION.replace(before, after) != DEFINITION
    path = tmp_path / "job.json"
    first = check(path, sample_detector())
    changed = sample_detector(DEFINITION.replace(before, after))
    second = check(path, changed)
    assert second.version == changed.version != first.version
    assert check(path, changed) == second


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("over: [1h, 24h]", "over: [1h, 25h]", r"aggregates differ.*history is not in the state"),
        ("  - {name: usual,", "  - {name: usually,", "aggregates differ"),
        ("channel: category", "channel: id", "the kinds of events or their fields differ"),
        ("  shop: shop\n", "  shop: shop\n  way: channel\n", "the entities differ"),
        ("- name: many", "- name: plenty", "renamed or reordered"),
    ],
)
def test_what_has_state_may_not(tmp_path: Path, before: str, after: str, reason: str) -> None:
    text = DEFINITION.replace(before, after).replace("usual_24h", "usually_24h" if "usually" in after else "usual_24h")
    if "25h" in after:
        text = text.replace("count_24h", "count_25h")
    path = tmp_path / "job.json"
    check(path, sample_detector())
    with pytest.raises(StorageError, match=reason) as caught:
        check(path, sample_detector(text))
    assert "begin a new checkpoint" in str(caught.value)


def test_times_that_state_depends_on_may_not_change() -> None:
    known = sample_detector()
    assert state_change(known, replace(known, dedupe=1)) == "dedupe differs"
    assert state_change(known, replace(known, max_lateness=1)) == "max_lateness differs"
    assert state_change(known, known) is None


def test_the_job_itself_may_not_change(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    check(path, sample_detector())
    with pytest.raises(StorageError, match=r"in 1 shards, not 2.*--shards\) to 1"):
        check(path, sample_detector(), shards=2)
    with pytest.raises(StorageError, match=r"spark.partitions is 2 there, not 3.*set it to 2"):
        check(path, sample_detector(), partitions=3)
    with pytest.raises(StorageError, match="another secret"):
        check(path, sample_detector(), secret=b"t")
    assert b'"s"' not in path.read_bytes()


def test_a_damaged_note_is_told(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text("{")
    with pytest.raises(StorageError, match="cannot be read"):
        check(path, sample_detector())


def test_state_may_be_made_anew_where_that_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    first = check(path, sample_detector())
    changed = sample_detector(DEFINITION.replace("channel: category", "channel: id"))
    with pytest.raises(StorageError, match="--accept-detector"):
        check(path, changed)
    fresh = JobState.of(Job(changed, IdentityKey(b"s"), 3), {"spark.partitions": 5}, "another")
    asked: list[JobState] = []

    def renew(known: JobState) -> JobState:
        asked.append(known)
        return msgspec.structs.replace(fresh, generation=1, since={"all": {0: 17}})

    found = check_state(path, fresh, "place", renew)
    assert asked == [first]
    assert (found.generation, found.since) == (1, {"all": {0: 17}})
    # It is asked for once: the next run goes on in it.
    assert check_state(path, fresh, "place", renew) == found
    assert len(asked) == 1
