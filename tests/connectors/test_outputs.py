from __future__ import annotations

import os
from pathlib import Path

import pytest

from counterfoil.connectors.line_output import LineOutput
from counterfoil.connectors.standard_output import StandardOutput
from counterfoil.errors import StorageError


def test_lines_are_appended_cut_and_recognised(tmp_path: Path) -> None:
    output = LineOutput(tmp_path / "out")
    output.write(b"one\n")
    output.write(memoryview(b"two\n"))
    assert output.size == 8
    checksum = output.tail_checksum(8)
    output.sync()
    output.truncate(4)
    output.write(b"TWO\n")
    assert output.tail_checksum(8) != checksum
    assert output.tail_checksum(0) != checksum
    output.close()
    output.close()
    assert (tmp_path / "out").read_bytes() == b"one\nTWO\n"
    assert LineOutput(tmp_path / "out").size == 8


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No such file or directory"):
        LineOutput(tmp_path / "absent" / "out")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """It cannot be cut back, so runs on engines would fail in the middle."""
    os.mkfifo(tmp_path / "pipe")
    for path in (Path(os.devnull), tmp_path / "pipe"):
        with pytest.raises(StorageError, match=f"{path}: is a device or a pipe; name a file here, or - for standard"):
            LineOutput(path)


def test_a_pipe_takes_lines_until_its_reader_goes() -> None:
    reading, writing = os.pipe()
    output = StandardOutput(writing)
    output.write(b"one\n")
    output.sync()
    assert os.read(reading, 10) == b"one\n"
    assert output.size == 4
    os.close(reading)
    with pytest.raises(StorageError, match="the reader has gone"):
        output.write(b"two\n")
    output.close()
    os.close(writing)
