"""A log in the one form in which two logs can be compared byte by byte.

Where blocks begin and end depends on the size of batches and on crashes; what was decided must not. So the canonical
form leaves out blocks and ``decided_at`` and holds everything else: each decision with the digest of all that was
computed for it, each accepted event, each alert, each dead letter, and the counters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from counterfoil.runtimes.local.lines import LineEncoder
from counterfoil.runtimes.local.recovery import read_blocks

if TYPE_CHECKING:
    from counterfoil.events.batch import Batch
    from counterfoil.events.kinds import Schema
    from counterfoil.runtimes.local.store import Store


def canonical_lines(store: Store, schema: Schema) -> Iterator[bytes]:
    """Yield the log line by line."""
    encoder = LineEncoder()
    for header, batch, records in read_blocks(store, schema, 0, store.totals.blocks):
        lines = encoder.encode(records, 0, store.version_at(header.block)).splitlines()
        decisions = dict(zip(records.row.tolist(), zip(records.digest.tolist(), lines, strict=True), strict=True))
        for row in range(len(batch)):
            yield _event(batch, row)
            if row in decisions:
                yield b"decision %d %s\n" % decisions[row]
    for alert in store.alerts():
        yield b"alert %s\n" % msgspec.json.encode([alert.alert, alert.position, alert.content])
    for letter in store.dead_letters():
        dead = [letter.position, letter.reason, letter.detail, letter.retried]
        yield b"dead %s %s\n" % (msgspec.json.encode(dead), b"" if letter.sealed else letter.bytes)
    totals = store.totals
    counters = [totals.received, totals.decided, totals.observed, totals.duplicates, totals.dead, totals.alerts]
    yield b"totals %s\n" % msgspec.json.encode([*counters, store.next_position])


def _event(batch: Batch, row: int) -> bytes:
    texts = [batch.texts.get(text, row) for text in range(batch.texts.length.shape[0])]
    words = [int(batch.kind[row]), int(batch.position[row]), int(batch.time[row]), int(batch.identity[row])]
    words += batch.values[:, row].tolist() + batch.nulls[:, row].tolist()
    return b"event %s\n" % msgspec.json.encode([words, texts])
