from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterfoil.errors import StorageError
from counterfoil.runtimes.flink.states import JOB_FILE, StateFolder, in_order


def _checkpoint(folder: Path, name: str, age: int) -> Path:
    path = folder / name / "_metadata"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path.parent


@pytest.mark.parametrize("relative", [False, True])
def test_the_newest_checkpoint_is_gone_on_from_and_older_attempts_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    (tmp_path / "a state").mkdir()
    monkeypatch.chdir(tmp_path)
    tmp_path = tmp_path / "a state"
    folder = StateFolder(Path("a state") if relative else tmp_path)
    assert folder.newest() is None
    old = _checkpoint(tmp_path, "checkpoints/one/chk-9", 50)
    new = _checkpoint(tmp_path, "checkpoints/two/chk-3", 10)
    stopped = _checkpoint(tmp_path, "savepoints/savepoint-1", 20)
    (tmp_path / "checkpoints" / "two" / "chk-4").mkdir()
    newest = folder.newest()
    assert newest == f"file://{new}"
    folder.forget_before(newest)
    assert new.exists()
    assert not old.exists()
    assert not stopped.exists()


def test_folders_of_others_and_jobs_that_ended_are_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="no state of counterfoil's"):
        StateFolder(tmp_path).open()
    folder = StateFolder(tmp_path / "own")
    folder.open()
    (tmp_path / "own" / JOB_FILE).write_text("{}")
    folder.open()
    folder.end()
    with pytest.raises(StorageError, match="end of its input"):
        folder.open()


def test_lines_of_finished_files_alone_are_put_together_in_order(tmp_path: Path) -> None:
    lines = tmp_path / "lines" / "decisions"
    lines.mkdir(parents=True)
    (lines / "part-u-0-10").write_bytes(b'{"id":"d","position":30}\n')
    (lines / "part-u-0-9").write_bytes(b'{"id":"a","position":1}\n{"id":"c","position":20}\n')
    (lines / "part-u-1-0").write_bytes(b'{"id":"b","position":4}\n')
    (lines / ".part-u-0-11.inprogress.1").write_bytes(b'{"id":"x","position":2}\n')
    found = StateFolder(tmp_path).lines("decisions")
    assert [line[7:8] for line in found.splitlines()] == [b"a", b"b", b"c", b"d"]


def test_lines_without_positions_stay_as_they_are() -> None:
    assert in_order(b"") == b""
    assert in_order(b'{"records":3}\n{"records":1}\n') == b'{"records":3}\n{"records":1}\n'


def test_a_new_generation_has_a_folder_of_its_own(tmp_path: Path) -> None:
    _checkpoint(tmp_path, "checkpoints/one/chk-9", 50)
    folder = StateFolder(tmp_path, 1)
    assert folder.newest() is None
    second = _checkpoint(tmp_path / "generation-1", "checkpoints/two/chk-1", 10)
    assert folder.newest() == f"file://{second}"
    folder.forget_before(folder.newest())
    assert second.exists()
    assert not (tmp_path / "checkpoints").exists()
