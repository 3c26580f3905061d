"""The join: answers of all parts beside the batch that was asked for, and from them decisions. It has no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from counterfoil.errors import CorruptionError
from counterfoil.features import layout
from counterfoil.runtimes.engine.batches import batch_of
from counterfoil.runtimes.engine.blob import Array, Blob, decode, unpack_bits
from counterfoil.runtimes.engine.episodes import raised_blob
from counterfoil.runtimes.engine.job import FIRST_SHARD
from counterfoil.runtimes.engine.packing import BATCH
from counterfoil.runtimes.engine.parts import ANSWERS, MASK
from counterfoil.runtimes.engine.results import Judge

if TYPE_CHECKING:
    from counterfoil.events.batch import Bytes, Words
    from counterfoil.runtimes.engine.job import Job


class Joined(NamedTuple):
    """What a batch became."""

    result: bytes
    raised: bytes | None
    """For episodes; None where nothing was raised or nobody wants them."""


class Joiner:
    """Joins and judges.

    Parameters
    ----------
    job
        The job; its state is not in one piece.
    """

    def __init__(self, job: Job) -> None:
        assert not job.whole
        self._job = job
        self._program = job.program
        self._judge = Judge(job, job.program)
        self._outputs = [np.unique(plan.operations[:, layout.OPERATION_OUTPUT]) for plan in job.program.stage_plans]

    def missing(self, pieces: Sequence[bytes]) -> bool:
        """Return whether something of a batch has yet to come; a mask is not waited for: see ``join``."""
        blobs = [decode(piece) for piece in pieces]
        batch = next((blob for blob in blobs if blob.kind == BATCH), None)
        return batch is None or _wanted(batch) != _came(blobs)

    def join(self, pieces: Sequence[bytes]) -> Joined:
        """Return the decisions of one batch.

        Parameters
        ----------
        pieces
            Everything of the batch, in any order: the batch, the answers of all shards that were asked, and the mask of
            duplicates where there is one. An engine must not let answers overtake the mask; where parts are fed masks
            first, they do not.

        Raises
        ------
        CorruptionError
            If an answer is missing.
        """
        blobs = [decode(piece) for piece in pieces]
        found = [blob for blob in blobs if blob.kind == BATCH]
        if len(found) != 1 or _wanted(found[0]) != _came(blobs):
            raise CorruptionError(
                f"a batch came {len(found)} times with the answers of shards {sorted(_came(blobs))}; restart the job"
                " from its last checkpoint"
            )
        meta = found[0].meta
        count = len(found[0].arrays["kind"])
        batch = batch_of({**found[0].arrays, "identity": np.zeros(count, np.int64)}, self._job.detector.schema)
        masked = next((blob.arrays["row"] for blob in blobs if blob.kind == MASK), None)
        kept = np.arange(count)
        if masked is not None:
            kept = np.setdiff1d(kept, masked)
            batch = batch.take(kept)
        place = np.full(count, -1, np.int64)
        prepared = self._program.prepare(batch)
        place[kept] = prepared.column
        work, nulls = self._program.work(len(prepared.rows))
        late = np.zeros(len(prepared.rows), np.uint8)
        for blob in blobs:
            if blob.kind == ANSWERS:
                self._fill(blob.arrays, place, work, nulls, late)
        decided, raised = self._program.judge(batch, prepared, work, nulls, late, self._judge.serving)
        result = self._judge.result(batch, decided, meta, count - len(kept))
        return Joined(result, raised_blob(batch, decided) if raised and self._job.alerts else None)

    def _fill(self, answers: dict[str, Array], place: Words, work: Words, nulls: Bytes, late: Bytes) -> None:
        """Put the answers of one shard where they belong."""
        late[place[answers["late"]]] = 1
        for number, outputs in enumerate(self._outputs):
            rows = answers.get(f"row:{number}")
            if rows is None:
                continue
            columns = place[rows]
            null = unpack_bits(answers[f"nulls:{number}"], len(rows))
            words = answers[f"words:{number}"]
            # A row at a time: numpy scatters into a matrix by two lists far slower.
            for row, output in enumerate(outputs.tolist()):
                work[output, columns] = words[row]
                nulls[output, columns] = null[row]


def _wanted(batch: Blob) -> set[int]:
    return {FIRST_SHARD + shard for shard in batch.meta["shards"]}


def _came(blobs: Sequence[Blob]) -> set[int]:
    return {blob.meta["part"] for blob in blobs if blob.kind == ANSWERS}
