"""Protobuf's wire format: what was written is read, packed or not, and what is damaged is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import InputError
from counterfoil.models.wire import Message

_WHOLE = st.integers(-(2**63), 2**63 - 1)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _message(data: bytes, most: int = 100) -> Message:
    return Message.of(np.frombuffer(data, np.uint8), 0, len(data), most, "a graph")


@given(st.lists(_WHOLE, max_size=5))
def test_whole_numbers(values: list[int]) -> None:
    plain = b"".join(_varint(7 << 3) + _varint(each) for each in values)
    packed = _field(7, b"".join(_varint(each) for each in values)) if values else b""
    for data in (plain, packed):
        assert _message(data).integers(7).tolist() == values
        assert _message(data).integer(7, 5) == (values[-1] if values else 5)
        assert _message(data).numbers() == ({7} if values else set())


@given(st.lists(st.floats(allow_nan=False, width=32), max_size=5))
def test_floats(values: list[float]) -> None:
    for name, wire, form in (("floats", 5, "<f"), ("doubles", 1, "<d")):
        plain = b"".join(_varint(3 << 3 | wire) + struct.pack(form, each) for each in values)
        packed = _field(3, b"".join(struct.pack(form, each) for each in values)) if values else b""
        for data in (plain, packed):
            assert getattr(_message(data), name)(3).tolist() == values


def test_texts_and_messages() -> None:
    message = _message(_field(1, b"one") + _field(2, _field(1, "zwei ü".encode())) + _field(1, b"\xff"))
    assert message.texts(1, 5) == ["one", "\ufffd"]
    assert (message.text(1), message.text(9)) == ("\ufffd", "")
    assert [each.text(1) for each in message.messages(2, 1, 10, "nodes")] == ["zwei ü"]
    with pytest.raises(InputError, match="found a name of more than 2 bytes"):
        message.text(1, 2)
    with pytest.raises(InputError, match="found 2 of nodes; allowed: at most 1"):
        message.messages(1, 1, 10, "nodes")
    with pytest.raises(InputError, match="nodes is damaged or no ONNX"):
        _message(_field(2, b"\xff")).messages(2, 1, 10, "nodes")


def test_more_fields_than_a_place_allows_are_refused() -> None:
    data = _field(1, b"") * 4
    assert _message(data, 4).texts(1, 9) == [""] * 4
    with pytest.raises(InputError, match="found more than 3 fields in a graph; allowed: 3"):
        _message(data, 3)


@pytest.mark.parametrize("data", [_field(7, b"\x01\xff"), _field(7, b"\xff" * 11)])
def test_a_list_of_whole_numbers_that_is_cut_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="a list of numbers is damaged"):
        _message(data).integers(7)


def test_a_list_of_floats_that_is_cut_is_refused() -> None:
    message = _message(_field(3, b"12345"))
    for read in (message.floats, message.doubles):
        with pytest.raises(InputError, match="a list of numbers is damaged"):
            read(3)


@given(st.binary(max_size=30))
def test_any_bytes_are_a_message_or_are_refused(data: bytes) -> None:
    try:
        message = _message(data)
        for number in message.numbers():
            message.integers(number), message.floats(number), message.texts(number, 9)
    except InputError:
        return


@given(st.integers(0, 20))
def test_a_message_that_is_cut_is_refused(kept: int) -> None:
    data = _field(1, b"a name") + _varint(7 << 3) + _varint(300) + _varint(3 << 3 | 5) + struct.pack("<f", 1.5)
    ends = {0, 8, 11, len(data)}
    if kept in ends:
        _message(data[:kept])
        return
    with pytest.raises(InputError, match="a graph is damaged or no ONNX"):
        _message(data[:kept] if kept < len(data) else data[:-1])
