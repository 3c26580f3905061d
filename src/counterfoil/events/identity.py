"""Keyed, stable 64-bit hashes of ids: SipHash-1-3 over the UTF-8 bytes.

References
----------
Aumasson, Bernstein: SipHash: a fast short-input PRF, INDOCRYPT 2012 (the variant with one compression and three
finalisation rounds that CPython and Rust use for their hash tables).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numba as nb
import numpy as np

from counterfoil.events.batch import Bytes


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """The key of all hashes and tokens of one installation.

    Parameters
    ----------
    secret
        Any bytes. The default is public: it makes hashes stable and equal everywhere, not secret.
    """

    secret: bytes = field(default=b"counterfoil", repr=False)

    @property
    def words(self) -> tuple[np.uint64, np.uint64]:
        """The two key words that the kernels take."""
        digest = hashlib.sha256(b"identity:" + self.secret).digest()
        return np.uint64(int.from_bytes(digest[:8], "little")), np.uint64(int.from_bytes(digest[8:16], "little"))

    def hash(self, text: str) -> int:
        """Return the hash of one text as a signed 64-bit integer: equal to what the decoders store for it."""
        data = np.frombuffer(text.encode(), np.uint8)
        return int(hash_bytes(data, 0, len(data), *self.words))


@nb.njit(inline="always")
def _rotate(value: np.uint64, bits: np.uint64) -> np.uint64:
    return (value << bits) | (value >> (np.uint64(64) - bits))


@nb.njit(inline="always")
def _round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 += v1
    v1 = _rotate(v1, np.uint64(13)) ^ v0
    v0 = _rotate(v0, np.uint64(32))
    v2 += v3
    v3 = _rotate(v3, np.uint64(16)) ^ v2
    v0 += v3
    v3 = _rotate(v3, np.uint64(21)) ^ v0
    v2 += v1
    v1 = _rotate(v1, np.uint64(17)) ^ v2
    v2 = _rotate(v2, np.uint64(32))
    return v0, v1, v2, v3


@nb.njit(inline="always")
def _finish(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64) -> np.int64:
    v2 ^= np.uint64(0xFF)
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    result = np.int64(v0 ^ v1 ^ v2 ^ v3)
    # 0 marks an empty slot and an absent id, so no hash may be it.
    return result if result != 0 else np.int64(1)


@nb.njit(nogil=True, cache=True)
def hash_bytes(data: Bytes, start: int, length: int, key0: np.uint64, key1: np.uint64) -> np.int64:
    """Return the keyed hash of ``data[start : start + length]``; never 0."""
    v0 = key0 ^ np.uint64(0x736F6D6570736575)
    v1 = key1 ^ np.uint64(0x646F72616E646F6D)
    v2 = key0 ^ np.uint64(0x6C7967656E657261)
    v3 = key1 ^ np.uint64(0x7465646279746573)
    whole = length & ~7
    for at in range(0, whole, 8):
        word = np.uint64(0)
        for byte in range(8):
            word |= np.uint64(data[start + at + byte]) << np.uint64(8 * byte)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
    word = np.uint64(length & 0xFF) << np.uint64(56)
    for byte in range(length - whole):
        word |= np.uint64(data[start + whole + byte]) << np.uint64(8 * byte)
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= word
    return _finish(v0, v1, v2, v3)


@nb.njit(nogil=True, cache=True)
def hash_pair(first: np.int64, second: np.int64, key0: np.uint64, key1: np.uint64) -> np.int64:
    """Return the keyed hash of two words; never 0. A composite key is folded with it from the left."""
    v0 = key0 ^ np.uint64(0x736F6D6570736575)
    v1 = key1 ^ np.uint64(0x646F72616E646F6D)
    v2 = key0 ^ np.uint64(0x6C7967656E657261)
    v3 = key1 ^ np.uint64(0x7465646279746573)
    for word in (np.uint64(first), np.uint64(second), np.uint64(16) << np.uint64(56)):
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
    return _finish(v0, v1, v2, v3)
