"""Keep memory that batches free, instead of giving it back to the operating system and asking for it again."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of glibc's ``mallopt``."""
_LARGEST_BATCH_ARRAY = 1 << 30


def keep_freed_memory() -> bool:
    """Let glibc reuse large blocks; return whether it does. Elsewhere nothing happens.

    A batch's arrays are megabytes each. By default glibc maps such blocks and unmaps them when they are freed, so every
    batch pays for fresh zeroed pages: that was a third of the time spent in the kernel, more on virtual machines.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # One arena: those of other threads are cut into heaps of 64 MiB, too small for some arrays.
    settings = ((_MMAP_THRESHOLD, _LARGEST_BATCH_ARRAY), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1))
    done = [mallopt(parameter, value) == 1 for parameter, value in settings]
    return all(done)
