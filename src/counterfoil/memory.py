"""Large arrays that grow in place: address space is reserved at once, memory is used only where it is written."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np
import numpy.typing as npt

from counterfoil.errors import LimitError

Words = npt.NDArray[np.int64]

_WORD = 8
_SMALL = 4 << 20
"""Bytes at the start of a reservation that stay on small pages, so that a small detector stays small: with huge pages
from the first byte every array would hold at least 2 MiB."""
_HUGE = 2 << 20
"""Bytes of a huge page."""
_MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0
_MADV_HUGEPAGE, _MADV_POPULATE_WRITE = 14, 23


def reserve(words: int, *, dense: bool = False) -> Words:
    """Return a zeroed array of int64 whose pages come into being when they are first written.

    Parameters
    ----------
    words
        Its length. It costs address space only; huge pages are asked for beyond the first 4 MiB (on Linux).
    dense
        Whether it is used all over from the beginning, as a hash table is: then huge pages are asked for from the
        first byte where it has room for some. On small pages nearly every look-up would walk the page table.

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
    small = 0 if dense else _SMALL
    if sys.platform == "linux" and size >= max(2 * small, _HUGE):
        _advise_huge_pages(array, small, size)
    return array


class Frontier:
    """Sees to it that pages an array is about to grow into are there before they are written.

    The first touch of a page makes the operating system find one and clear it: for a huge page that takes up to some
    milliseconds, in which no event is decided. So a thread of its own touches them ahead, as many as the array's
    growth so far suggests. It changes no content.

    Parameters
    ----------
    array
        From ``reserve``.
    """

    def __init__(self, array: Words) -> None:
        self._array = array
        self._used = 0
        self._touched = 0

    def next_pages(self, used: int) -> tuple[int, int] | None:
        """Return the range of words to touch next, or None where the array does not grow fast enough to matter.

        Parameters
        ----------
        used
            How many words are used now.
        """
        growth, self._used = used - self._used, used
        first = max(self._touched, used)
        last = min(used + _FRONTIER * growth, len(self._array))
        if growth <= 0 or used * _WORD < _SMALL or (last - first) * _WORD < _HUGE:
            return None
        self._touched = last
        return first, last

    def touch(self, first: int, last: int) -> None:
        """Touch the pages of a range of words; where the operating system cannot, they come when they are written."""
        if sys.platform == "linux":
            # In pieces: meanwhile the process cannot reserve or give back other memory.
            for start in range(first * _WORD, last * _WORD, _PIECE):
                _advise(self._array, start, min(start + _PIECE, last * _WORD), _MADV_POPULATE_WRITE)


_PIECE = 8 << 20
"""Bytes touched at once."""
_FRONTIER = 3
"""How many times its latest growth an array gets ahead."""


def _advise_huge_pages(array: Words, first: int, last: int) -> None:
    """Ask for huge pages; a kernel that has none says no, which costs speed and nothing else."""
    _advise(array, first, last, _MADV_HUGEPAGE)


def _advise(array: Words, first: int, last: int, advice: int) -> None:
    start = (array.ctypes.data + first + mmap.PAGESIZE - 1) & ~(mmap.PAGESIZE - 1)
    stop = (array.ctypes.data + last) & ~(mmap.PAGESIZE - 1)
    library = ctypes.CDLL(None)
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.madvise(start, stop - start, advice)
