"""What kernels hand on to one another: the plan, the state and the events of one shard, each as one value.

To compiled code they are no more than their arrays: everything on the hot path is inlined.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from counterfoil.events.batch import Bytes, Words

Floats = npt.NDArray[np.float64]


class Plan(NamedTuple):
    """The tables of a stage: see ``layout.py``."""

    tracks: Words
    edges: Words
    measures: Words
    tallies: Words
    operations: Words
    divisors: Floats
    """What minor units are divided by, for each operation."""


class State(NamedTuple):
    """The state of one shard of a stage."""

    table: Words
    """The index: key to record."""
    arena: Words
    """All records, rings, and blocks of values."""
    arena_float: Floats
    """The same memory as floats."""
    meta: Words
    """Its counters."""


class Events(NamedTuple):
    """A batch as the stages see it, and where they write."""

    keys: Words
    """(keys, n): 0 where an event does not belong to such an entity."""
    kinds: npt.NDArray[np.int16]
    times: Words
    decided: Words
    """(n,): column of the outputs; -1 for events that only feed state."""
    inputs: Words
    """(inputs, n): arguments and conditions."""
    inputs_float: Floats
    input_nulls: Bytes
    outputs: Words
    """(features, m)."""
    outputs_float: Floats
    output_nulls: Bytes
    late: Bytes
    """(m,): 1 where an event is older than the lateness allows."""
