"""Chunks of whole lines, however the bytes arrive."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.dead_letters import ReasonCode
from counterfoil.events.decode_json import JsonDecoder
from counterfoil.events.decoding import DecoderSettings
from counterfoil.events.lines import LineChunk, LineChunks, decode_chunk
from tests.events.records import ARRIVAL, KEY, SCHEMA, SKEW, events_of

LONGEST = 100
SETTINGS = DecoderSettings(record_bytes_max=LONGEST)


class Pipe(io.RawIOBase):
    """Gives its bytes in pieces of stated sizes, as a slow writer would."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self.data = data
        self.sizes = sizes

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.sizes.pop(0)) if self.sizes else size
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def chunks(data: bytes, chunk_bytes: int = 64, sizes: list[int] | None = None) -> list[LineChunk]:
    return list(LineChunks(Pipe(data, list(sizes or [])), chunk_bytes, LONGEST))


LINES = st.lists(
    st.tuples(st.one_of(st.binary(max_size=30), st.integers(95, 400).map(bytes)), st.sampled_from([b"\n", b"\r\n"])),
    max_size=20,
).map(lambda lines: b"".join(line.replace(b"\n", b"").replace(b"\x00", b"x") + end for line, end in lines))


@given(LINES, st.binary(max_size=20), st.integers(1, 300), st.lists(st.integers(1, 200), max_size=20))
def test_nothing_is_lost_and_everything_has_its_place(
    data: bytes, rest: bytes, chunk_bytes: int, sizes: list[int]
) -> None:
    data += rest.replace(b"\n", b"")
    position = offset = 0
    for chunk in chunks(data, chunk_bytes, sizes):
        assert (chunk.first_position, chunk.offset) == (position, offset)
        source = data[offset : chunk.next_offset]
        assert source.endswith(b"\n") or chunk.next_offset == len(data)
        assert chunk.lines == len(source.splitlines()) or b"\r" in source
        assert chunk.data == (b"" if chunk.dead else source)
        position, offset = chunk.next_position, chunk.next_offset
    assert offset == len(data)
    assert position == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")


@given(LINES, st.integers(1, 300), st.lists(st.integers(1, 200), max_size=20))
def test_how_the_bytes_arrive_changes_nothing(data: bytes, chunk_bytes: int, sizes: list[int]) -> None:
    decoder = JsonDecoder(SCHEMA, SETTINGS, KEY, SKEW)
    whole = decoder.decode(data, 0, ARRIVAL)
    parts = [decode_chunk(decoder, chunk, ARRIVAL) for chunk in chunks(data, chunk_bytes, sizes)]
    assert [letter for part in parts for letter in part.dead] == whole.dead
    assert sum(part.consumed for part in parts) == len(data)
    assert sum(part.records for part in parts) == whole.records
    assert not any(events_of(part.batch) for part in parts)


def test_lines_come_out_as_they_come_in() -> None:
    found = chunks(b"one\ntwo\nthree", sizes=[3, 3, 2, 5])
    assert [chunk.data for chunk in found] == [b"one\n", b"two\n", b"three"]


def test_a_line_that_is_too_long_is_one_dead_letter() -> None:
    data = b"first\n" + b"x" * 1_000 + b"\nlast\nvery last\n"
    found = chunks(data)
    assert b"".join(chunk.data for chunk in found) == b"first\nlast\nvery last\n"
    ((letter,),) = [chunk.dead for chunk in found if chunk.dead]
    assert (letter.position, letter.reason, letter.size) == (1, ReasonCode.RECORD_TOO_LARGE, 1_000)
    assert letter.detail == "1000 bytes; record_bytes_max is 100"


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    class Endless(io.RawIOBase):
        left = 1 << 30

        def read(self, size: int = -1) -> bytes:
            self.left -= size
            return b"x" * size if self.left > 0 else b""

    (chunk,) = LineChunks(Endless(), 1 << 20, LONGEST)
    assert len(chunk.dead[0].record) == 64 * 1024
    assert chunk.dead[0].size > (1 << 30) - (2 << 20)


def test_reading_can_go_on_from_any_chunk() -> None:
    data = b"".join(b"line %d\n" % index for index in range(100))
    found = chunks(data)
    for index, chunk in enumerate(found):
        file = io.BytesIO(data)
        file.seek(chunk.next_offset)
        rest = list(LineChunks(file, 64, LONGEST, chunk.next_position, chunk.next_offset))
        assert rest == found[index + 1 :]


@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n"])
def test_empty_files(data: bytes) -> None:
    assert sum(chunk.lines for chunk in chunks(data)) == len(data)
