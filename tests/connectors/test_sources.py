from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from counterfoil.connectors.generator import GeneratorSource
from counterfoil.connectors.parquet_file import ParquetFileSource
from counterfoil.connectors.source import Chunk, Source
from counterfoil.connectors.standard_input import StandardInputSource
from counterfoil.connectors.text_file import TextFileSource, closed_object
from counterfoil.errors import InputError

ROWS = 25


def never() -> bool:
    return False


def text_file(folder: Path) -> Source:
    path = folder / "rows.csv"
    path.write_text("name\n" + "".join(f"row {number}\n" for number in range(ROWS)))
    return TextFileSource(path, 1 << 16, 4, 1 << 10, header=True)


def parquet_file(folder: Path) -> Source:
    path = folder / "rows.parquet"
    pl.DataFrame({"name": [f"row {number}" for number in range(ROWS)]}).write_parquet(path)
    return ParquetFileSource(path, 4)


def payments(folder: Path) -> Source:
    del folder
    return GeneratorSource("payments", ROWS, None, 7, 100, 4)


def transfers(folder: Path) -> Source:
    del folder
    return GeneratorSource("transfers", ROWS, None, 7, 100, 4)


SOURCES = [text_file, parquet_file, payments, transfers]


def rows(chunk: Chunk) -> list[object]:
    if isinstance(chunk.data, pl.DataFrame):
        return chunk.data["name"].to_list()
    assert isinstance(chunk.data, bytes)
    return list(chunk.data.splitlines())


def drained(source: Source) -> list[Chunk]:
    found = []
    while (chunk := source.read(never)) is not None:
        found.append(chunk)
    source.close()
    source.close()
    return found


@pytest.mark.parametrize("make", SOURCES)
def test_every_chunk_is_a_place_to_go_on_from(make: Callable[[Path], Source], tmp_path: Path) -> None:
    found = drained(make(tmp_path))
    everything = [row for chunk in found for row in rows(chunk)]
    assert len(everything) == ROWS
    for index, chunk in enumerate(found):
        again = make(tmp_path)
        again.seek(chunk.next_position, chunk.next_offset)
        rest = drained(again)
        assert [row for each in rest for row in rows(each)] == [
            row for each in found[index + 1 :] for row in rows(each)
        ]
        if rest:
            assert rest[0].position == chunk.next_position


@pytest.mark.parametrize("make", SOURCES)
def test_a_stop_ends_the_reading(make: Callable[[Path], Source], tmp_path: Path) -> None:
    source = make(tmp_path)
    assert source.read(lambda: True) is None
    source.close()


@pytest.mark.parametrize("make", [text_file, parquet_file])
def test_a_file_is_known_by_its_beginning(make: Callable[[Path], Source], tmp_path: Path) -> None:
    source = make(tmp_path)
    length, checksum = source.fingerprint(None)
    assert length > 0
    assert source.fingerprint(length) == (length, checksum)
    assert source.fingerprint(length - 1)[1] != checksum
    source.close()


@pytest.mark.parametrize("make", [text_file, parquet_file])
def test_a_file_that_was_cut_is_refused(make: Callable[[Path], Source], tmp_path: Path) -> None:
    source = make(tmp_path)
    with pytest.raises(InputError, match="it is another file"):
        source.seek(1_000, 10_000_000)
    source.close()


def test_a_header_takes_position_0(tmp_path: Path) -> None:
    source = text_file(tmp_path)
    source.seek(0, 0)
    chunk = source.read(never)
    assert chunk is not None
    assert chunk.position == 1
    assert rows(chunk)[0] == b"row 0"
    source.close()


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: cannot be read: No such file"):
        TextFileSource(tmp_path / "absent", 100, 10, 100)
    (tmp_path / "text").write_text("no table")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        ParquetFileSource(tmp_path / "text", 10)


def test_a_file_that_fails_while_it_is_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory; give the path of a file"):
        TextFileSource(tmp_path, 100, 10, 100)
    (tmp_path / "lost").write_text("gone\n")
    source = TextFileSource(tmp_path / "lost", 100, 10, 100)
    source.close()
    with pytest.raises(InputError, match="cannot be read at byte 0: Bad file descriptor"):
        source.read(never)


def test_a_rate_is_kept() -> None:
    source = GeneratorSource("payments", 40, 200.0, 1, 100, 1000)
    started = time.monotonic()
    found = drained(source)
    assert sum(chunk.next_position - chunk.position for chunk in found) == 40
    assert time.monotonic() - started >= 0.15
    assert source.fingerprint(None) == (0, 0)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_a_pipe_gives_its_lines_and_the_last_without_a_newline(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"name\none\ntwo\nthr")
    source = StandardInputSource(1 << 16, 100, 1 << 10, header=True, descriptor=reading)
    assert source.header == b"name\n"
    source.seek(10, 99)
    first = source.read(never)
    assert first is not None
    assert (first.data, first.position, first.next_position) == (b"one\ntwo\n", 11, 13)
    os.write(writing, b"ee")
    os.close(writing)
    last = source.read(never)
    assert last is not None
    assert last.data == b"three"
    assert source.read(never) is None
    assert source.fingerprint(None) == (0, 0)


def test_a_stop_is_seen_while_nothing_comes_and_half_a_line_is_no_record(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"half a li")
    source = StandardInputSource(1 << 16, 100, 1 << 10, descriptor=reading)
    stopped = threading.Event()
    threading.Timer(0.1, stopped.set).start()
    assert source.read(stopped.is_set) is None
    source.close()


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        (b'{"a": 1}', True),
        (b'\xef\xbb\xbf {"a": {"b": [1]}} ', True),
        (b"{}", True),
        (b'{"a": 1', False),
        (b'{"a": "}', False),
        (b"42", False),
        (b"[1]", False),
        (b"[" * 100_000, False),
        (b'{"a": 1} {', False),
        (b'{"\xff": 1', False),
        (b" ", False),
    ],
)
def test_only_a_closed_object_cannot_become_another_event(line: bytes, whole: bool) -> None:
    assert closed_object(line) is whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_that_gets_its_newline_later_is_one_line(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "growing.ndjson"

    def read_on(position: int, offset: int) -> tuple[list[bytes], int, int]:
        source = TextFileSource(path, 1 << 16, 100, 1 << 10, whole=closed_object)
        source.seek(position, offset)
        found = []
        for chunk in drained(source):
            assert isinstance(chunk.data, bytes)
            found.append(chunk.data)
            position, offset = chunk.next_position, chunk.next_offset
        return found, position, offset

    path.write_bytes(b'{"a":1}')
    assert read_on(0, 0) == ([b'{"a":1}'], 1, 7)
    assert read_on(1, 7) == ([], 1, 7)
    path.write_bytes(b'{"a":1}' + end + b'{"a":2')
    assert read_on(1, 7) == ([], 1, 7)
    path.write_bytes(b'{"a":1}' + end + b'{"a":2}' + end)
    found, position, offset = read_on(1, 7)
    assert (found, position, offset) == ([b'{"a":2}' + end], 2, 14 + 2 * len(end))
    assert read_on(position, offset) == ([], position, offset)
