from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.errors import StorageError
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


def test_a_full_disk_is_blamed_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(StorageError, match=f"{tmp_path}: cannot be written: No space left on device"):
            FolderLock(tmp_path)
    FolderLock(tmp_path).release()


_HOLD = """
import sys
from pathlib import Path
from counterfoil.runtimes.local.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match=f"in use by pid {other.pid}"):
            FolderLock(tmp_path)
        other.kill()
    # The lock goes with the process, however it ends.
    FolderLock(tmp_path).release()
