"""Models that score beside a clock: what fails or takes too long is fenced off, and rules decide without it."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from counterfoil.models import kernel
from counterfoil.models.definition import ModelUse
from counterfoil.models.scores import ABSENT, FENCED, OVERRAN, RAISED, SERVED, Served
from counterfoil.models.serving_model import Lineup, ServingModel
from counterfoil.observability import get_logger

CHUNK = 4_096
"""Rows between two looks at the clock: what a budget is stated for."""
_FENCE_SECONDS, _FENCE_SECONDS_MAX = 1.0, 300.0
"""How long a model is left out after a fault; twice as long after each further one."""

_log = get_logger(__name__)


@dataclass(slots=True)
class Fence:
    """Whether a model is left out after faults, and until when."""

    until: float = 0.0
    faults: int = 0
    running: Future[kernel.Doubles] | None = None

    def closed(self) -> bool:
        """Whether the model is left out now."""
        if self.running is not None and not self.running.done():
            return True
        self.running = None
        return time.monotonic() < self.until

    def fault(self) -> None:
        """Leave the model out, longer after each fault."""
        self.until = time.monotonic() + min(_FENCE_SECONDS * 2**self.faults, _FENCE_SECONDS_MAX)
        self.faults = min(self.faults + 1, 20)


class Host(Protocol):
    """What outlives a batch: ``serving.ModelHost`` is one."""

    uses: tuple[ModelUse, ...]
    pool: ThreadPoolExecutor

    def fence(self, entry: int, serving: ServingModel, /) -> Fence:
        """Return the fence of a version in its place."""
        ...

    def failed(self, entry: int, reason: str, fault: bool) -> None:
        """Tell that a model gave no scores for a batch."""
        ...

    def took(self, entry: int, seconds: float, /) -> None:
        """Tell how long a model took for a batch."""
        ...

    def renew_pool(self) -> None:
        """Leave a thread that hangs behind."""
        ...


class LiveServing:
    """A line-up for one batch, with a clock beside it.

    Parameters
    ----------
    host
        Keeps fences, and a thread for models that may hang.
    lineup
        Which versions serve.
    """

    def __init__(self, host: Host, lineup: Lineup) -> None:
        self._host, self._lineup = host, lineup
        self._status = [ABSENT if each is None else SERVED for each in lineup]

    def asked(self, entry: int) -> ServingModel | None:
        """Return the model of an entry; None while it is fenced off."""
        serving = self._lineup[entry]
        if serving is not None and self._host.fence(entry, serving).closed():
            self._status[entry] = FENCED
            self._host.failed(entry, FENCED, fault=False)
            return None
        return serving

    def score(self, entry: int, columns: kernel.Floats) -> kernel.Doubles | None:
        """Return the scores, or None where the model raised an error or took too long."""
        serving = self._lineup[entry]
        assert serving is not None
        started = time.monotonic()
        try:
            scores = self._chunks(entry, serving, columns)
        except TimeoutError:
            self._fault(entry, serving, OVERRAN, "took longer than its budget")
            return None
        except Exception as error:
            self._fault(entry, serving, RAISED, f"{type(error).__name__}: {error}"[:300])
            return None
        self._host.fence(entry, serving).faults = 0
        self._host.took(entry, time.monotonic() - started)
        return scores

    def _fault(self, entry: int, serving: ServingModel, status: str, what: str) -> None:
        self._status[entry] = status
        self._host.fence(entry, serving).fault()
        self._host.failed(entry, status, fault=True)
        _log.warning("model fenced off: rules decide without it", model=serving.reference, reason=status, detail=what)

    def _chunks(self, entry: int, serving: ServingModel, columns: kernel.Floats) -> kernel.Doubles:
        rows = columns.shape[1]
        budget = self._host.uses[entry].budget / 1_000_000
        out = np.empty(rows)
        # Loops of ours have no more than their own time to answer for, not what other processes took of the machine.
        clock = time.thread_time if serving.model.engine in ("trees", "linear") else time.monotonic
        started = clock()
        for number, start in enumerate(range(0, rows, CHUNK)):
            chunk = columns if rows <= CHUNK else np.ascontiguousarray(columns[:, start : start + CHUNK])
            out[start : start + CHUNK] = self._chunk(entry, serving, chunk, budget)
            if clock() - started > budget * (number + 1):
                raise TimeoutError
        return out

    def _chunk(self, entry: int, serving: ServingModel, chunk: kernel.Floats, budget: float) -> kernel.Doubles:
        if serving.model.engine in ("trees", "linear"):
            # Loops of a known length: they cannot hang.
            return serving.model.score_columns(chunk)
        future = self._host.pool.submit(serving.model.score_columns, chunk)
        try:
            return future.result(timeout=budget)
        except FutureTimeout:
            self._host.fence(entry, serving).running = future
            self._host.renew_pool()
            raise TimeoutError from None

    def served(self) -> tuple[Served, ...]:
        """Return who served."""
        return tuple(
            Served(use.name, status=status) if each is None else each.served(use.name, status)
            for use, each, status in zip(self._host.uses, self._lineup, self._status, strict=True)
        )
