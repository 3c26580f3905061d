from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.connectors.lines import LineCutter
from counterfoil.connectors.source import Chunk


def never() -> bool:
    return False


def cutter(data: bytes, step: int, batch_bytes: int, batch_lines: int, record_bytes: int) -> LineCutter:
    """Return a cutter over bytes that come ``step`` at a time."""
    at = 0

    def fetch(size: int) -> bytes:
        nonlocal at
        part = data[at : at + min(size, step)]
        at += len(part)
        return part

    return LineCutter(fetch, batch_bytes, batch_lines, record_bytes)


def data_of(chunk: Chunk) -> bytes:
    assert isinstance(chunk.data, bytes)
    return chunk.data


def chunks(cutter: LineCutter) -> list[Chunk]:
    found = []
    while (chunk := cutter.read(never)) is not None:
        found.append(chunk)
    return found


@given(
    st.binary(max_size=200).map(lambda data: data.replace(b"a", b"\n")),
    st.integers(1, 50),
    st.integers(1, 64),
    st.sampled_from([1, 2, 7, 5000]),
)
def test_lines_come_out_as_they_went_in(data: bytes, step: int, batch_bytes: int, batch_lines: int) -> None:
    found = chunks(cutter(data, step, batch_bytes, batch_lines, record_bytes=1000))
    assert b"".join(data_of(chunk) for chunk in found) == data
    lines = data.split(b"\n")
    expected = len(lines) - (lines[-1] == b"")
    assert (found[-1].next_position if found else 0) == expected
    position = offset = 0
    for chunk in found:
        size = len(data_of(chunk))
        assert chunk.position == position
        assert chunk.next_offset == offset + size
        assert 1 <= chunk.next_position - position <= batch_lines
        position, offset = chunk.next_position, chunk.next_offset


@given(st.integers(1, 40), st.integers(1, 64), st.integers(9, 300))
def test_a_line_that_is_too_long_is_cut_and_its_neighbours_stay(step: int, batch_bytes: int, length: int) -> None:
    data = b"one\n" + b"x" * length + b"\ntwo\nrest"
    found = chunks(cutter(data, step, batch_bytes, 1, record_bytes=8))
    assert [data_of(chunk) for chunk in (found[0], found[2], found[3])] == [b"one\n", b"two\n", b"rest"]
    # Kept whole where it lay in one read; else cut behind the limit, so that the decoder refuses it.
    assert len(data_of(found[1])) > 8
    assert found[1].next_offset == 4 + length + 1
    assert found[3].next_offset == len(data)


def test_a_long_line_at_the_end_ends() -> None:
    found = chunks(cutter(b"y" * 100, 7, 16, 10, record_bytes=20))
    assert len(found) == 1
    assert data_of(found[0]) == b"y" * 21 + b"\n"
    assert (found[0].next_position, found[0].next_offset) == (1, 100)


@given(st.integers(1, 40), st.integers(1, 20), st.sampled_from([1, 5000]))
def test_a_last_line_that_is_not_whole_stays_where_it_is(step: int, length: int, batch_lines: int) -> None:
    data = b"one\ntwo\n" + b"x" * length
    found = LineCutter(cutter(data, step, 16, 1, 8)._fetch, 16, batch_lines, 8, lambda line: line == b"xxx")
    taken = chunks(found)
    whole = length == 3
    assert b"".join(data_of(chunk) for chunk in taken) == b"one\ntwo\n" + b"xxx" * whole
    assert (found.position, found.offset) == ((3, 11) if whole else (2, 8))
    assert found.unfinished == (0 if whole else length)
    assert found.read(never) is None


@pytest.mark.parametrize("times", [1, 1_000])
def test_a_line_without_end_can_be_stopped(times: int) -> None:
    left = iter(range(times))
    endless = LineCutter(lambda size: b"x" * min(size, 10), 64, 100, 100)
    assert endless.read(lambda: next(left, None) is None) is None
    assert endless.position == 0
