"""The quick hash is the hash."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.events.hashing import hash_padded
from counterfoil.events.identity import IdentityKey
from counterfoil.events.words import padded


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=70), st.integers(0, 9), st.binary())
def test_hashes_are_equal(text: str, start: int, secret: bytes) -> None:
    key = IdentityKey(secret)
    data = text.encode()
    assert hash_padded(padded(b"x" * start + data), start, len(data), *key.words) == key.hash(text)
