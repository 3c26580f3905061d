"""Records to pieces: the one step that sees bytes of the source. It has no state.

One call takes hundreds to tens of thousands of records of one split of the source and makes a piece for each part that
has to do with any of them, and one of the batch itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from counterfoil.events.record_batch import RecordBatch
from counterfoil.runtimes.engine.batches import batch_arrays
from counterfoil.runtimes.engine.blob import Array, Piece, encode, pack_bits
from counterfoil.runtimes.engine.job import DUPLICATES, FIRST_SHARD, WHOLE, Job, carrier_of, position_of
from counterfoil.runtimes.local.dead_letter_vault import DeadLetterVault

if TYPE_CHECKING:
    from counterfoil.events.batch import Batch, Words
    from counterfoil.events.decoding import Decoded
    from counterfoil.events.record_batch import RecordDecoder
    from counterfoil.program import Prepared
    from counterfoil.runtimes.local.store import NewDeadLetter

BATCH, FEED, IDENTITIES = "batch", "feed", "identities"
"""Kinds of blobs: the batch itself; what a part's stages read of it; what duplicates are found by."""


@dataclass(slots=True)
class Packer:
    """Decodes records of one topic and packs them.

    Parameters
    ----------
    job
        The job.
    decoder
        The decoder of its records.
    """

    job: Job
    decoder: RecordDecoder

    def pack(
        self, split: int, offsets: Sequence[int] | Words, values: Sequence[bytes | None], arrival: int
    ) -> list[Piece]:
        """Return the pieces of some records.

        Parameters
        ----------
        split
            The number of the split that they come from.
        offsets
            (n,): the offset of each in it, strictly increasing; there may be gaps.
        values
            (n,): their bytes; None for a tombstone.
        arrival
            When they arrived, in microseconds since 1970. So that a repeat gives the same, it should come from the
            source and not from a clock.
        """
        if not len(values):
            return []
        decoded = self.decoder.decode_records(RecordBatch.of(values), arrival)
        places = np.asarray(offsets, np.int64) + position_of(split, 0)
        decoded.batch.position = places[decoded.batch.position]
        decoded.dead = [replace(letter, position=int(places[letter.position])) for letter in decoded.dead]
        return pack_decoded(self.job, decoded, int(places[0]), len(values))


def topic_packer(job: Job, topic: str) -> Packer:
    """Return the packer of one topic of the job's source."""
    from counterfoil.runtimes.local.kafka_input import topic_decoder  # noqa: PLC0415 - a file needs no topics

    config = next(each for each in job.source.topics if each.name == topic)
    return Packer(job, topic_decoder(config, job.source, job.limits, job.detector, job.key))


def pack_decoded(job: Job, decoded: Decoded, first_position: int, records: int) -> list[Piece]:
    """Return the pieces of what a decoder made of some records.

    Parameters
    ----------
    job
        The job.
    decoded
        Events and dead letters, with the positions that they have in the end.
    first_position
        The position of the first record: it names the batch.
    records
        How many records there were, blank ones included.
    """
    vault = DeadLetterVault(job.detector.schema, job.key, job.limits.dead_letter_bytes)
    meta = {
        "records": records,
        "unknown_fields": sum(decoded.unknown_fields.values()),
        "dead": [_letter(vault.keep(each)) for each in decoded.dead],
    }
    return pack_batch(job, decoded.batch, first_position, meta)


def pack_batch(job: Job, batch: Batch, number: int, meta: dict[str, Any] | None = None) -> list[Piece]:
    """Return the pieces of a batch.

    Parameters
    ----------
    job
        The job.
    batch
        Its events, in the order of the split.
    number
        The batch's own number: the position of its first record.
    meta
        What else is known of it.
    """
    meta = meta or {"records": len(batch), "unknown_fields": 0, "dead": []}
    if job.whole:
        return [Piece(WHOLE, number, encode(BATCH, batch_arrays(batch), meta))]
    found: list[Piece] = []
    if job.dedupes and len(batch):
        found.append(Piece(DUPLICATES, number, _identities(batch)))
    prepared = job.program.prepare(batch)
    stage_keys = job.program.stage_keys
    shards = shards_of(prepared.keys, job.shards)
    used = np.array(sorted({row for pair in stage_keys for row in pair}), np.int64)
    asked: list[int] = []
    for shard in range(job.shards):
        rows = np.flatnonzero(((shards[used] == shard) & (prepared.keys[used] != 0)).any(axis=0))
        if len(rows):
            asked.append(shard)
            found.append(Piece(FIRST_SHARD + shard, number, _feed(batch, prepared, used, shards, shard, rows)))
    arrays = batch_arrays(batch)
    # Whoever gets the batch has no use for the identities any more.
    del arrays["identity"]
    found.append(Piece(carrier_of(number), number, encode(BATCH, arrays, {**meta, "shards": asked})))
    return found


def shards_of(keys: Words, shards: int) -> Array:
    """Return the shard of each key, as the stages' kernel reckons it (``stage_kernel.shard_of``)."""
    return ((keys.view(np.uint64) >> np.uint64(40)) % np.uint64(shards)).astype(np.int16)


def _identities(batch: Batch) -> bytes:
    return encode(IDENTITIES, {"identity": batch.identity, "time": batch.time, "position": batch.position})


def _feed(batch: Batch, prepared: Prepared, used: Words, shards: Array, shard: int, rows: Words) -> bytes:
    """Return what one shard reads of a batch: its rows, with the keys that are others' left out."""
    keys = prepared.keys[np.ix_(used, rows)]
    keys[shards[np.ix_(used, rows)] != shard] = 0
    inputs, nulls = prepared.inputs[:, rows], prepared.input_nulls[:, rows]
    some = np.flatnonzero((inputs != 0).any(axis=1) | (nulls != 0).any(axis=1))
    return encode(
        FEED,
        {
            "row": rows.astype(np.int32),
            "kind": batch.kind[rows],
            "time": batch.time[rows],
            "decides": (prepared.column[rows] >= 0).astype(np.uint8),
            "keys": keys,
            "inputs_rows": some.astype(np.int16),
            "inputs": inputs[some],
            "inputs_nulls": pack_bits(nulls[some]),
        },
    )


def _letter(letter: NewDeadLetter) -> list[Any]:
    return [letter.position, letter.reason, letter.detail, letter.bytes.hex(), letter.sealed, letter.cut]


def letters_of(rows: Sequence[Sequence[Any]]) -> list[NewDeadLetter]:
    """Return the dead letters of a batch's meta values."""
    from counterfoil.runtimes.local.store import NewDeadLetter  # noqa: PLC0415 - few batches have any

    return [NewDeadLetter(row[0], row[1], row[2], bytes.fromhex(row[3]), row[4], row[5]) for row in rows]
