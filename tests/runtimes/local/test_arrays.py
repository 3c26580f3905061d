"""Arrays to bytes and back: whatever their number, type and size."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.errors import CorruptionError
from counterfoil.runtimes.local import arrays
from counterfoil.runtimes.local.arrays import pack, unpack

_KINDS = (np.int64, np.int32, np.int16, np.uint8, np.float64, np.float32, np.bool_)


@given(
    st.integers(0, 50), st.lists(st.sampled_from(_KINDS), min_size=1, max_size=6), st.binary(max_size=99), st.booleans()
)
def test_what_was_packed_comes_back_whether_there_is_much_or_little(
    size: int, kinds: list[type[np.generic]], heap: bytes, little: bool
) -> None:
    columns = {f"column {number}": np.arange(size).astype(kind) for number, kind in enumerate(kinds)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_SMALL_BYTES", 1 << 30 if little else 0)
        found = unpack(pack(columns, {"heap": np.frombuffer(heap, np.uint8)}))
    assert set(found) == {*columns, "heap"}
    assert found["heap"].tobytes() == heap
    for name, column in columns.items():
        assert found[name].dtype == column.dtype
        np.testing.assert_array_equal(found[name], column)
        # A kernel compiled for arrays that may be written takes no other.
        assert found[name].flags.writeable


def test_what_was_packed_as_arrow_files_is_still_read() -> None:
    columns, heap = {"time": np.arange(5), "late": np.zeros(5, np.uint8)}, np.arange(9, dtype=np.uint8)
    data = b""
    for frame in (pl.DataFrame(columns), pl.DataFrame({"heap": heap})):
        file = io.BytesIO()
        frame.write_ipc(file, compression="lz4")
        data += len(file.getvalue()).to_bytes(8, "little") + file.getvalue()
    found = unpack(data)
    assert {name: each.tolist() for name, each in found.items()} == {
        "time": [0, 1, 2, 3, 4],
        "late": [0] * 5,
        "heap": list(range(9)),
    }
    with pytest.raises(CorruptionError, match="cut short"):
        unpack(data[:-1])


@given(st.data())
def test_a_block_that_was_cut_or_changed_is_refused_or_read_but_never_followed(data: st.DataObject) -> None:
    # Its checksum is held against it before; this is for what is behind the checksum.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_SMALL_BYTES", 0)
        whole = pack({"time": np.arange(99) ** 2, "kind": np.arange(99) % 3}, {"heap": np.zeros(7, np.uint8)})
    cut = data.draw(st.integers(9, len(whole) - 1))
    with pytest.raises(CorruptionError, match="restore"):
        unpack(whole[:cut])
    place, byte = data.draw(st.integers(8, len(whole) - 1)), data.draw(st.integers(0, 255))
    with contextlib.suppress(CorruptionError):
        unpack(whole[:place] + bytes([byte]) + whole[place + 1 :])


def test_little_takes_few_bytes_more_than_it_has() -> None:
    assert len(pack({"time": np.zeros(8, np.int64)}, {})) < 100


@pytest.mark.parametrize("cut", [9, 20, -1])
def test_a_small_block_that_was_cut_short_is_refused(cut: int) -> None:
    data = pack({"time": np.arange(10)}, {"heap": np.zeros(3, np.uint8)})
    with pytest.raises(CorruptionError, match="restore"):
        unpack(data[:cut])


def test_a_small_block_of_another_shape_is_refused() -> None:
    with pytest.raises(CorruptionError, match="restore"):
        unpack(b"\xff" * 8 + b"\x93\x01\x02\x03")
    with pytest.raises(CorruptionError, match="restore"):
        # The bytes are no multiple of the type's size.
        unpack(b"\xff" * 8 + b"\x81\xa1a\x92\xa3<i8\xc4\x03abc")
