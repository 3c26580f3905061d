"""Served decisions performed again: the difference between what was served and what a table for training would hold.

A verifier reads a state folder, while its run goes on or after it, and carries the journal through a program of its
own: the same that ``counterfoil dataset`` carries it through. Each decision's digest, which covers every feature bit
for bit, must be the one in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from counterfoil.program import Program
from counterfoil.runtimes.local.model_serving import model_files, repeat_of
from counterfoil.runtimes.local.records import digest
from counterfoil.runtimes.local.recovery import read_blocks

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.detector import Detector
    from counterfoil.events.identity import IdentityKey
    from counterfoil.runtimes.local.records import Records
    from counterfoil.runtimes.local.store import Store

EXAMPLES_MAX = 10


@dataclass(slots=True)
class Verified:
    """What came of performing decisions again."""

    blocks: int = 0
    events: int = 0
    decisions: int = 0
    """Decisions that were held against the log."""
    different: int = 0
    """Those that were another."""
    examples: list[int] = field(default_factory=list)
    """Positions of some of them."""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "events": self.events,
            "recomputed_decisions": self.decisions,
            "differences": self.different,
            "positions_of_differences": self.examples,
        }


class Verifier:
    """Performs the decisions of a log again, block by block, as far as there are any.

    Decisions of earlier detectors only warm the state up: what they served is not what this one would.

    Parameters
    ----------
    store
        The log, open for reading.
    detectors
        The detectors that decided, each with its first block, oldest first.
    key
        The key of the run.
    """

    def __init__(self, store: Store, detectors: Sequence[tuple[int, Detector]], key: IdentityKey) -> None:
        self.verified = Verified()
        self.registry = CollectorRegistry()
        self._store = store
        self._first, detector = detectors[-1]
        self._program = Program(detector, key)
        self._models = model_files(store.folder, detector)
        self._recomputed = Counter(
            "counterfoil_recomputed_decisions", "Decisions that were performed again.", registry=self.registry
        )
        self._different = Counter(
            "counterfoil_recomputed_differences",
            "Decisions that were another when they were performed again: stays at 0.",
            registry=self.registry,
        )

    def advance(self, on_progress: Callable[[int, int], None] | None = None) -> Verified:
        """Perform what is new in the log, and return what was found since the beginning.

        Parameters
        ----------
        on_progress
            Told how many blocks of how many are done.
        """
        stop = self._store.refresh().blocks
        for header, batch, records in read_blocks(
            self._store, self._program.detector.schema, self.verified.blocks, stop
        ):
            own = header.block >= self._first
            decided = self._program.process(batch, repeat_of(self._models, records.models) if own else None)
            self.verified.events += len(batch)
            if own:
                self._hold(records, decided)
            if on_progress is not None:
                on_progress(header.block + 1, stop)
        self.verified.blocks = stop
        return self.verified

    def _hold(self, records: Records, decided: Decided) -> None:
        """Hold the decisions of a block against the log; one that only one side has is a difference, too."""
        common, left, right = np.intersect1d(records.row, decided.rows, assume_unique=True, return_indices=True)
        same = records.digest[left] == digest(decided)[right]
        alone = len(records) + len(decided) - 2 * len(common)
        wrong = records.position[left[~same]].tolist()
        self.verified.decisions += len(records)
        self.verified.different += len(wrong) + alone
        self.verified.examples += wrong[: EXAMPLES_MAX - len(self.verified.examples)]
        self._recomputed.inc(len(records))
        self._different.inc(len(wrong) + alone)
