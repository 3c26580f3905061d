"""Words against bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.words import PADDING, copy_bytes, equal_bytes, find_newline, name_hash, padded


@given(st.binary(max_size=60), st.data())
def test_finding_a_newline(content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    assert find_newline(padded(content), start) == (content + b"\n").index(b"\n", start)


@given(st.binary(max_size=30), st.binary(max_size=30), st.integers(0, 9), st.integers(0, 9))
def test_comparing(left: bytes, right: bytes, left_start: int, right_start: int) -> None:
    size = min(len(left), len(right))
    one, other = padded(b"l" * left_start + left), padded(b"r" * right_start + right)
    assert equal_bytes(one, left_start, other, right_start, size) == (left[:size] == right[:size])
    assert equal_bytes(one, left_start, padded(b"r" * right_start + left), right_start, len(left))


@given(st.binary(max_size=40), st.integers(0, 9))
def test_copying(content: bytes, at: int) -> None:
    target = np.zeros(at + len(content) + PADDING, np.uint8)
    copy_bytes(padded(content), 0, len(content), target, at)
    assert target[:at].tobytes() == bytes(at)
    assert target[at : at + len(content)].tobytes() == content


@given(st.binary(max_size=30), st.integers(0, 9))
def test_a_name_has_one_hash_wherever_it_stands(name: bytes, start: int) -> None:
    found = name_hash(padded(b"x" * start + name + b"tail"), start, len(name))
    assert found == name_hash(padded(name), 0, len(name)) >= 0
