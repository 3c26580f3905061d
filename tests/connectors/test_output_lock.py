from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from counterfoil.connectors.line_output import LineOutput
from counterfoil.connectors.output_lock import locked_file, locked_folder
from counterfoil.connectors.parquet_output import ParquetOutput
from counterfoil.errors import StorageError

_REFUSED = "is being written by another run; wait for its end, or choose another output"
_HOLD = """
import sys
from pathlib import Path
from counterfoil.connectors.line_output import LineOutput
from counterfoil.connectors.parquet_output import ParquetOutput
lines = LineOutput(Path(sys.argv[1]))
lines.write(b"one\\n")
table = ParquetOutput(Path(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    lines, table = tmp_path / "out.ndjson", tmp_path / "out.parquet"
    command = [sys.executable, "-c", _HOLD, str(lines), str(table)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StorageError, match=f"out.ndjson: {_REFUSED}"):
            LineOutput(lines)
        with pytest.raises(StorageError, match=f"out.parquet: {_REFUSED}"):
            ParquetOutput(table)
        other.kill()
    assert lines.read_bytes() == b"one\n"
    LineOutput(lines).close()
    with ParquetOutput(table) as output:
        output.write(pl.DataFrame({"row": [1]}))
    assert sorted(tmp_path.iterdir()) == [lines, table]


def test_a_link_is_the_same_file_and_closing_gives_it_free(tmp_path: Path) -> None:
    output = LineOutput(tmp_path / "out")
    os.link(tmp_path / "out", tmp_path / "link")
    with pytest.raises(StorageError, match=_REFUSED):
        LineOutput(tmp_path / "link")
    output.close()
    LineOutput(tmp_path / "link").close()


def test_many_write_to_a_device() -> None:
    for _ in range(2):
        with locked_file(Path(os.devnull)) as one, locked_file(Path(os.devnull)) as two:
            one.write(b"one\n")
            two.write(b"two\n")


def test_a_file_keeps_what_it_holds_until_it_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "out"
    output = LineOutput(path)
    output.write(b"one\n")
    with pytest.raises(StorageError, match=f"out: {_REFUSED}"):
        locked_file(path)
    assert path.read_bytes() == b"one\n"
    output.close()
    with locked_file(path) as file:
        assert path.read_bytes() == b""
        file.write(b"2\n")
        file.flush()
        with pytest.raises(StorageError, match=f"out: {_REFUSED}"):
            LineOutput(path)
    assert path.read_bytes() == b"2\n"
    with pytest.raises(StorageError, match="absent/out: cannot be written: No such file or directory; choose another"):
        locked_file(tmp_path / "absent" / "out")


def test_a_folder_that_its_holder_removes_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "parts"
    opened = os.open
    removed: list[Path] = []

    def open_then_remove(path: Path, flags: int) -> int:
        descriptor = opened(path, flags)
        if not removed:
            removed.append(path)
            folder.rmdir()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_remove)
    descriptor = locked_folder(folder, tmp_path / "out")
    assert removed
    assert os.fstat(descriptor).st_ino == folder.stat().st_ino
    with pytest.raises(StorageError, match=_REFUSED):
        locked_folder(folder, tmp_path / "out")
    os.close(descriptor)
