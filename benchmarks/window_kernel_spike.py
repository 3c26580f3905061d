"""What this machine can do: exact sliding windows of fixed shape in one hand-written kernel.

Five entity kinds with seven windows each, count and mean at each event (70 features), rings of the last 128 events,
1,216 bytes a record, 1.5 GiB of state, uniform keys, time in order. No hash index, no nulls, no decisions: it shows
where the memory wall of the machine is, and the stages of a detector are stated as a ratio to it. The same kernel in C
at -O3 is no faster; without prefetch it takes three times as long.
"""

from __future__ import annotations

import functools
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

from benchmarks.harness import Result, best_seconds, report
from counterfoil.memory import reserve
from counterfoil.prefetch import prefetch

ENTITY_KINDS = 5
ENTITIES = 1 << 18
"""Of each kind; a power of two, so that the multiplicative shuffle of the prefill visits each once."""
RING = 128
RECORD = 304
"""Words of 32 bits: 7 sums and 7 sums of squares (float64), 7 tails, 1 head, padding to 48, 128 times, 128 amounts."""
WINDOWS = np.array([60, 300, 3600, 21_600, 86_400, 7 * 86_400, 30 * 86_400], np.int32)
EVENTS = 100_000
ROUND_SECONDS = 43_200
"""Each prefill round brings every entity one event: two a day."""


@nb.njit(nogil=True, cache=True, error_model="numpy")
def _run(slots: Any, times: Any, amounts: Any, words: Any, floats: Any, doubles: Any, windows: Any, out: Any) -> None:
    count, kinds = times.shape[0], slots.shape[0]
    for i in range(count):
        if i + 6 < count:
            for kind in range(kinds):
                base = slots[kind, i + 6] * 304
                prefetch(words, base)
                prefetch(words, base + 16)
                prefetch(words, base + 32)
        if i + 3 < count:
            for kind in range(kinds):
                base = slots[kind, i + 3] * 304
                for cursor in (words[base + 35], words[base + 33], words[base + 34]):
                    prefetch(words, base + 48 + (cursor & 127))
                    prefetch(words, base + 176 + (cursor & 127))
        time, amount = times[i], amounts[i]
        for kind in range(kinds):
            base = slots[kind, i] * 304
            base_double = base >> 1
            head = words[base + 35]
            words[base + 48 + (head & 127)] = time
            floats[base + 176 + (head & 127)] = amount
            head += 1
            words[base + 35] = head
            for window in range(7):
                tail = words[base + 28 + window]
                total = doubles[base_double + window] + amount
                squares = doubles[base_double + 7 + window] + np.float64(amount) * amount
                if head - tail > 128:
                    old = floats[base + 176 + (tail & 127)]
                    total -= old
                    squares -= np.float64(old) * old
                    tail += 1
                low = time - windows[window]
                while tail != head and words[base + 48 + (tail & 127)] <= low:
                    old = floats[base + 176 + (tail & 127)]
                    total -= old
                    squares -= np.float64(old) * old
                    tail += 1
                doubles[base_double + window] = total
                doubles[base_double + 7 + window] = squares
                words[base + 28 + window] = tail
                out[i, kind, 2 * window] = head - tail
                out[i, kind, 2 * window + 1] = total / (head - tail)


def _slots(columns: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.stack([column + kind * ENTITIES for kind, column in enumerate(columns)])


@functools.cache
def nanoseconds_per_event(prefill_rounds: int = 40) -> float:
    """Return the time one event takes on one core of this machine, ``prefill_rounds`` events a key kept."""
    random = np.random.default_rng(0)
    words = reserve(ENTITY_KINDS * ENTITIES * RECORD // 2).view(np.int32)
    state = (words, words.view(np.float32), words.view(np.float64), WINDOWS)
    out = np.zeros((EVENTS, ENTITY_KINDS, 14), np.float32)
    now = 0
    for _ in range(prefill_rounds):
        for first in range(0, ENTITIES, EVENTS):
            keys = np.arange(first, min(ENTITIES, first + EVENTS)) * 2_654_435_761 % ENTITIES
            times = np.full(len(keys), now, np.int32)
            _run(_slots([keys] * ENTITY_KINDS), times, np.full(len(keys), 10, np.float32), *state, out)
        now += ROUND_SECONDS

    def measured() -> None:
        nonlocal now
        slots = _slots([random.integers(0, ENTITIES, EVENTS) for _ in range(ENTITY_KINDS)])
        times = (now + np.arange(EVENTS) * ROUND_SECONDS // ENTITIES).astype(np.int32)
        now = int(times[-1])
        amounts = random.random(EVENTS).astype(np.float32) * 100
        seconds.append(best_seconds(lambda: _run(slots, times, amounts, *state, out), rounds=1))

    seconds: list[float] = []
    for _ in range(5):
        measured()
    return min(seconds) / EVENTS * 1e9


def main() -> list[Result]:
    """Measure the spike alone."""
    return [
        Result(
            "Hand-written kernel of fixed shape",
            nanoseconds_per_event(),
            "ns an event",
            note="70 window features, one core",
        )
    ]


if __name__ == "__main__":
    report(main)
