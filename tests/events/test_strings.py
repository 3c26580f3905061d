"""JSON strings against Python's own decoder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.strings import (
    STRING_BAD_ESCAPE,
    STRING_BAD_UTF8,
    STRING_CONTROL,
    STRING_ESCAPED,
    STRING_OPEN,
    STRING_PLAIN,
    scan_string,
    unescape,
    valid_utf8,
)
from counterfoil.events.words import padded

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def scanned(content: bytes) -> tuple[int, int]:
    """Return where the string ends and what it is."""
    end, status = scan_string(padded(content), 0)
    return int(end), int(status)


def unescaped(content: bytes) -> str:
    target = np.zeros(len(content) + 8, np.uint8)
    end = unescape(padded(content), 0, len(content), target, 0)
    return bytes(target[:end]).decode()


@given(TEXTS, st.booleans())
def test_strings_come_back(text: str, ascii_only: bool) -> None:
    encoded = json.dumps(text, ensure_ascii=ascii_only).encode()[1:-1]
    end, status = scanned(encoded + b'"')
    assert end == len(encoded)
    assert status == (STRING_ESCAPED if b"\\" in encoded else STRING_PLAIN)
    assert unescaped(encoded) == text


@given(st.binary(max_size=30))
def test_utf8_is_what_python_takes_for_it(data: bytes) -> None:
    try:
        data.decode()
        valid = True
    except UnicodeDecodeError:
        valid = False
    assert valid_utf8(padded(data), 0, len(data)) == valid


@given(st.binary(max_size=30))
def test_bytes_are_a_string_or_what_is_wrong_with_it(data: bytes) -> None:
    end, status = scanned(data)
    assert 0 <= end <= len(data)
    closed = data[:end] + b'"' if status >= 0 else b""
    if status >= 0:
        assert unescaped(data[:end]) == json.loads(b'"' + closed)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"abc", STRING_OPEN),
        (b"a\tb", STRING_CONTROL),
        (b"a\x00b", STRING_CONTROL),
        (b"a\\xb", STRING_BAD_ESCAPE),
        (b"\\u12g4", STRING_BAD_ESCAPE),
        (b"\\ud800", STRING_BAD_ESCAPE),
        (b"\\ud800\\u0041", STRING_BAD_ESCAPE),
        (b"\\udc00", STRING_BAD_ESCAPE),
        (b"\\", STRING_BAD_ESCAPE),
        (b"\xff", STRING_BAD_UTF8),
        (b"\xc0\x80", STRING_BAD_UTF8),
        (b"\xed\xa0\x80", STRING_BAD_UTF8),
        (b"\xf4\x90\x80\x80", STRING_BAD_UTF8),
        (b"12345678901234567\xe2\x82", STRING_BAD_UTF8),
    ],
)
def test_strings_that_are_bad(content: bytes, status: int) -> None:
    assert scanned(content)[1] == status
