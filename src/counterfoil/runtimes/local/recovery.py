"""From what is on disk to a program that stands where the log ends: the same after a normal stop and after a crash."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from counterfoil.errors import CorruptionError
from counterfoil.events.batch import Batch
from counterfoil.observability import get_logger
from counterfoil.runtimes.local.failpoints import reach
from counterfoil.runtimes.local.journal import decode_batch
from counterfoil.runtimes.local.model_serving import repeat_of
from counterfoil.runtimes.local.records import Records, decode_records, digest
from counterfoil.runtimes.local.store import Header, Store

if TYPE_CHECKING:
    from counterfoil.decisions.decided import Decided
    from counterfoil.events.kinds import Schema
    from counterfoil.models.model_files import ModelFiles
    from counterfoil.runtimes.local.snapshots import Snapshots
    from counterfoil.runtimes.plan import CompiledProgram

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What it took to get ready."""

    snapshot_blocks: int
    """Blocks that the snapshot stands for; 0 for none."""
    replayed_blocks: int
    replayed_events: int
    seconds: float


def recover(
    store: Store,
    snapshots: Snapshots,
    program: CompiledProgram,
    verified_from: int,
    models: ModelFiles | None = None,
) -> Recovery:
    """Restore the newest good snapshot and replay the journal behind it.

    Parameters
    ----------
    store
        The verified log.
    snapshots
        Its snapshots.
    program
        A fresh program.
    verified_from
        The first block that this detector decided: from there on the replay must give the recorded decisions.
        Those of an earlier detector are performed without models.
    models
        The models that served; None where the detector has none.

    Raises
    ------
    CorruptionError
        If a replay gives other decisions than the log holds.
    """
    started = time.monotonic()
    restored = snapshots.restore()
    blocks = 0
    if restored is not None:
        blocks, arrays = restored
        program.restore(arrays)
    events = 0
    for header, batch, records in read_blocks(store, program.detector.schema, blocks, store.totals.blocks):
        served = None if models is None or header.block < verified_from else repeat_of(models, records.models)
        decided = program.process(batch, served)
        if header.block >= verified_from:
            check_repeat(header, records, decided)
        events += len(batch)
        reach("replay.block")
    recovery = Recovery(blocks, store.totals.blocks - blocks, events, time.monotonic() - started)
    _log.info(
        "ready",
        snapshot_blocks=recovery.snapshot_blocks,
        replayed_blocks=recovery.replayed_blocks,
        replayed_events=recovery.replayed_events,
        seconds=round(recovery.seconds, 3),
    )
    return recovery


def read_blocks(store: Store, schema: Schema, start: int, stop: int) -> Iterator[tuple[Header, Batch, Records]]:
    """Yield the blocks from ``start`` to ``stop`` (excluded) that hold events; the next is read meanwhile."""

    def load(header: Header) -> tuple[Header, Batch, Records]:
        return header, decode_batch(store.journal(header), schema), decode_records(store.decisions(header))

    headers = [header for header in store.headers(start, stop) if header.events]
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(load, headers[0]) if headers else None
        for index in range(len(headers)):
            assert following is not None
            loaded = following.result()
            following = pool.submit(load, headers[index + 1]) if index + 1 < len(headers) else None
            yield loaded


def check_repeat(header: Header, records: Records, decided: Decided) -> None:
    """Hold a replayed block against the log.

    Raises
    ------
    CorruptionError
        If a row, a digest or a count differs.
    """
    counts = (header.decided, header.observed, header.duplicates)
    repeated = (len(decided.rows), decided.observed, len(decided.duplicates))
    if counts != repeated or not np.array_equal(records.row, decided.rows):
        raise CorruptionError(
            f"block {header.block}: the log holds {counts} decided, observed and duplicate events, the replay gives"
            f" {repeated}; the log is damaged, or was written by another version of this program"
        )
    different = np.flatnonzero(records.digest != digest(decided))
    if len(different):
        raise CorruptionError(
            f"block {header.block}: the replay gives another decision at position"
            f" {int(records.position[different[0]])} ({len(different)} of {len(records)} differ);"
            " the log is damaged, or was written by another version of this program"
        )
