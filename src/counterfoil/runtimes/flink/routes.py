"""Who gets a piece: what Flink's hash makes of keys, and what pieces are told of one another on their way.

Free of Flink, so that it can be tested without.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from counterfoil.runtimes.engine.blob import Piece
from counterfoil.runtimes.engine.job import CARRIED, DUPLICATES, FIRST_SHARD

GROUPS = 128
"""Key groups: the most tasks that a job can ever be spread over (Flink's maximum parallelism)."""
FRAMES, RAISED = -1_000, -1_001
"""Numbers of what is no part's: frames for sinks, and raised decisions on their way to episodes."""
_COUNT = struct.Struct("<i")
_TRIES = 1 << 20


def balanced_keys(count: int, group_of: Callable[[int], int], groups: int = GROUPS) -> list[int]:
    """Return keys for parts, so that their groups lie evenly: few keys by themselves would crowd into few tasks.

    Parameters
    ----------
    count
        How many parts.
    group_of
        The engine's key group of a key.
    groups
        How many groups there are.

    Examples
    --------
    >>> balanced_keys(4, lambda key: key % 128)
    [16, 48, 80, 112]
    """
    placed = min(count, groups)
    wanted = {(2 * part + 1) * groups // (2 * placed): part for part in range(placed)}
    found: dict[int, int] = {}
    for key in range(_TRIES):
        part = wanted.get(group_of(key))
        if part is not None and part not in found:
            found[part] = key
            if len(found) == len(wanted):
                break
    assert len(found) == len(wanted)
    # More parts than groups share keys' groups, and each still has a key of its own.
    taken = set(found.values())
    free = (key for key in range(_TRIES) if key not in taken)
    return [found[part] if part in found else next(free) for part in range(count)]


def addressed(pieces: Sequence[Piece], dedupes: bool) -> list[Piece]:
    """Return the pieces of one batch, each told what it must know of the others.

    The piece for duplicates is told whose feeds wait for its word; the batch itself, how many answers and words it has
    to wait for.
    """
    asked = [piece.part for piece in pieces if piece.part >= FIRST_SHARD]
    looked = dedupes and any(piece.part == DUPLICATES for piece in pieces)
    found = []
    for piece in pieces:
        if piece.part == DUPLICATES:
            head = struct.pack(f"<{1 + len(asked)}i", len(asked), *asked)
            found.append(Piece(piece.part, piece.batch, head + piece.data))
        elif piece.part <= CARRIED:
            found.append(Piece(piece.part, piece.batch, _COUNT.pack(len(asked) + looked) + piece.data))
        else:
            found.append(piece)
    return found


def asked_of(data: bytes) -> tuple[list[int], bytes]:
    """Return whose feeds wait, and the identities, of a piece for duplicates."""
    (count,) = _COUNT.unpack_from(data)
    return list(struct.unpack_from(f"<{count}i", data, 4)), data[4 + 4 * count :]


def outstanding_of(data: bytes) -> tuple[int, bytes]:
    """Return how many answers and words a batch waits for, and the batch."""
    (count,) = _COUNT.unpack_from(data)
    return count, data[4:]
