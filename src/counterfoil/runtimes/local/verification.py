"""Served decisions performed again: the difference between what was served and what a table for training would hold.

A verifier reads a state folder, while its run goes on or after it, and carries the journal through a program of its
own: the same that ``counterfoil dataset`` carries it through. Each decision's digest, which covers every feature bit
for bit, must be the one in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from counterfoil.detector_file import read_detector
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
    detectors: dict[str, int] = field(default_factory=dict)
    """How many were held, by the version of the detector that made them and performed them again."""
    examples: list[int] = field(default_factory=list)
    """Positions of some of them."""

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "events": self.events,
            "recomputed_decisions": self.decisions,
            "recomputed_by_detector": self.detectors,
            "differences": self.different,
            "positions_of_differences": self.examples,
        }


class Verifier:
    """Performs the decisions of a log again, block by block, as far as there are any.

    Each decision is performed by the detector that made it. Where a folder has seen several, one goes over the journal
    after the other: what was decided before its time only warms its state up, as when the run took it up.

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
        self._key = key
        self._detectors = list(detectors)
        self._recomputed = Counter(
            "counterfoil_recomputed_decisions", "Decisions that were performed again.", registry=self.registry
        )
        self._different = Counter(
            "counterfoil_recomputed_differences",
            "Decisions that were another when they were performed again: stays at 0.",
            registry=self.registry,
        )
        self._begin(0)

    def _begin(self, index: int) -> None:
        """Begin with a detector, at the beginning of the journal."""
        self._index = index
        self._first, detector = self._detectors[index]
        self._program = Program(detector, self._key)
        self._models = model_files(self._store.folder, detector)
        self._next = 0

    def advance(self, on_progress: Callable[[int, int], None] | None = None) -> Verified:
        """Perform what is new in the log, and return what was found since the beginning.

        Parameters
        ----------
        on_progress
            Told how many blocks of how many are done; a block counts once for each detector that goes over it.
        """
        stop = self._store.refresh().blocks
        # The run may have been started again with another detector meanwhile.
        for epoch in self._store.epochs()[len(self._detectors) :]:
            self._detectors.append((epoch.first_block, read_detector(epoch.definition, epoch.version)))
        ends = [*(first for first, _ in self._detectors[1:]), stop]
        firsts = [first for first, _ in self._detectors]
        # A detector that has decided nothing yet is not made to go over all that came before.
        wanted = [min(end, stop) if min(end, stop) > first else 0 for first, end in zip(firsts, ends, strict=True)]
        while True:
            done = sum(wanted[: self._index])
            self._advance(wanted[self._index], partial(_tell, on_progress, done, sum(wanted)))
            following = next((index for index in range(self._index + 1, len(wanted)) if wanted[index]), None)
            if following is None:
                self.verified.blocks = stop
                return self.verified
            self._begin(following)

    def _advance(self, stop: int, on_block: Callable[[int], object]) -> None:
        """Let the detector go over the journal, up to a block."""
        detector = self._program.detector
        for header, batch, records in read_blocks(self._store, detector.schema, self._next, stop):
            own = header.block >= self._first
            decided = self._program.process(batch, repeat_of(self._models, records.models) if own else None)
            if own:
                self.verified.events += len(batch)
                self._hold(records, decided)
            on_block(header.block + 1)
        self._next = max(self._next, stop)

    def _hold(self, records: Records, decided: Decided) -> None:
        """Hold the decisions of a block against the log; one that only one side has is a difference, too."""
        common, left, right = np.intersect1d(records.row, decided.rows, assume_unique=True, return_indices=True)
        same = records.digest[left] == digest(decided)[right]
        alone = len(records) + len(decided) - 2 * len(common)
        wrong = records.position[left[~same]].tolist()
        self.verified.decisions += len(records)
        version = self._program.detector.version
        self.verified.detectors[version] = self.verified.detectors.get(version, 0) + len(records)
        self.verified.different += len(wrong) + alone
        self.verified.examples += wrong[: EXAMPLES_MAX - len(self.verified.examples)]
        self._recomputed.inc(len(records))
        self._different.inc(len(wrong) + alone)


def _tell(on_progress: Callable[[int, int], None] | None, before: int, of: int, block: int) -> None:
    if on_progress is not None:
        on_progress(before + block, of)
