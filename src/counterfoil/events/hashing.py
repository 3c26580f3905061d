"""The keyed hash of ``identity.py`` over padded buffers: the same values, a word at a time."""

from __future__ import annotations

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes
from counterfoil.events.identity import _finish, _round
from counterfoil.events.words import first_bytes, load_word


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def hash_padded(data: Bytes, start: int, length: int, key0: np.uint64, key1: np.uint64) -> int:
    """Return ``hash_bytes(data, start, length, key0, key1)``; the buffer must be padded.

    Loading words instead of putting them together from bytes makes it twice as fast for ids of 5 to 15 bytes.
    """
    v0 = key0 ^ np.uint64(0x736F6D6570736575)
    v1 = key1 ^ np.uint64(0x646F72616E646F6D)
    v2 = key0 ^ np.uint64(0x6C7967656E657261)
    v3 = key1 ^ np.uint64(0x7465646279746573)
    end = start + (length & ~7)
    while start < end:
        word = load_word(data, start)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
        start += 8
    word = np.uint64(length & 0xFF) << np.uint64(56)
    rest = length & 7
    if rest:
        word |= first_bytes(load_word(data, end), rest)
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= word
    return _finish(v0, v1, v2, v3)
