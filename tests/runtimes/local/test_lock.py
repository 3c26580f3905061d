from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterfoil.errors import StorageError
from counterfoil.runtimes.local import lock
from counterfoil.runtimes.local.lock import FolderLock


def test_a_second_runtime_of_this_process_is_refused(tmp_path: Path) -> None:
    held = FolderLock(tmp_path)
    with pytest.raises(StorageError, match=f"in use by this process \\(pid {os.getpid()}\\)"):
        FolderLock(tmp_path)
    held.release()
    held.release()
    FolderLock(tmp_path).release()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written: Not a directory"):
        FolderLock(tmp_path / "file")


def test_another_process_is_named(tmp_path: Path) -> None:
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        lock._held.clear()
        FolderLock(tmp_path)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(StorageError, match=f"in use by pid {child}"):
            FolderLock(tmp_path)
    finally:
        os.write(go[1], b"x")
        os.waitpid(child, 0)
        for descriptor in (*ready, *go):
            os.close(descriptor)
    # The lock goes with the process.
    FolderLock(tmp_path).release()
