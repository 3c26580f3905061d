"""Recent decisions, as a sample: what mappings of scores are fitted on."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from counterfoil.events.batch import Batch, Bytes, Texts, Words
from counterfoil.models import kernel
from counterfoil.models.matrix import Planner
from counterfoil.models.model import Model

ROWS_MAX = 65_536
"""Decisions that are remembered."""
_OF_BATCH = 2_048


@dataclass(frozen=True, slots=True)
class _Sample:
    """Some of a batch's decisions."""

    batch: Batch
    rows: Words
    features: Words
    nulls: Bytes


class RecentDecisions:
    """The newest decisions; one thread adds to them and another scores them."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._lock = threading.Lock()
        self.rows = 0
        """How many they are."""

    def observe(self, batch: Batch, rows: Words, features: Words, nulls: Bytes) -> None:
        """Remember a sample of a batch's decisions.

        Parameters
        ----------
        batch
            The events.
        rows
            Those that were decided.
        features, nulls
            (features, len(rows)).
        """
        if not len(rows):
            return
        step = -(-len(rows) // _OF_BATCH)
        columns = np.arange(0, len(rows), step)
        chosen = batch.take(rows[columns])
        chosen.texts = Texts(np.zeros(0, np.uint8), chosen.texts.offset, chosen.texts.length)
        sample = _Sample(chosen, np.arange(len(columns)), features[:, columns], nulls[:, columns])
        with self._lock:
            self._samples.append(sample)
            self.rows += len(columns)
            while self.rows > ROWS_MAX:
                self.rows -= len(self._samples.popleft().rows)

    def scores(self, models: tuple[Model, ...], planner: Planner) -> list[kernel.Doubles]:
        """Return what some models say of the same decisions.

        Parameters
        ----------
        models
            Which.
        planner
            Knows how their matrices are made of events.
        """
        with self._lock:
            samples = list(self._samples)
        found = []
        for model in models:
            plan = planner.plan(model.signature, model.sha256)
            parts = [plan.build(each.batch, each.rows, each.features, each.nulls) for each in samples]
            matrix = np.concatenate(parts, axis=1) if parts else np.zeros((len(model.signature.inputs), 0), np.float32)
            found.append(model.score_columns(np.ascontiguousarray(matrix)))
        return found
