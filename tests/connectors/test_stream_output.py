from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from counterfoil.connectors import stream_output
from counterfoil.connectors.stream_output import StreamOutput, is_stream
from counterfoil.errors import StorageError


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_what_is_a_stream(pipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(pipe)
    found = [is_stream(each) for each in (pipe, tmp_path / "link", Path(os.devnull))]
    assert found == [True, True, True]
    assert not any(is_stream(each) for each in (tmp_path, tmp_path / "file", tmp_path / "absent"))


def test_a_pipe_waits_for_its_reader_and_says_when_it_has_gone(pipe: Path) -> None:
    read: list[bytes] = []

    def look() -> None:
        time.sleep(0.2)
        with pipe.open("rb") as file:
            read.append(file.readline())

    reader = threading.Thread(target=look)
    reader.start()
    output = StreamOutput(pipe)
    output.write(b"one\n")
    reader.join()
    assert (read, output.size) == ([b"one\n"], 4)
    with pytest.raises(StorageError, match="pipe: the reader has gone; the decision log is complete"):
        output.write(b"two\n")
    output.close()
    output.close()


def test_a_pipe_that_is_full_waits(pipe: Path) -> None:
    """It is opened without waiting, and written with."""
    size = 1 << 20
    read: list[int] = []
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output = StreamOutput(pipe)
    os.set_blocking(descriptor, True)

    def look() -> None:
        while sum(read) < size:
            read.append(len(os.read(descriptor, 65_536)))

    reader = threading.Thread(target=look)
    reader.start()
    output.write(bytes(size))
    reader.join()
    assert sum(read) == size
    output.close()
    os.close(descriptor)


def test_a_pipe_that_nobody_reads_is_named(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_output, "READER_SECONDS", 0.1)
    with pytest.raises(StorageError, match="pipe: cannot be written: nobody reads the pipe; choose another output"):
        StreamOutput(pipe)


def test_a_device_that_cannot_be_opened_is_named(pipe: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: Is a directory; choose another output"):
        StreamOutput(pipe.parent)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_device_is_named() -> None:
    output = StreamOutput(Path("/dev/full"))
    with pytest.raises(StorageError, match="/dev/full: cannot be written: No space left on device; the decision log"):
        output.write(b"one\n")
    output.close()
