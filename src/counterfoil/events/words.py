"""Eight bytes at a time: unaligned loads and stores, and finding a byte in a word.

The text kernels of this package spend most of their time looking for the next quote or newline. A word at a time is
about four times as fast as a byte at a time. Every buffer that they read or write therefore has ``PADDING`` bytes
behind its content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from counterfoil.events.batch import Bytes

PADDING = 32
"""Bytes behind the content of a padded buffer: a word may be loaded at any place of the content and at its end."""

NEWLINE = 10
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_QUOTES = np.uint64(0x2222222222222222)
_BACKSLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_SPACES = np.uint64(0x2020202020202020)


@dataclass(frozen=True, slots=True)
class PaddedBytes:
    """Bytes that have ``PADDING`` newlines behind them already.

    Parameters
    ----------
    buffer
        The bytes and the newlines.
    """

    buffer: Bytes

    def __len__(self) -> int:
        return len(self.buffer) - PADDING

    @property
    def content(self) -> Bytes:
        """The bytes without the newlines."""
        return self.buffer[: len(self)]

    @classmethod
    def joined(cls, records: Sequence[bytes]) -> PaddedBytes:
        r"""Return records one behind the other, with a newline between two.

        Examples
        --------
        >>> lines = PaddedBytes.joined([b"one", b"two"])
        >>> len(lines), lines.content.tobytes()
        (7, b'one\ntwo')
        """
        # The newline before the padding is the first of it.
        return cls(np.frombuffer(bytearray(b"\n").join([*records, b"\n" * (PADDING - 1)]), np.uint8))


def padded(data: bytes | bytearray | memoryview | Bytes | PaddedBytes) -> Bytes:
    """Return a copy of some bytes with ``PADDING`` newlines behind them: no scanner runs past a newline."""
    if isinstance(data, PaddedBytes):
        return data.buffer
    view = data if isinstance(data, np.ndarray) else np.frombuffer(data, np.uint8)
    buffer = np.empty(len(view) + PADDING, np.uint8)
    buffer[: len(view)] = view
    buffer[len(view) :] = NEWLINE
    return buffer


@intrinsic
def _load_word(_context: Any, data: Any, _at: Any) -> Any:
    """Return eight bytes of an array as a little-endian word; ``at`` need not be aligned and is not checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        word = builder.load(pointer)
        word.align = 1
        return word

    return types.uint64(data, types.intp), generate


@intrinsic
def _store_word(_context: Any, data: Any, _at: Any, _word: Any) -> Any:
    """Store a word as eight bytes of an array; ``at`` need not be aligned and is not checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        builder.store(arguments[2], pointer).align = 1
        return context.get_dummy_value()

    return types.void(data, types.intp, types.uint64), generate


@intrinsic
def _load_address_word(_context: Any, _address: Any) -> Any:
    """Return the eight bytes at an address of memory as a word."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(types.uint64), generate


@intrinsic
def _load_address_byte(_context: Any, _address: Any) -> Any:
    """Return the byte at an address of memory as a word."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte = builder.load(builder.inttoptr(arguments[0], ir.IntType(8).as_pointer()))
        return builder.zext(byte, ir.IntType(64))

    return types.uint64(types.uint64), generate


@intrinsic
def _trailing_zeros(_context: Any, _word: Any) -> Any:
    """Return how many low bits of a word are zero; the word must not be 0."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), generate


load_word = cast("Callable[[Bytes, int], np.uint64]", _load_word)
store_word = cast("Callable[[Bytes, int, np.uint64], None]", _store_word)
load_address_word = cast("Callable[[np.uint64], np.uint64]", _load_address_word)
load_address_byte = cast("Callable[[np.uint64], np.uint64]", _load_address_byte)
trailing_zeros = cast("Callable[[np.uint64], int]", _trailing_zeros)


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def string_marks(word: np.uint64) -> np.uint64:
    """Return a word whose lowest set bit marks the first byte that is no plain character of a JSON string.

    Not plain are the quote, the backslash, control characters and every byte of a character beyond ASCII.
    """
    quotes = word ^ _QUOTES
    slashes = word ^ _BACKSLASHES
    found = (quotes - _ONES) & ~quotes
    found |= (slashes - _ONES) & ~slashes
    found |= (word - _SPACES) & ~word
    return (found | word) & _HIGHS


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def byte_marks(word: np.uint64, byte: np.uint64) -> np.uint64:
    """Return a word whose lowest set bit marks the first byte that equals ``byte``; 0 where none does."""
    difference = word ^ (byte * _ONES)
    return (difference - _ONES) & ~difference & _HIGHS


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def find_newline(data: Bytes, at: int) -> int:
    """Return the place of the first newline at or after ``at``: a padded buffer always has one."""
    while True:
        marks = byte_marks(load_word(data, at), np.uint64(NEWLINE))
        if marks:
            return at + (trailing_zeros(marks) >> 3)
        at += 8


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def skip_mark(data: Bytes, at: int) -> int:
    """Return the place behind a byte order mark, where one stands at ``at``; else ``at``."""
    return at + 3 if data[at] == 0xEF and data[at + 1] == 0xBB and data[at + 2] == 0xBF else at


@nb.njit(nogil=True, cache=True, _nrt=False)
def count_newlines(data: Bytes, size: int) -> int:
    """Return how many newlines the first ``size`` bytes hold."""
    count = 0
    for at in range(size):
        count += data[at] == NEWLINE
    return count


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def first_bytes(word: np.uint64, count: int) -> np.uint64:
    """Return a word with all but its first ``count`` bytes cleared; ``count`` is 1 to 8."""
    return word & (~np.uint64(0) >> np.uint64(64 - 8 * count))


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def equal_bytes(left: Bytes, left_start: int, right: Bytes, right_start: int, length: int) -> bool:
    """Return whether two slices of padded buffers hold the same bytes."""
    at = 0
    while at + 8 <= length:
        if load_word(left, left_start + at) != load_word(right, right_start + at):
            return False
        at += 8
    if at == length:
        return True
    difference = load_word(left, left_start + at) ^ load_word(right, right_start + at)
    return first_bytes(difference, length - at) == 0


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def copy_bytes(source: Bytes, start: int, length: int, target: Bytes, at: int) -> None:
    """Copy a slice of one padded buffer into another; up to seven bytes behind the slice are overwritten."""
    for offset in range(0, length, 8):
        store_word(target, at + offset, load_word(source, start + offset))


@nb.njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def name_hash(data: Bytes, start: int, length: int) -> int:
    """Return a quick unkeyed hash of a short name, for tables whose entries are compared in full afterwards."""
    if length == 0:
        return 0
    head = first_bytes(load_word(data, start), min(length, 8))
    tail = load_word(data, start + length - 8) if length > 8 else head
    mixed = (head * np.uint64(0x9E3779B97F4A7C15)) ^ (tail * np.uint64(0xC2B2AE3D27D4EB4F)) ^ np.uint64(length)
    mixed *= np.uint64(0xFF51AFD7ED558CCD)
    return np.int64(mixed >> np.uint64(33))
