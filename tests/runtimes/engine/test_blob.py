"""What travels comes back as it was, and damage is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import CorruptionError
from counterfoil.features.stage_kernel import shard_of
from counterfoil.runtimes.engine.blob import (
    Piece,
    decode,
    decode_pieces,
    encode,
    encode_pieces,
    pack_bits,
    unpack_bits,
)
from counterfoil.runtimes.engine.packing import shards_of

TYPES = st.sampled_from(["<i8", "<i4", "<i2", "|u1", "<f8", "<u8", "<f4"])


@given(st.lists(st.tuples(TYPES, st.integers(0, 9), st.integers(0, 5)), max_size=5), st.integers(0, 2**32 - 1))
def test_arrays_come_back(shapes: list[tuple[str, int, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    arrays = {
        f"{number} é": random.integers(0, 99, (rows, columns)).astype(dtype)
        for number, (dtype, rows, columns) in enumerate(shapes)
    }
    data = encode("thing", arrays, {"note": [1, "two"]})
    found = decode(data, "thing")
    assert found.meta == {"note": [1, "two"]}
    assert found.kind == "thing"
    assert list(found.arrays) == list(arrays)
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert np.array_equal(found.arrays[name], array)
        assert found.arrays[name].flags.writeable


@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_bit_that_changes_is_found(place: int, bit: int) -> None:
    data = bytearray(encode("thing", {"a": np.arange(20)}))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(CorruptionError):
        decode(data)


def test_another_kind_and_no_blob_are_refused() -> None:
    with pytest.raises(CorruptionError, match="of kind thing, not other"):
        decode(encode("thing", {}), "other")
    for data in (b"", b"nothing of the kind at all"):
        with pytest.raises(CorruptionError, match="no blob"):
            decode(data)


@given(st.lists(st.tuples(st.integers(-9, 99), st.integers(0, 2**60), st.binary(max_size=40)), max_size=6))
def test_pieces_come_back(pieces: list[tuple[int, int, bytes]]) -> None:
    wanted = [Piece(*each) for each in pieces]
    assert decode_pieces(encode_pieces(wanted)) == wanted


@given(st.integers(0, 5), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_bits_come_back(rows: int, count: int, seed: int) -> None:
    flags = np.random.default_rng(seed).integers(0, 2, (rows, count)).astype(np.uint8)
    assert np.array_equal(unpack_bits(pack_bits(flags), count), flags)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20), st.integers(1, 50))
def test_shards_are_those_of_the_kernel(keys: list[int], shards: int) -> None:
    words = np.array([keys], np.int64)
    found = shards_of(words, shards)[0].tolist()
    assert found == [int(shard_of(np.int64(key), np.int64(shards))) for key in keys]
