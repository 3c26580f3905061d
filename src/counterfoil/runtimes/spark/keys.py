"""Which key sends a piece to which task: Spark places a row by a hash of its key, and few keys would fall unevenly."""

from __future__ import annotations

from functools import cache

from counterfoil.runtimes.engine.job import CARRIED, CARRIERS

_SEED = 42
_MASK = 0xFFFFFFFF


def spark_hash(value: int) -> int:
    """Return Spark's ``hash`` of an ``int``: MurmurHash3 of its four bytes with seed 42.

    Examples
    --------
    >>> spark_hash(0), spark_hash(1)
    (933211791, -559580957)
    """
    mixed = (value & _MASK) * 0xCC9E2D51 & _MASK
    mixed = (mixed << 15 | mixed >> 17) & _MASK
    mixed = mixed * 0x1B873593 & _MASK
    state = _SEED ^ mixed
    state = (state << 13 | state >> 19) & _MASK
    state = (state * 5 + 0xE6546B64) & _MASK
    state ^= 4
    state = (state ^ state >> 16) * 0x85EBCA6B & _MASK
    state = (state ^ state >> 13) * 0xC2B2AE35 & _MASK
    state ^= state >> 16
    return state - (1 << 32) if state >= 1 << 31 else state


@cache
def keys_of(shards: int, partitions: int) -> dict[int, int]:
    """Return the key of each part: such that parts, and batches that pass by them, are spread over all tasks.

    Parameters
    ----------
    shards
        How many shards there are.
    partitions
        How many tasks a shuffle ends in.
    """
    free: dict[int, list[int]] = {}
    found: dict[int, int] = {}
    value = 0
    for place, part in enumerate([*range(shards + 1), *range(CARRIED, CARRIED - CARRIERS, -1)]):
        # Duplicates have a step of their own, so the first shard takes the first place again.
        wanted = (place - 1 if part >= 1 else place) % partitions
        while not free.get(wanted):
            free.setdefault(spark_hash(value) % partitions, []).append(value)
            value += 1
        found[part] = free[wanted].pop(0)
    return found
