"""Large arrays that grow in place: address space is reserved at once, memory is used only where it is written."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

from counterfoil.errors import LimitError
from counterfoil.events.batch import Words

_WORD = 8
_SMALL = 4 << 20
"""Bytes at the start of a reservation that stay on small pages, so that a small detector stays small: with huge pages
from the first byte every array would hold at least 2 MiB."""
_MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0
_MADV_HUGEPAGE = 14


def reserve(words: int) -> Words:
    """Return a zeroed array of int64 whose pages come into being when they are first written.

    Parameters
    ----------
    words
        Its length. It costs address space only; huge pages are asked for beyond the first 4 MiB (on Linux).

    Raises
    ------
    LimitError
        When the operating system refuses the address space.
    """
    size = max(words, 1) * _WORD
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    try:
        region = mmap.mmap(-1, size, flags=flags)
    except (OSError, ValueError, OverflowError) as error:
        message = (
            f"cannot reserve {size:,} bytes of address space ({error}); lower limits.state_bytes, or raise the "
            "address-space limit of the process (ulimit -v)"
        )
        raise LimitError(message) from error
    array = np.frombuffer(region, dtype=np.int64)
    if sys.platform == "linux" and size > 2 * _SMALL:
        _advise_huge_pages(array, size)
    return array


def _advise_huge_pages(array: Words, size: int) -> None:
    """Ask for huge pages; a kernel that has none says no, which costs speed and nothing else."""
    start = (array.ctypes.data + _SMALL + mmap.PAGESIZE - 1) & ~(mmap.PAGESIZE - 1)
    library = ctypes.CDLL(None)
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.madvise(start, size - _SMALL - mmap.PAGESIZE, _MADV_HUGEPAGE)
