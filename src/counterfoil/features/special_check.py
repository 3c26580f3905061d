"""Holds a stage's own kernel against the one that reads tables, on events made up for it, before it is ever used."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from counterfoil.events.batch import Bytes, Words
from counterfoil.features import layout
from counterfoil.features.planner import StagePlan
from counterfoil.features.special import Special
from counterfoil.features.stage import StageBatch, Stages

_EVENTS = 12_000
_BATCHES = (1, 7, 128, 1024)
"""Sizes of batches, by turns."""
_ENTITIES = 60
_STEP = 600_000_000
"""Microseconds from event to event: an entity has several in a day, and hundreds in a month."""
_LATENESS = 7 * 86_400_000_000
_STATE_BYTES = 1 << 28

Answers = list[Words | Bytes]


class Trial:
    """Events for one stage, and what the kernel that reads tables makes of them.

    Parameters
    ----------
    plan
        The stage.
    keys
        Rows of the keys under which it is read and fed.
    """

    def __init__(self, plan: StagePlan, keys: tuple[int, int]) -> None:
        self._plan, self._keys = plan, keys
        self._expected, self._state = self._run(None)

    def passes(self, special: Special) -> bool:
        """Tell whether a kernel gives the same answers and leaves the same state, bit for bit."""
        answers, state = self._run(special)
        same = all(np.array_equal(mine, theirs) for mine, theirs in zip(self._expected, answers, strict=True))
        return same and all(np.array_equal(self._state[name], array) for name, array in state.items())

    def _run(self, special: Special | None) -> tuple[Answers, dict[str, Words]]:
        stages = Stages((self._plan,), (self._keys,), 2, 1, _LATENESS, _STATE_BYTES)
        if special is not None:
            stages.use_special(0, special)
        events = _Source(self._plan, self._keys)
        answers: Answers = []
        for size in cycle(_BATCHES):
            batch = events.batch(size)
            if batch is None:
                break
            stages.update(batch)
            answers += [batch.outputs, batch.output_nulls, batch.late]
        return answers, {name: array.copy() for name, array in stages.snapshot().items()}


class _Source:
    """The same events every time: many of few entities, some late, some at one time, some without a value."""

    def __init__(self, plan: StagePlan, keys: tuple[int, int]) -> None:
        self._plan, self._keys = plan, keys
        self._random = np.random.default_rng(8)
        self._made = 0
        operations, measures, tracks = plan.operations, plan.measures, plan.tracks
        self._outputs = 1 + int(operations[:, layout.OPERATION_OUTPUT].max())
        places = operations[:, [layout.OPERATION_FIRST_INPUT, layout.OPERATION_SECOND_INPUT]]
        values = measures[:, [layout.MEASURE_INPUT, layout.MEASURE_MASK]]
        self._inputs = 1 + max(int(each.max(initial=0)) for each in (places, values, tracks[:, layout.TRACK_MASK]))
        located = np.isin(operations[:, layout.OPERATION_CODE], (layout.DISTANCE, layout.SPEED))
        floats = measures[measures[:, layout.MEASURE_FLOAT] == 1, layout.MEASURE_INPUT]
        self._floats = np.unique(np.concatenate((floats, places[located].ravel())))
        self._kinds = 1 + int(tracks[:, layout.TRACK_KIND].max())

    def batch(self, size: int) -> StageBatch | None:
        """Return the next events, or None behind the last."""
        if self._made >= _EVENTS:
            return None
        random = self._random
        numbers = self._made + np.arange(size)
        self._made += size
        times = (numbers // 2) * _STEP
        late = random.random(size) < 0.1
        times[late] -= random.integers(0, _LATENESS * 5 // 4, np.count_nonzero(late))
        keys = np.zeros((1 + max(self._keys), size), np.int64)
        for row in {*self._keys}:
            # Half of all events are of one entity: its rings grow large.
            entity = np.where(random.random(size) < 0.5, 1, random.integers(0, _ENTITIES, size))
            keys[row] = (entity.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
        inputs = random.integers(0, 9, (self._inputs, size))
        inputs[self._floats] = (random.random((len(self._floats), size)) * 90).view(np.int64)
        nulls = (random.random((self._inputs, size)) < 0.1).astype(np.uint8)
        inputs[nulls == 1] = 0
        # The last column is one that no event has: rows of outputs may be longer than there are decisions.
        decided = random.random(size) < 0.8
        columns = np.where(decided, np.cumsum(decided) - 1, -1)
        return StageBatch(
            keys,
            random.integers(0, self._kinds, size).astype(np.int16),
            times,
            columns,
            inputs,
            nulls,
            np.zeros((self._outputs, size + 1), np.int64),
            np.ones((self._outputs, size + 1), np.uint8),
            np.zeros(size + 1, np.uint8),
        )
